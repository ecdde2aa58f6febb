"""Whether two models see a text as the same tokens, so that their insides can be compared token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.data.rows import Texts
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.storage import jsontext
from edgeroberta.storage.files import TOKENIZER, TOKENIZER_CONFIG
from edgeroberta.training.batching import Tokens

#: Texts compared at once; their offsets as Python objects take about 200 bytes per token.
_CHUNK = 2048


def same_tokenizer(ours: Path, theirs: Path) -> bool:
    """Tell whether two model folders have the same tokenizer, by their files.

    ``ours``: a model folder with a ``tokenizer.json``. ``theirs``: another one; its tokenizer may be of any
    kind. Returns True when every text gets the same ids from both, but for the length at which they cut.
    """
    if ours.resolve() == theirs.resolve():
        return True
    files = [folder / TOKENIZER for folder in (ours, theirs)]
    if not all(file.is_file() for file in files):
        return False
    return files[0].read_bytes() == files[1].read_bytes() and _prefix_space(ours) == _prefix_space(theirs)


def _prefix_space(folder: Path) -> object:
    file = folder / TOKENIZER_CONFIG
    return jsontext.loads(file.read_bytes()).get("add_prefix_space") if file.is_file() else None


def same_tokens(
    ours: tuple[Path, int], theirs: tuple[Path, int], parts: Sequence[Texts]
) -> npt.NDArray[np.bool_]:
    """Compare two tokenizers text by text: as many tokens, each of the same characters.

    Ids may differ, as they do when a vocabulary was pruned. ``ours``: model folder and the number of tokens
    at which its texts are cut. ``theirs``: the same of the other model; without a ``tokenizer.json`` no text
    is the same. Returns bool[n], n the number of texts in all parts, both of a
    pair that are read one by one.
    """
    result = np.zeros(sum(len(part) * part.units for part in parts), np.bool_)
    if not (theirs[0] / TOKENIZER).is_file():
        return result
    first, second = TextTokenizer.open(*ours), TextTokenizer.open(*theirs)
    done = 0
    for chunk in _chunks(parts):
        pairs = zip(first.spans(chunk), second.spans(chunk), strict=True)
        result[done : done + len(chunk)] = [mine == other for mine, other in pairs]
        done += len(chunk)
    return result


def same_windows(ours: Tokens, theirs: Tokens) -> npt.NDArray[np.bool_]:
    """Compare the windows that two models read questions in, bool[windows of ours].

    ``ours``, ``theirs``: the same questions with places. None is the same where there are not as many.
    """
    first, other = ours.inputs, theirs.inputs
    if first is None or other is None or not np.array_equal(first, other):
        return np.zeros(len(ours), np.bool_)
    same = ours.lengths == theirs.lengths
    for window in np.flatnonzero(same):
        mine, their = (
            each.located[each.offsets[window] : each.offsets[window + 1]] for each in (ours, theirs)
        )
        same[window] = np.array_equal(mine, their)
    return np.asarray(same)


def _chunks(parts: Sequence[Texts]) -> Iterator[list[Any]]:
    for part in parts:
        for rows in part.chunks():
            inputs = rows.read()
            yield from (inputs[start : start + _CHUNK] for start in range(0, len(inputs), _CHUNK))
