"""The file of sentence-transformers' module ``Pooling``, in its former form and today's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeroberta.errors import CheckpointError, shown
from edgeroberta.roberta.config import load_object
from edgeroberta.roberta.fields import DOWNLOAD
from edgeroberta.tasks.pooling import checked_pooling

#: What versions up to 5 write, a switch for each way.
_SWITCHES: Mapping[str, str] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_DIMENSIONS = ("embedding_dimension", "word_embedding_dimension")
_CODE = "checkpoint.sentence-transformers"


def read_pooling(file: Path, *, prompts: bool) -> tuple[str, int]:
    """Read how states are pooled, and of how many dimensions they are.

    ``prompts``: whether the model puts prompts in front of texts. Raises CheckpointError: the file is missing
    or damaged, or states are pooled in a way that is not known here.
    """
    if not file.is_file():
        raise CheckpointError(
            "modules.json names a pooling, whose file is missing",
            where=str(file),
            hint=DOWNLOAD,
            code="checkpoint.pooling-missing",
        )
    fields = load_object(file)
    known = {*_SWITCHES, *_DIMENSIONS, "pooling_mode", "include_prompt"}
    if unknown := sorted(set(fields) - known):
        raise _wrong(f"has an unknown field {shown(unknown[0])}", file)
    include = fields.get("include_prompt", True)
    if not isinstance(include, bool):
        raise _wrong(f"include_prompt is {shown(include)}, not true or false", file)
    if prompts and not include:
        raise _wrong(
            "include_prompt is false: tokens of prompts are read, but not pooled",
            file,
            hint="name a model that pools all tokens of a text",
        )
    dimensions = next((fields[name] for name in _DIMENSIONS if name in fields), None)
    if not isinstance(dimensions, int) or isinstance(dimensions, bool) or dimensions < 1:
        raise _wrong(f"{_DIMENSIONS[1]} is {shown(dimensions)}, not a number of dimensions", file)
    return _mode(fields, file), dimensions


def _mode(fields: Mapping[str, Any], file: Path) -> str:
    """Return the one way of pooling; where no switch is on, the package takes the mean."""
    for name in _SWITCHES:
        if not isinstance(fields.get(name, False), bool):
            raise _wrong(f"{name} is {shown(fields[name])}, not true or false", file)
    stated = fields.get("pooling_mode")
    if stated is None:
        stated = [way for name, way in _SWITCHES.items() if fields.get(name)] or ["mean"]
    ways = stated if isinstance(stated, list) else [stated]
    if len(ways) != 1:
        raise CheckpointError(
            f"embeddings are of several poolings side by side ({', '.join(map(str, ways))})",
            where=str(file),
            hint="name a model with one of mean, cls and max",
            code="checkpoint.pooling-unknown",
        )
    return checked_pooling(ways[0], where=f"{file}: pooling_mode")


def _wrong(what: str, file: Path, *, hint: str = DOWNLOAD) -> CheckpointError:
    return CheckpointError(what, where=str(file), hint=hint, code=_CODE)
