"""Texts of an embedding model: each is read by itself, with a prompt in front where the model has one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeroberta.errors import UsageError, shown
from edgeroberta.runtime import prompts
from edgeroberta.runtime.encoding import Encoding, Input
from edgeroberta.runtime.longtexts import LongText
from edgeroberta.runtime.prompts import Prompts
from edgeroberta.runtime.tokenizer import QuestionTokenizer, TextTokenizer, explain
from edgeroberta.tasks import Problem, Task

#: The name of a prompt, or of one for each text of a pair; None for the default.
Prompt = str | tuple[str | None, str | None] | None


class EmbeddingTokenizer(TextTokenizer):
    """Turns texts into ids; of a pair, the second text is the only one in ``rest``."""

    prompts: Prompts
    _plain: TextTokenizer  # the same tokenizer, which puts nothing in front
    _fitting: set[str]  # prompts that leave room for a text

    @classmethod
    def open(cls, folder: Path, max_length: int, **options: Any) -> EmbeddingTokenizer:
        """Read the tokenizer and the prompts of a folder, see :meth:`TextTokenizer.open`.

        Raises UsageError: long texts are to be read in windows, which have an embedding each.
        """
        if options.get("long_text") == LongText.WINDOWS:
            raise UsageError(
                "an embedding is of a text as a whole; windows would have one each",
                where="long_text",
                hint="truncate or refuse, and embed the parts of a long text by themselves",
                code="usage.embedding-windows",
            )
        plain = TextTokenizer.open(folder, max_length, **{**options, "pair": False, "separator": None})
        made = cls.__new__(cls)
        vars(made).update(vars(plain), _plain=plain, prompts=prompts.read(folder), _fitting=set())
        return made

    def encode_one(self, item: Input, *, places: bool = False, prompt: Prompt = None) -> Encoding:
        """Tokenize one text, or the two of a pair; places are those of no text, since a prompt moves them."""
        texts = _prompted(item, self._fronts(prompt))
        try:
            return _joined([self._plain.encode_one(text) for text in texts])
        except UsageError as error:
            if error.code != "usage.text-too-long":
                raise
            hint = "shorten the text, or open the bundle with long_text='truncate' (--long-text truncate)"
            raise UsageError(error.what, where=error.where, hint=hint, code=error.code) from error

    def encode(
        self, inputs: Sequence[Input], *, places: bool = False, prompt: Prompt = None
    ) -> list[Encoding]:
        """Tokenize texts and pairs in order, on all cores unless opened for one thread."""
        fronts = self._fronts(prompt)
        try:
            texts = [_prompted(item, fronts) for item in inputs]
            found = iter(self._plain.encode([text for each in texts for text in each]))
        except UsageError:
            # One by one, to name the input that is wrong.
            for number, item in enumerate(inputs):
                self._numbered(number, item, places, prompt=prompt)
            raise
        return [_joined([next(found) for _ in each]) for each in texts]

    def truncated(self, inputs: Sequence[Input]) -> list[Encoding]:
        """Tokenize texts and pairs, and cut those that are too long, whatever else is done with them."""
        fronts = self._fronts(None)
        texts = [_prompted(item, fronts) for item in inputs]
        found = iter(self._plain.truncated([text for each in texts for text in each]))
        return [_joined([next(found) for _ in each]) for each in texts]

    def _fronts(self, prompt: Prompt) -> tuple[str, str]:
        """Return what stands in front of a text, or of the first of a pair, and of the second."""
        names = prompt if isinstance(prompt, tuple) else (prompt, prompt)
        if len(names) != 2:
            raise UsageError("a pair takes two prompts, one for each text", where="prompt")
        first, second = (self._require_room_behind(name, self.prompts.text(name)) for name in names)
        return first, second

    def _require_room_behind(self, name: str | None, front: str) -> str:
        """Return a prompt; UsageError where nothing of a text would be read behind it."""
        if not front or front in self._fitting:
            return front
        room = self.max_length - len(self._plain.truncated([front])[0].ids)
        if room < 1:
            raise UsageError(
                f"the prompt {shown(name or self.prompts.default)} fills the {self.max_length} tokens of this"
                " model: no text has room behind it",
                where="prompt",
                hint="name another one, or prompt='' for none",
                code="usage.prompt-too-long",
            )
        self._fitting.add(front)
        return front


def reader(task: Task) -> type[TextTokenizer]:
    """Return what reads the inputs of a task."""
    if task.problem is Problem.SPANS:
        return QuestionTokenizer
    return EmbeddingTokenizer if task.apart else TextTokenizer


def _prompted(item: Input, fronts: tuple[str, str]) -> tuple[str, ...]:
    """Return the texts of an input with what stands in front of them; UsageError: it is neither."""
    texts = (item,) if isinstance(item, str) else item
    if not isinstance(texts, tuple) or len(texts) != 2 - isinstance(item, str):
        raise explain(item)
    if not all(isinstance(text, str) for text in texts):
        raise explain(item)
    return tuple(front + text for front, text in zip(fronts, texts, strict=False))


def _joined(parts: list[Encoding]) -> Encoding:
    first, rest = parts[0], tuple(parts[1:])
    return replace(first, rest=rest, truncated=any(each.truncated for each in parts))
