"""The baseline as its users run it: transformers and PyTorch, in float32 or half as wide."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta.errors import UnavailableError, UsageError, missing_extra
from edgeroberta.measure import torch_windows
from edgeroberta.measure.mask_answers import Targets, TorchMasks
from edgeroberta.measure.protocol import DTYPES, Inputs, SubjectSpec
from edgeroberta.measure.stopwatch import Stopwatch
from edgeroberta.roberta import hftokenizer, loading, token_types
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import prompts
from edgeroberta.runtime.encoding import Encoding, WordMarks, all_windows, merge_windows
from edgeroberta.runtime.prompts import Prompts
from edgeroberta.runtime.token_numbers import TokenNumbers
from edgeroberta.tasks import Outputs, Problem, Unit

#: Tokens, padding included, that one batch of the accuracy pass may hold: 64 texts of 128 tokens.
#: Activations of RoBERTa-large stay below 1 GB.
BATCH_TOKENS = 8192


class TorchBaseline:
    """A Hugging Face model with a head.

    Of a task per token, outputs are those of each text's tokens, padding left out. A half-wide model has
    all its weights in that type, as one would serve it; nothing is cast call by call (no autocast).
    Logits come back as float32 whatever it runs in. ``device``: ``cpu`` or ``cuda``. ``dtype``:
    ``float32``, ``float16`` or ``bfloat16``. ``engine``: ``torch``. ``device``: ``cpu``, or the name of
    the GPU. ``device_clock``: True on a GPU, where CUDA events time the model alone.
    """

    engine = "torch"

    def __init__(
        self,
        model: Checkpoint | Path,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        overlap: int | None = None,
    ) -> None:
        torch, _ = _import()
        source = Checkpoint.of(model)
        if dtype not in DTYPES:
            raise UsageError(f"unknown type {dtype!r} ({', '.join(DTYPES)})", where="--dtype")
        self._torch = torch
        self._where = torch.device(device)
        # TF32 would make a float32 reference one of 10-bit mantissas (default off; the environment
        # variable TORCH_ALLOW_TF32_CUBLAS_OVERRIDE can switch it on).
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        with warnings.catch_warnings():
            # What transformers has to say of old config fields is no news to someone who measures.
            warnings.simplefilter("ignore")
            config = loading.transformers_config(source)
            self.tokenizer = hftokenizer.load_as_written(source)
            # The folder may be one that a bundle names: no download, and no pickle, which runs code.
            loaded = loading.load(source, config, dtype=getattr(torch, dtype))
        self.model, self._head = loaded.to(self._where), source.head
        self._source = source
        self._marks = WordMarks.of(self.tokenizer.backend_tokenizer)
        self.task = source.task
        self.unit = source.task.kind.unit
        self._asks = source.task.problem is Problem.SPANS  # questions, of whose contexts long ones are cut
        self._prompts = prompts.read(source.folder) if self.task.apart else Prompts()
        self.max_length = source.max_length
        self.overlap = overlap
        self.vocab_size = source.config.vocab_size
        self.version = str(torch.__version__)
        self.device = torch.cuda.get_device_name(self._where) if device == "cuda" else "cpu"
        self.dtype = dtype
        self.watch = Stopwatch()
        self.device_clock = device == "cuda"
        self.bytes = source.weight_bytes

    def answer(self, inputs: Inputs) -> list[int]:
        """Tokenize, run, and bring the first label of each text or token back to the CPU."""
        if self.task.apart:
            inputs, _ = self._one_by_one(inputs)
        self._tell_types(inputs)
        if self.overlap is not None or self._asks or self.unit is Unit.MASK:
            first: list[int] = self.outputs(inputs).values.argmax(-1).tolist()
            return first
        started = time.perf_counter()
        batch = self._encode(list(inputs))
        self.watch.tokenize += time.perf_counter() - started
        found: list[int] = self._run(batch).argmax(-1).tolist()
        return found

    def answer_ids(self, ids: np.ndarray) -> np.ndarray:
        """Return float32 logits of int64 ids ``[batch, length]``, all of them tokens."""
        tensor = self._torch.from_numpy(ids).to(self._where)
        batch = {"input_ids": tensor, "attention_mask": self._torch.ones_like(tensor)}
        return self._run(batch).cpu().numpy()

    def outputs(self, inputs: Inputs, targets: Targets | None = None) -> Outputs:
        """Return what the model gives for each of one or more inputs, batched by length.

        ``targets``: true tokens of each text's masks, whose log-probabilities are wanted, too.
        """
        if self.unit is Unit.MASK:
            return self._of_masks(inputs, targets)
        if self.task.apart:
            texts, units = self._one_by_one(inputs)
            return Outputs(self._batched(texts).values, np.cumsum([0, *units], dtype=np.int64))
        self._tell_types(inputs)
        if self.overlap is not None or self._asks:
            return self._of_windows(inputs, self.overlap)
        return self._batched(inputs)

    def _one_by_one(self, inputs: Inputs) -> tuple[list[str], list[int]]:
        """Return the texts of inputs that are read by themselves, and how many of them each input has."""
        front = self._prompts.text(None)
        each = [(item,) if isinstance(item, str) else item for item in inputs]
        return [front + text for texts in each for text in texts], [len(texts) for texts in each]

    def _batched(self, inputs: Inputs) -> Outputs:
        order = sorted(range(len(inputs)), key=lambda row: len(str(inputs[row])))
        found: dict[int, np.ndarray] = {}
        places: dict[int, np.ndarray] = {}
        for rows in _batches(order, self._lengths(inputs)):
            batch = self._encode([inputs[row] for row in rows])
            values = self._run(batch).cpu().numpy()
            for number, row in enumerate(rows):
                if self.unit is Unit.TEXT:
                    found[row] = values[number : number + 1]
                    continue
                encoding = batch.encodings[number]
                length = sum(encoding.attention_mask)
                spans, special = encoding.offsets[:length], encoding.special_tokens_mask[:length]
                found[row] = values[number, :length]
                places[row] = self._marks.places(str(inputs[row]), spans, special, encoding.ids[:length])
        numbers = range(len(inputs))
        return Outputs.pack(
            [found[row] for row in numbers], [places[row] for row in numbers] if places else None
        )

    def _tell_types(self, inputs: Inputs) -> None:
        """Let the model tell the texts of pairs apart, where it does and these are read as one."""
        pair = not isinstance(inputs[0], str) and not self.task.apart
        token_types.tell(self.model, self._source.separator_id if pair else None)

    def _windows(self, inputs: Inputs, overlap: int | None) -> list[Encoding]:
        if self._asks or overlap is None:
            return torch_windows.encode_questions(self.tokenizer, inputs, self.max_length, overlap)
        return torch_windows.encode(
            self.tokenizer, inputs, self.max_length, overlap, places=self.unit.located
        )

    def _of_windows(self, inputs: Inputs, overlap: int | None) -> Outputs:
        """Read long texts in windows, and merge what these give as the runtime does."""
        started = time.perf_counter()
        windows = self._windows(inputs, overlap)
        flat = all_windows(windows)
        lengths = [len(window.ids) for window in flat]
        order = sorted(range(len(flat)), key=lengths.__getitem__)
        self.watch.tokenize += time.perf_counter() - started
        found: dict[int, np.ndarray] = {}
        for rows in _batches(order, lengths):
            ids = [{"input_ids": flat[row].ids.tolist()} for row in rows]
            batch = self.tokenizer.pad(ids, return_tensors="pt").to(self._where)
            values = self._run(batch).cpu().numpy()
            for number, row in enumerate(rows):
                one = values[number : number + 1]
                found[row] = one if self.unit is Unit.TEXT else one[0, : lengths[row]]
        outputs = Outputs.pack([found[row] for row in range(len(flat))])
        return merge_windows(self.task, outputs, windows)

    def _of_masks(self, inputs: Inputs, targets: Targets | None) -> Outputs:
        numbers = TokenNumbers.read(self._source.folder)
        masks = TorchMasks(self.model, self.tokenizer, self.task, self.max_length, self.overlap, numbers)
        started = time.perf_counter()
        encodings = masks.encode(inputs)
        self.watch.tokenize += time.perf_counter() - started
        flat = all_windows(encodings)
        wanted = masks.flat_targets(encodings, targets)
        lengths = [len(window.ids) for window in flat]
        found: dict[int, np.ndarray] = {}
        for rows in _batches(sorted(range(len(flat)), key=lengths.__getitem__), lengths):
            ids = [{"input_ids": flat[row].ids.tolist()} for row in rows]
            batch = self.tokenizer.pad(ids, return_tensors="pt").to(self._where)
            asked = None if wanted is None else np.concatenate([wanted[row] for row in rows])
            started = time.perf_counter()
            with self._torch.inference_mode():
                parts = masks.run(batch["input_ids"], batch["attention_mask"], asked)
            self.watch.engine += time.perf_counter() - started
            found.update(zip(rows, parts, strict=True))
        return masks.merged([found[row] for row in range(len(flat))], encodings)

    def _encode(self, inputs: Any) -> Any:
        texts, pairs = torch_windows.apart(inputs)
        tokens = self.tokenizer(
            texts, pairs, truncation=True, max_length=self.max_length, padding=True, return_tensors="pt"
        )
        return tokens.to(self._where)

    def _lengths(self, inputs: Inputs) -> list[int]:
        # Characters bound the tokens closely enough to size batches: a token is at least one byte.
        return [min(self.max_length, len(str(each).encode("utf-8", "replace")) + 4) for each in inputs]

    def _run(self, batch: Any) -> Any:
        started = time.perf_counter()
        with self._torch.inference_mode():
            if self.device_clock and self.watch.ask_device:
                logits = self._run_on_the_clock(batch)
            else:
                logits = self._answers(batch)
            if self.device_clock:
                # Kernels run on after the call has returned; the caller waits for them all the same.
                self._torch.cuda.synchronize(self._where)
        self.watch.engine += time.perf_counter() - started
        return logits

    def _answers(self, batch: Any) -> Any:
        found = self.model(**batch)
        return self._head.read(found, batch["input_ids"], batch["attention_mask"]).float()

    def _run_on_the_clock(self, batch: Any) -> Any:
        begin, end = (self._torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        logits = self._answers(batch)
        end.record()
        self._torch.cuda.synchronize(self._where)
        self.watch.device = (self.watch.device or 0.0) + begin.elapsed_time(end) / 1000
        return logits


def open_baseline(spec: SubjectSpec) -> TorchBaseline:
    """Open the baseline in a worker, with the threads it was given."""
    torch, _ = _import()
    torch.set_num_threads(spec.threads)
    return TorchBaseline(
        Path(spec.path), device=pick_device(spec.device), dtype=spec.dtype, overlap=spec.overlap
    )


def pick_device(device: str) -> str:
    """Turn ``auto`` into ``cuda`` where torch sees a GPU, else ``cpu``."""
    torch, _ = _import()
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"unknown device {device!r} (auto, cpu, cuda)", where="--device")
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UnavailableError(
            "torch sees no CUDA device here", where="--device", hint="leave it out, or --device cpu"
        )
    if device == "auto":
        return "cuda" if available else "cpu"
    return device


def _import() -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError as error:
        raise missing_extra(error.name or "torch", "compress", purpose="measuring the baseline") from error
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return torch, transformers


def _batches(order: list[int], lengths: list[int]) -> list[list[int]]:
    batches: list[list[int]] = []
    current: list[int] = []
    longest = 0
    for row in order:
        longest = max(longest, lengths[row])
        if current and (len(current) + 1) * longest > BATCH_TOKENS:
            batches.append(current)
            current, longest = [], lengths[row]
        current.append(row)
    return [*batches, current] if current else batches
