"""A ``tokenizer.json`` as data: which piece has which id, and the same file with some pieces alone.

Known are three models: BPE over bytes (RoBERTa), Unigram (XLM-R, CamemBERT) and WordPiece (BERT). The format
is that of the ``tokenizers`` package, 0.20 to 0.23.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta.config import load_object
from edgeroberta.roberta.fields import DOWNLOAD

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BPE, UNIGRAM, WORDPIECE = "BPE", "Unigram", "WordPiece"


@dataclass(frozen=True)
class TokenizerFile:
    """A tokenizer and the file it was read from."""

    path: Path
    fields: Mapping[str, Any]  # its content
    ids: Mapping[str, int]  # id of every piece, added tokens included

    @classmethod
    def read(cls, path: Path) -> TokenizerFile:
        """Read a ``tokenizer.json`` of the family's kinds, whose pieces can be taken away."""
        fields = load_object(path)
        try:
            ids, kind = _read(json.dumps(fields, ensure_ascii=False))
        except Exception as error:  # tokenizers raises bare Exception for every kind of bad file
            raise CheckpointError(f"not a tokenizer ({error})", where=str(path), hint=DOWNLOAD) from error
        # Files of before tokenizers 0.9 (2020), such as roberta-base's own, do not name the model's type.
        model = {**fields["model"], "type": kind}
        if kind not in (BPE, UNIGRAM, WORDPIECE):
            _refuse(path, f"its model is {kind}, known are {BPE}, {UNIGRAM} and {WORDPIECE}")
        if model.get("dropout"):
            _refuse(path, f"a dropout of {model['dropout']} makes its tokens random")
        marked = kind != WORDPIECE and model.get("continuing_subword_prefix")
        if marked or model.get("end_of_word_suffix"):
            _refuse(path, "its pieces carry a prefix or suffix, as those over bytes do not")
        return cls(path, {**fields, "model": model}, ids)

    @property
    def kind(self) -> str:
        """``BPE``, ``Unigram`` or ``WordPiece``."""
        return str(self.fields["model"]["type"])

    @cached_property
    def pieces(self) -> Mapping[int, str]:
        """The piece of every id."""
        return {number: piece for piece, number in self.ids.items()}

    @cached_property
    def merges(self) -> tuple[tuple[str, str], ...]:
        """The pairs that BPE joins, the one to join first in front; none in another model."""
        # Older files write "a b", newer ones ["a", "b"].
        pairs = (m.split(" ") if isinstance(m, str) else m for m in self.fields["model"].get("merges", ()))
        return tuple((left, right) for left, right in pairs)

    @cached_property
    def scores(self) -> Mapping[int, float]:
        """Log probability of every piece of a Unigram model by id; empty for another."""
        if self.kind != UNIGRAM:
            return {}
        return {number: float(score) for number, (_, score) in enumerate(self.fields["model"]["vocab"])}

    @cached_property
    def named(self) -> frozenset[int]:
        """Ids that the file names: added tokens, those put around a text, padding, unknown."""
        found = {self.ids[token["content"]] for token in self.fields.get("added_tokens") or ()}
        found.update(_processor_ids(self.fields.get("post_processor")))
        found.update(each for each in [(self.fields.get("padding") or {}).get("pad_id")] if each is not None)
        model = self.fields["model"]
        unknown = model.get("unk_id") if self.kind == UNIGRAM else self.ids.get(model.get("unk_token"))
        return frozenset(found if unknown is None else found | {unknown})

    @property
    def mark(self) -> str:
        """What pieces inside of words begin with (``##``); empty where nothing marks them."""
        return str(self.fields["model"].get("continuing_subword_prefix") or "")

    @cached_property
    def words(self) -> Tokenizer:
        """The tokenizer, for what it makes of texts before its model reads words."""
        from tokenizers import Tokenizer

        return Tokenizer.from_str(json.dumps(self.fields, ensure_ascii=False))

    @property
    def byte_pieces(self) -> frozenset[int]:
        """Ids of the pieces ``<0x00>`` to ``<0xFF>`` that stand for bytes of unknown characters."""
        if not self.fields["model"].get("byte_fallback"):
            return frozenset()
        names = (f"<0x{byte:02X}>" for byte in range(256))
        return frozenset(self.ids[name] for name in names if name in self.ids)

    def only(self, kept: Sequence[int]) -> str:
        """Write the file with some of the pieces, ``kept`` rising; the n-th of them gets the id n."""
        new = {int(old): number for number, old in enumerate(kept)}
        fields = dict(self.fields)
        fields["added_tokens"] = [
            {**token, "id": new[self.ids[token["content"]]]} for token in fields.get("added_tokens") or ()
        ]
        fields["post_processor"] = _renumbered(fields.get("post_processor"), new.__getitem__)
        if fields.get("padding"):
            fields["padding"] = {**fields["padding"], "pad_id": new[fields["padding"]["pad_id"]]}
        write = {BPE: self._bpe, UNIGRAM: self._unigram, WORDPIECE: self._word_pieces}[self.kind]
        fields["model"] = write(new)
        text = self.text(fields)
        # An added token that is no piece of the model gets the id after the model's last, whatever the
        # file says.
        if _read(text)[0] != {self.pieces[old]: number for old, number in new.items()}:
            _refuse(self.path, "added tokens have ids between those of its model")
        return text

    @staticmethod
    def text(fields: Mapping[str, Any]) -> str:
        """Write the content of a ``tokenizer.json`` without white space: a third of the file otherwise."""
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")) + "\n"

    def _vocabulary(self, new: Mapping[int, int]) -> dict[str, int]:
        pieces = self.fields["model"]["vocab"]
        inside = [(piece, self.ids[piece]) for piece in pieces if self.ids[piece] in new]
        return {piece: new[old] for piece, old in sorted(inside, key=lambda item: item[1])}

    def _word_pieces(self, new: Mapping[int, int]) -> dict[str, Any]:
        return {**self.fields["model"], "vocab": self._vocabulary(new)}

    def _bpe(self, new: Mapping[int, int]) -> dict[str, Any]:
        model, vocab = dict(self.fields["model"]), self._vocabulary(new)
        together = zip(self.merges, model["merges"], strict=True)
        model["merges"] = [
            written for (a, b), written in together if a in vocab and b in vocab and a + b in vocab
        ]
        return {**model, "vocab": vocab}

    def _unigram(self, new: Mapping[int, int]) -> dict[str, Any]:
        model = dict(self.fields["model"])
        if model.get("unk_id") is not None:
            model["unk_id"] = new[model["unk_id"]]
        return {**model, "vocab": [entry for old, entry in enumerate(model["vocab"]) if old in new]}


