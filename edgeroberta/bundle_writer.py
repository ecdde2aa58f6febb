"""Writes bundles: the manifest that seals a folder, and the goldens that it must answer to."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.runtime import questions
from edgeroberta.runtime.encoding import Input
from edgeroberta.runtime.goldens import GOLDENS_FILE, Goldens
from edgeroberta.runtime.manifest import (
    KIND,
    MANIFEST_FILE,
    Manifest,
    canonical,
    content_digest,
    read,
    safe_path,
    schema,
    seal_of,
)
from edgeroberta.runtime.mask_token import MaskToken
from edgeroberta.runtime.session import Session
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import LINEAGE_FILE, digest_file, write_bytes
from edgeroberta.storage.files import TOKENIZER
from edgeroberta.tasks import Comparable, Outputs, all_of_them
from edgeroberta.version import __version__

logger = logging.getLogger(__name__)

#: What every bundle is asked: none of the user's own texts, which may be private. Short, so that an
#: engine which prepares lengths need not prepare one for them alone; together they use letters,
#: digits, punctuation, other scripts, an emoji, and no text at all.
GOLDEN_TEXTS = (
    "",
    "Yes.",
    "The train leaves at half past nine from platform four.",
    "I would have liked it more if the second half had been shorter, but the music was good!",
    "Prices rose by 3.5 % in 2024, from $1,200 to $1,242.",
    "Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich.",
    "Здравствуйте, こんにちは, مرحبا",
    "a 😀 b",
)

# Part of the goldens' own range within which an answer counts as the same. Seen: int8 in OpenVINO
# differs from ONNX Runtime by 1 % of it, ONNX Runtime on ARM from x86 by less; a processor that
# computes something else is off by the whole range. Float graphs agree to 1e-5.
_TOLERANCE = {"int8": 0.05, "fp32": 0.005}
# For fp16 engines, against the fp16 graph as ONNX Runtime computes it on a CPU, in float32 with the
# weights rounded: what remains is the rounding of activations. With every operator's result rounded to
# half precision, the packaged encoder is 0.11 % of the range off (onnx's reference evaluator, products
# added up in float32); the rest is for engines that add up in half precision.
_FLOAT_TOLERANCE, _LEAST_FLOAT_TOLERANCE = 0.02, 0.01
# For an int8 plan around a half-precision body. The body's rounding sends values across the edges of int8
# steps, each of which moves by a whole step: by 4 and 8 % of the goldens' range on two fine-tunings of the
# packaged encoder, and by 1.3 times that at most when every operator's result is rounded, not weights alone.
_HALF_BODY_MARGIN = 2.0
# The same in logits, for models whose answers to the goldens hardly differ: on 12 random layers int8 in
# OpenVINO was 0.012 off, with a range of 0.2.
_LEAST_TOLERANCE = {"int8": 0.05, "fp32": 0.001}


def make_goldens(
    tokenizer: TextTokenizer,
    session: Session,
    *,
    pair: bool,
    precision: str,
    comparable: Comparable = all_of_them,
    mask: MaskToken | None = None,
) -> Goldens:
    """Ask a session the golden texts; ``precision``, ``int8`` or ``fp32``, sets the tolerance.

    ``mask``: the mask token, where masks are filled.
    ``comparable``: the task's :meth:`~edgeroberta.tasks.TaskKind.comparable`, here and below.
    """
    inputs: tuple[Input, ...] = GOLDEN_TEXTS
    if mask is not None:
        inputs = tuple(f"{text} {mask.text}." for text in GOLDEN_TEXTS)
    if pair:
        inputs = tuple(zip(GOLDEN_TEXTS, (*GOLDEN_TEXTS[1:], GOLDEN_TEXTS[0]), strict=True))
    if tokenizer.reads_questions:
        inputs = _with_room(tokenizer, inputs)
    ids = [encoding.ids for encoding in tokenizer.truncated(inputs)]
    if mask is not None:  # which a model of few tokens does not reach in each text
        inputs = tuple(item for item, one in zip(inputs, ids, strict=True) if mask.id in one)
        ids = [one for one in ids if mask.id in one]
    if not all(map(len, ids)):  # a tokenizer without special tokens gives an empty text none at all
        inputs = tuple(item for item, one in zip(inputs, ids, strict=True) if len(one))
        ids = [one for one in ids if len(one)]
    found = [session.run(one[np.newaxis], np.ones((1, len(one)), np.int64)) for one in ids]
    outputs = Outputs.pack([each.reshape(-1, each.shape[-1]) for each in found])
    seen = float(np.ptp(comparable(outputs.values)))
    atol = max(seen * _TOLERANCE[precision], _LEAST_TOLERANCE[precision])
    # Four digits are plenty for a tolerance, and read better.
    return Goldens(inputs, tuple(tuple(one.tolist()) for one in ids), outputs, float(f"{atol:.4g}"))


def _with_room(tokenizer: TextTokenizer, inputs: tuple[Input, ...]) -> tuple[Input, ...]:
    """Return the questions that a model of few tokens can be asked; raises UsageError: it has room for none.

    Empty questions, and empty contexts, are refused by every model.
    """
    refused: UsageError | None = None
    kept = []
    for item in (*(item for item in inputs if all(item)), ("?", "Yes.")):
        try:
            tokenizer.truncated([item])
        except UsageError as error:
            refused = error
        else:
            kept.append(item)
    if not kept:
        raise questions.no_room(tokenizer.max_length) from refused
    # The shortest is asked where no other one can be.
    return tuple(kept[:-1] or kept)


def with_float_outputs(goldens: Goldens, graph: Path, comparable: Comparable = all_of_them) -> Goldens:
    """Add what engines of precision fp16 are held to.

    ``graph``: the graph in half precision, which ONNX Runtime computes in float32 on a CPU. It must have been
    held to the float32 graph, see :mod:`edgeroberta.quantization.ort`. Returns the goldens with
    ``float_outputs`` and their tolerance.
    """
    outputs = _again(goldens, graph)
    seen = float(np.ptp(comparable(outputs.values)))
    atol = max(seen * _FLOAT_TOLERANCE, _LEAST_FLOAT_TOLERANCE)
    return replace(goldens, float_outputs=outputs, float_atol=float(f"{atol:.4g}"))


def allow_half_body(goldens: Goldens, graph: Path, comparable: Comparable = all_of_them) -> Goldens:
    """Allow for what a half-precision body does to the answers of an int8 plan.

    An engine that runs the plan in half precision is right and still differs from the float32 body that the
    goldens come from. How much depends on the model, so it is measured. ``graph``: the same int8 plan with a
    half-precision body, run in ONNX Runtime. Returns the goldens, with a larger ``atol`` where that is
    needed.
    """
    outputs = _again(goldens, graph)
    moved = float(np.abs(comparable(outputs.values) - comparable(goldens.outputs.values)).max())
    return replace(goldens, atol=max(goldens.atol, float(f"{_HALF_BODY_MARGIN * moved:.4g}")))


def _again(goldens: Goldens, graph: Path) -> Outputs:
    """Ask another graph the goldens."""
    from edgeroberta.quantization.ort import open_session, run_graph

    ids = [np.array(one, np.int64) for one in goldens.ids]
    return run_graph(open_session(graph), ids, units=goldens.outputs.lengths.tolist())


def write_goldens(goldens: Goldens, folder: Path) -> None:
    """Write ``goldens.json``."""
    write_bytes(folder / GOLDENS_FILE, goldens.to_bytes())


def compact_tokenizer(folder: Path) -> None:
    """Write ``tokenizer.json`` without spaces between its parts, and each merge as one string.

    transformers 5 writes the file indented and with two strings per merge.
    The two forms of a merge mean the same where neither part has a space, and older
    versions of tokenizers (before 0.20) read only the shorter one. A file that is as short already stays.
    """
    file = folder / TOKENIZER
    data = file.read_bytes()
    try:
        fields = jsontext.loads(data)
        _join_merges(fields.get("model"))
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        shorter = text.encode("utf-8")
    except (ValueError, AttributeError) as error:
        # Whether it is a tokenizer at all is for the tokenizers package to say, which reads it next.
        logger.info("%s is left as it is (%s)", file, error)
        return
    if len(shorter) < len(data):
        write_bytes(file, shorter)


def _join_merges(model: Any) -> None:
    merges = model.get("merges") if isinstance(model, dict) else None
    if not isinstance(merges, list):
        return
    pairs = [merge for merge in merges if isinstance(merge, list) and len(merge) == 2]
    if len(pairs) == len(merges) and not any(" " in part for pair in pairs for part in pair):
        model["merges"] = [" ".join(pair) for pair in pairs]


def seal(folder: Path, fields: Mapping[str, Any]) -> Manifest:
    """Write the manifest of a finished folder from its ``fields``, and the sha256 of every file in it.

    The field ``links`` names files that are listed under another name.
    """
    links: Mapping[str, str] = fields.get("links", {})
    sealed: dict[str, Any] = {
        **fields,
        "schema_version": schema(fields, marked_words=_marks_words(folder / TOKENIZER)),
        "kind": KIND,
        "created_by": __version__,
        "files": {name: _entry(folder / name) for name in _files(folder) if name not in links},
    }
    sealed["digest"] = content_digest(sealed)
    sealed["seal"] = seal_of(sealed)
    write_bytes(folder / MANIFEST_FILE, canonical(sealed))
    return read(folder)


def _marks_words(tokenizer: Path) -> bool:
    """Tell whether a tokenizer marks the inside of words, as WordPiece does."""
    if not tokenizer.is_file():
        return False
    try:
        return bool(jsontext.loads(tokenizer.read_bytes())["model"].get("continuing_subword_prefix"))
    except (ValueError, KeyError, TypeError, AttributeError):  # whoever opens it says what is wrong with it
        return False


def _files(folder: Path) -> list[str]:
    names = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if name in (MANIFEST_FILE, LINEAGE_FILE):
            continue
        if not safe_path(name):
            raise EdgeRobertaError(f"a file name that cannot be in a bundle: {name!r}", where=str(folder))
        names.append(name)
    return names


def _entry(file: Path) -> dict[str, Any]:
    return {"sha256": digest_file(file), "bytes": file.stat().st_size}
