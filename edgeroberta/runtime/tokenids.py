"""Token ids on their way to an engine: which ones a model has an answer to, and how they are padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeroberta.errors import BundleError, UsageError
from edgeroberta.runtime.encoding import Encoding, all_windows
from edgeroberta.runtime.session import Ids, Logits
from edgeroberta.storage import jsontext
from edgeroberta.storage.files import CONFIG
from edgeroberta.tasks import Outputs, Task, Unit

if TYPE_CHECKING:
    from edgeroberta.runtime.manifest import Manifest


@dataclass(frozen=True)
class InputLimits:
    """What ids a model takes: so many at once, no padding among them, and none beyond its embeddings."""

    max_length: int
    pad_token_id: int
    vocab_size: int | None


def checked(ids: Sequence[Ids], limits: InputLimits) -> list[Ids]:
    """Return whole numbers [length] each as arrays of integers; refuse what the model has no answer to."""
    if isinstance(ids, (str, bytes)) or not isinstance(ids, (Sequence, np.ndarray)):
        raise UsageError(f"expected a list of lists of token ids, not {type(ids).__name__}")
    arrays = [_array(one, limits, index) for index, one in enumerate(ids)]
    # All at once: one by one would take an eighth of the time of tokenizing short texts.
    if arrays and not _known(np.concatenate(arrays), limits):
        for index, one in enumerate(arrays):
            if not _known(one, limits):
                raise _unknown(one, limits, f"input {index}")
    return arrays


def _array(ids: Ids, limits: InputLimits, index: int) -> Ids:
    try:
        array = np.asarray(ids)
    except ValueError:  # a list in the list
        array = np.zeros((), np.int64)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        what = f"token ids are a list of whole numbers, not {ids!r:.60}"
    elif not 1 <= len(array) <= limits.max_length:
        what = f"{len(array)} tokens, where 1 to {limits.max_length} are possible"
    else:
        return array
    raise UsageError(what, where=f"input {index}")


def _known(ids: Ids, limits: InputLimits) -> bool:
    """Tell whether the model has an answer to all of these ids."""
    below = limits.vocab_size is None or int(ids.max()) < limits.vocab_size
    return below and int(ids.min()) >= 0 and not (ids == limits.pad_token_id).any()


def _unknown(ids: Ids, limits: InputLimits, where: str) -> UsageError:
    low, high = int(ids.min()), int(ids.max())
    if low >= 0 and (limits.vocab_size is None or high < limits.vocab_size):
        return holds_padding(limits.pad_token_id, where)
    most = "" if limits.vocab_size is None else f" to {limits.vocab_size - 1}"
    return UsageError(f"{low if low < 0 else high} is no token's id: they are 0{most}", where=where)


def refuse(ids: Ids, pad: int) -> None:
    """Refuse a text, int64 [length], without any token, or with the padding token ``pad`` in it."""
    if (ids == pad).any():
        raise holds_padding(pad)
    if not len(ids):
        raise UsageError("the text has no tokens, and this tokenizer puts none around it")


def refuse_padding(encodings: Sequence[Encoding], pad: int) -> None:
    """Refuse inputs with the padding token ``pad`` in them."""
    ids = [one.ids for one in all_windows(encodings)]
    # All at once: looking at each would cost a fifth of the time that short texts take to tokenize.
    if ids and (np.concatenate(ids) == pad).any():
        for index, encoding in enumerate(encodings):
            if any((one.ids == pad).any() for one in (encoding, *encoding.rest)):
                raise holds_padding(pad, f"input {index}")


def holds_padding(pad: int, where: str | None = None) -> UsageError:
    """Make the error for a text with the padding token in it.

    transformers counts positions over the other tokens only; the graph counts all, which is the same but
    for such texts.
    """
    return UsageError(
        f"the padding token (id {pad}) is in the text, where this model has no answer",
        where=where,
        hint="take it out of the text; in most models it reads <pad>",
    )


def padded(ids: Sequence[Ids], length: int, pad: int) -> tuple[Ids, Ids]:
    """Put inputs into one batch: ids and mask (1 for tokens, 0 for padding), int64 [inputs, length] each."""
    batch = np.full((len(ids), length), pad, np.int64)
    mask = np.zeros((len(ids), length), np.int64)
    for row, one in enumerate(ids):
        batch[row, : len(one)] = one
        mask[row, : len(one)] = 1
    return batch, mask


def units(task: Task, ids: Sequence[Ids]) -> Ids:
    """Count the rows of outputs that inputs, int64 [length] each, give: int64 [inputs]."""
    unit = task.kind.unit
    if unit is Unit.TEXT:
        return np.ones(len(ids), np.int64)
    if unit is Unit.TOKEN:
        return np.fromiter(map(len, ids), np.int64, len(ids))
    return np.fromiter((np.count_nonzero(one == task.mask_id) for one in ids), np.int64, len(ids))


def empty_outputs(counts: Ids, width: int) -> Outputs:
    """Make room for what inputs of so many units each, int64 [inputs], give: ``width`` numbers per unit."""
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Outputs(np.empty((int(offsets[-1]), width), np.float32), offsets)


def by_text(found: Logits, counts: Ids) -> Sequence[Logits]:
    """Cut what a batch gives into texts.

    ``found``: float32 [batch, length, outputs] of tokens, or [masks, outputs], those of all texts one after
    the other. ``counts``: int64 [batch], units of each text.
    """
    return list(found) if found.ndim == 3 else np.split(found, np.cumsum(counts)[:-1])


def vocab_size(facts: Manifest) -> int | None:
    """Return how many token ids a bundle's model has; None where its config does not tell."""
    if CONFIG not in facts.files:
        return None
    file = facts.folder / CONFIG
    try:
        stated = jsontext.loads(file.read_bytes()).get("vocab_size")
    except (OSError, ValueError, AttributeError) as error:
        raise BundleError(f"damaged: not a JSON object ({error})", where=str(file)) from error
    return stated if isinstance(stated, int) else None