def _read(text: str) -> tuple[dict[str, int], str]:
    """Return the id of every piece, and the model's type: where the file names none, the library finds it."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(text)
    return tokenizer.get_vocab(with_added_tokens=True), type(tokenizer.model).__name__


def _refuse(path: Path, why: str) -> None:
    raise CheckpointError(
        f"the tokens of this tokenizer cannot be changed: {why}",
        where=str(path),
        hint="leave the stages tokenizer and vocabulary out of the recipe",
    )


def _processor_ids(processor: Any) -> list[int]:
    """List every id in a post-processor."""
    found: list[int] = []

    def note(number: int) -> int:
        found.append(number)
        return number

    _renumbered(processor, note)
    return found


def _renumbered(processor: Any, renumber: Callable[[int], int]) -> Any:
    """Return a post-processor with every id replaced."""
    if not isinstance(processor, dict):
        return processor
    changed = dict(processor)
    for name in ("sep", "cls"):  # RobertaProcessing and BertProcessing
        if name in changed:
            content, number = changed[name]
            changed[name] = [content, renumber(number)]
    if "special_tokens" in changed:  # TemplateProcessing
        changed["special_tokens"] = {
            name: {**token, "ids": [renumber(number) for number in token["ids"]]}
            for name, token in changed["special_tokens"].items()
        }
    if "processors" in changed:  # Sequence
        changed["processors"] = [_renumbered(each, renumber) for each in changed["processors"]]
    return changed
