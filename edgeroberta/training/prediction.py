"""Running PyTorch models over texts: devices, number formats, batches by length."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

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

    rows: Indices  # int64[B] on the host, which texts
    ids: Tensor  # token ids, int64[B, S]
    mask: Tensor  # attention mask, int64[B, S]


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
    parts: list[tuple[Indices, npt.NDArray[np.float32]]] = []
    batches = batching.by_length(tokens.lengths, batch_size=EVALUATION_BATCH)
    with torch.inference_mode(), computing(precision_of(precision, device), device):
        for rows in batches[process.process_index :: process.num_processes]:
            batch = to_device(tokens, rows, device)
            logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits
            values = logits.float().cpu().numpy()
            # One vector per token: those of padding are left out, and texts follow one another.
            parts.append((rows, values[batch.mask.cpu().numpy().astype(bool)] if values.ndim > 2 else values))
    gathered: Sequence[tuple[Indices, npt.NDArray[np.float32]]] = (
        gather_object(parts) if process.num_processes > 1 else parts
    )
    if sum(len(values) for _, values in gathered) == len(tokens) != tokens.offsets[-1]:
        result = np.empty((len(tokens), model.config.num_labels), np.float32)
        for rows, values in gathered:
            result[rows] = values
        return Outputs.of_texts(result)
    found = Outputs.concatenate(
        Outputs(values, np.concatenate([[0], np.cumsum(tokens.lengths[rows])])) for rows, values in gathered
    )
    order = np.argsort(np.concatenate([rows for rows, _ in gathered]), kind="stable")
    places = None if tokens.places is None else np.asarray(tokens.places, np.int64)
    return Outputs(found[order].values, tokens.offsets, places)


def to_device(tokens: Tokens, rows: Indices, device: torch.device, *, multiple: int = 1) -> ProcessBatch:
    """Pad the texts at ``rows``, see :meth:`Tokens.batch`, and put them on a device."""
    ids, mask = tokens.batch(rows, multiple=multiple)
    return ProcessBatch(rows, torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))
