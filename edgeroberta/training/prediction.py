"""Running PyTorch models over texts: devices, number formats, batches by length."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from edgeroberta.roberta import heads
from edgeroberta.tasks import Outputs
from edgeroberta.training import batching
from edgeroberta.training.batching import Indices, Tokens
from edgeroberta.training.hyperparameters import MatmulPrecision

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Texts per batch of an evaluation; no gradients are kept, so it may be larger than in training.
EVALUATION_BATCH = 64


@dataclass(frozen=True, eq=False)
class ProcessBatch:
    """One process's part of a batch."""

    rows: Indices  # int64[B] on the host, which rows
    ids: Tensor  # token ids, int64[texts, S]
    mask: Tensor  # attention mask, int64[texts, S]
    #: int64[texts] on the host, which texts, those of each row one after the other; None where each is a row
    numbers: Indices | None = None
    #: int64[texts], which row of the batch each text belongs to; None where each text is a row
    owners: Tensor | None = None
    step: int = 0  # number of the training step, from 0
    weight: float = 1.0  # 0 where a process runs a text along that is another one's

    @property
    def texts(self) -> Indices:
        """Which texts these are, int64[texts] on the host."""
        return self.rows if self.numbers is None else self.numbers

    def by_row(self, values: Tensor) -> Tensor:
        """Lay what belongs to texts, ``[texts, …]``, side by side in rows, ``[B, units, …]``.

        Rows of fewer texts are filled up with zeros. Where each text is a row, values stay as they are.
        """
        if self.owners is None:
            return values
        counts = torch.bincount(self.owners, minlength=len(self.rows))
        starts = (counts.cumsum(0) - counts)[self.owners]
        places = torch.arange(len(self.owners), device=self.owners.device) - starts
        shape = (len(self.rows), int(counts.max()), *values.shape[1:])
        return values.new_zeros(shape).index_put((self.owners, places), values)

    def per_row(self, values: Tensor) -> Tensor:
        """Return the mean of a number of each text, float[texts], over the texts of each row, float[B]."""
        if self.owners is None:
            return values
        counts = torch.bincount(self.owners, minlength=len(self.rows))
        return values.new_zeros(len(self.rows)).index_add(0, self.owners, values) / counts


def accelerator() -> Accelerator:
    """Return Accelerate's view of devices and processes; precision is this module's own business.

    On a machine without a GPU it has to be told so: it would otherwise take each process of a launch
    for the only one (seen in accelerate 1.15).
    """
    return Accelerator(mixed_precision="no", cpu=not torch.accelerator.is_available())


def precision_of(wanted: MatmulPrecision, device: torch.device) -> torch.dtype:
    """Return the torch dtype of the matrix products; ``auto``: bfloat16 where the processor has it."""
    if wanted is MatmulPrecision.AUTO:
        if device.type == "cuda":
            fast = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            fast = device.type == "cpu" and _cpu_multiplies_bf16()
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if wanted is MatmulPrecision.BF16 else torch.float32


def _cpu_multiplies_bf16() -> bool:
    """Tell whether the CPU has AVX512-BF16 or AMX; torch names both under private names only."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)


@contextlib.contextmanager
def computing(dtype: torch.dtype, device: torch.device) -> Iterator[None]:
    """Run matrix products in ``dtype``."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
        yield


def predict(
    model: PreTrainedModel, tokens: Tokens, *, precision: MatmulPrecision = MatmulPrecision.AUTO
) -> Outputs:
    """Run a model over texts, divided among all processes; each gets the outputs."""
    device, process = model.device, accelerator()
    model.eval()
    parts: list[tuple[Indices, Outputs]] = []
    batches = batching.by_length(tokens.lengths, batch_size=EVALUATION_BATCH)
    texts = replace(tokens, rows=None)  # each by itself
    with torch.inference_mode(), computing(precision_of(precision, device), device):
        for rows in batches[process.process_index :: process.num_processes]:
            batch = to_device(texts, rows, device)
            logits = heads.answers(model, batch.ids, batch.mask)
            counts = heads.mask_counts(model, batch.ids)
            parts.append((rows, _without_padding(logits.float().cpu().numpy(), batch.mask, counts)))
    gathered: Sequence[tuple[Indices, Outputs]] = gather_object(parts) if process.num_processes > 1 else parts
    order = np.argsort(np.concatenate([rows for rows, _ in gathered]), kind="stable")
    found = Outputs.concatenate(part for _, part in gathered)[order]
    located = tokens.places is not None and len(found.values) == len(tokens.places)
    places = np.asarray(tokens.places, np.int64) if located else None
    starts = tokens.rows if tokens.rows is not None else tokens.inputs
    if starts is not None:  # of a row, the units of all its texts; of a question, those of all windows
        return Outputs(found.values, found.offsets[starts], places)
    return Outputs(found.values, found.offsets, places)


def _without_padding(values: npt.NDArray[np.float32], mask: Tensor, masks: Tensor | None) -> Outputs:
    """Pack a batch's logits: float32 [B, L] as they are, of [B, S, L] those of tokens.

    ``masks``: int64[B], where they are [masks, L], those of each text.
    """
    if masks is not None:
        return Outputs(values, np.concatenate([np.zeros(1, np.int64), np.cumsum(masks.cpu().numpy())]))
    if values.ndim == 2:
        return Outputs.of_texts(values)
    tokens = mask.cpu().numpy().astype(bool)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(tokens.sum(axis=1))])
    return Outputs(values[tokens], offsets)


def to_device(
    tokens: Tokens, rows: Indices, device: torch.device, *, multiple: int = 1, step: int = 0
) -> ProcessBatch:
    """Pad the texts of ``rows``, see :meth:`Tokens.batch`, and put them on a device."""
    texts = tokens.texts_of(rows)
    ids, mask = (torch.from_numpy(each).to(device) for each in tokens.batch(texts, multiple=multiple))
    if tokens.rows is None:
        return ProcessBatch(rows, ids, mask, step=step)
    owners = torch.from_numpy(np.repeat(np.arange(len(rows)), tokens.rows[rows + 1] - tokens.rows[rows]))
    return ProcessBatch(rows, ids, mask, texts, owners.to(device), step)
