"""Goldens: a few inputs with the logits they must give, replayed when a bundle first runs on a machine.

Hashes tell that the files are whole; goldens tell that this engine, on this processor, computes with
them what it should.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta.errors import BundleError, EdgeRobertaError, EngineError
from edgeroberta.runtime import processor
from edgeroberta.runtime.encoding import Encoding, Input
from edgeroberta.runtime.manifest import canonical, damaged, is_canonical
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.storage import jsontext
from edgeroberta.storage.cache import cache_dir
from edgeroberta.tasks import Comparable, Outputs, all_of_them
from edgeroberta.version import __version__

GOLDENS_FILE = "goldens.json"
SCHEMA_VERSION = 1

logger = logging.getLogger(__name__)

RunIds = Callable[[Sequence[Any]], Outputs]


@dataclass(frozen=True)
class Goldens:
    """Inputs and the answers they must give."""

    inputs: tuple[Input, ...]  # texts or pairs
    ids: tuple[tuple[int, ...], ...]  # token ids of each
    outputs: Outputs  # of each, from ONNX Runtime on the machine that made the bundle
    atol: float  # largest absolute difference of a logit that still is the same answer
    #: the same of the graph whose weights are in half precision, which ONNX Runtime computes in float32;
    #: engines that compute in fp16 are held to them. None where no engine does. That graph itself is held to
    #: the float32 one where the bundle is made, see :mod:`edgeroberta.quantization.ort`.
    float_outputs: Outputs | None = None
    float_atol: float | None = None  # what ``atol`` is to ``float_outputs``

    def allowed(self, precision: str) -> float:
        """Return the largest difference to :meth:`answers` that still is the same answer."""
        if precision == "fp16" and self.float_atol is not None:
            return self.float_atol
        return self.atol

    def answers(self, precision: str) -> Outputs:
        """Return the outputs that an engine of a precision must give."""
        if precision == "fp16" and self.float_outputs is not None:
            return self.float_outputs
        return self.outputs

    def to_bytes(self) -> bytes:
        """Serialize as ``goldens.json``."""
        fields: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "inputs": [item if isinstance(item, str) else list(item) for item in self.inputs],
            "ids": [list(ids) for ids in self.ids],
            "logits": self.outputs.values.astype(float).tolist(),
            "atol": self.atol,
        }
        if not self.outputs.per_text:
            fields["offsets"] = self.outputs.offsets.tolist()
        if self.float_outputs is not None:
            fields["float_logits"] = self.float_outputs.values.astype(float).tolist()
            fields["float_atol"] = self.float_atol
        return canonical(fields)


@np.errstate(over="raise")  # a number beyond float32 is damage
def load(folder: Path) -> Goldens:
    """Read ``goldens.json``. Raises BundleError: the file is missing or damaged."""
    file = folder / GOLDENS_FILE
    try:
        data = file.read_bytes()
        fields = jsontext.loads(data)
        offsets = np.array(fields.get("offsets", range(len(fields["inputs"]) + 1)), np.int64)
        goldens = Goldens(
            inputs=tuple(item if isinstance(item, str) else (item[0], item[1]) for item in fields["inputs"]),
            ids=tuple(tuple(ids) for ids in fields["ids"]),
            outputs=Outputs(np.array(fields["logits"], np.float32), offsets),
            atol=float(fields["atol"]),
            float_outputs=Outputs(np.array(fields["float_logits"], np.float32), offsets)
            if "float_logits" in fields
            else None,
            float_atol=float(fields["float_atol"]) if "float_logits" in fields else None,
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, ArithmeticError, RecursionError) as error:
        raise damaged(file, f"not readable ({error})") from error
    whole = len(goldens.inputs) == len(goldens.ids) == len(goldens.outputs)
    if not is_canonical(fields, data) or not whole or len(goldens.outputs.values) != offsets[-1]:
        raise damaged(file, "not as it was written")
    return goldens


def check_tokens(goldens: Goldens, tokenizer: TextTokenizer, folder: Path) -> list[Encoding]:
    """Check that the texts still give the ids they gave where the bundle was made."""
    encodings = tokenizer.truncated(goldens.inputs)
    for item, encoding, ids in zip(goldens.inputs, encodings, goldens.ids, strict=True):
        if tuple(encoding.ids.tolist()) != ids:
            raise BundleError(
                f"the tokenizer gives other tokens for {item!r} than where the bundle was made",
                where=str(folder),
                hint="pip install --upgrade tokenizers",
            )
    return encodings


def max_abs_difference(
    goldens: Goldens, outputs: Outputs, *, precision: str = "int8", comparable: Comparable = all_of_them
) -> float:
    """Return the largest absolute difference to the golden logits; infinite where one is not finite.

    ``comparable``: the task's :meth:`~edgeroberta.tasks.TaskKind.comparable`.
    """
    found, answers = outputs.values, goldens.answers(precision).values
    if found.shape != answers.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(comparable(found) - comparable(answers)).max(initial=0.0))


def check_answers(
    goldens: Goldens,
    run_ids: RunIds,
    *,
    engine: str,
    precision: str = "int8",
    comparable: Comparable = all_of_them,
    where: str = GOLDENS_FILE,
) -> float:
    """Run the golden inputs and compare.

    ``run_ids``: maps int64 id arrays to outputs. ``precision``: what the engine computes in;
    see :attr:`edgeroberta.runtime.session.Engine.precision`. ``comparable``: as for
    :func:`max_abs_difference`. ``where``: what an error names. Raises EngineError: it is more than the
    goldens allow.
    """
    outputs = run_ids([np.array(ids, np.int64) for ids in goldens.ids])
    found = max_abs_difference(goldens, outputs, precision=precision, comparable=comparable)
    allowed = goldens.allowed(precision)
    if not found <= allowed:
        raise EngineError(
            f"{engine} gives other answers here than where the bundle was made: "
            f"logits differ by {found:.3g}, allowed is {allowed:.3g}",
            where=where,
            hint="open the bundle with another engine, or run: edgeroberta doctor",
        )
    return found


class GoldenCheckCache:
    """Remembers, in the user's cache, that the goldens passed for a bundle and engine on this machine.

    The machine is its processor and its GPUs, of which ``CUDA_VISIBLE_DEVICES`` may choose another one.

    Where there is no cache, or it is not writable, nothing is remembered and they run each time.
    """

    def __init__(self, *facts: str) -> None:
        machine = (
            platform.node(),
            platform.machine(),
            processor.identity(),
            ", ".join(processor.gpus()),
            os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        )
        # Another version of this package may ask the engine in another way.
        key = hashlib.sha256("\0".join((__version__, *facts, *machine)).encode()).hexdigest()
        try:
            self._file: Path | None = cache_dir() / "goldens" / key
        except EdgeRobertaError as error:
            self._file = None
            logger.info("goldens run at every opening (%s)", error.what)

    def __bool__(self) -> bool:
        """True when they have passed before."""
        try:
            return self._file is not None and self._file.is_file()
        except OSError:
            return False

    def remember(self) -> None:
        """Note that they passed."""
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch()
        except OSError as error:
            logger.info("cannot remember that the goldens passed (%s); they run again next time", error)
