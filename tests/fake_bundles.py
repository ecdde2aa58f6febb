"""Tiny bundles with a chosen number of wrong answers, for tests of everything that measures.

The graph adds up a row of a table per token, so it takes milliseconds to write and to open, and its
answer does not depend on padding. Which answers are wrong is decided by the reference: it says what the
bundle says, except on the first ``wrong`` rows.
"""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta import bundle_writer
from edgeroberta.data import load_heldout
from edgeroberta.data.rows import DataSpec, Rows
from edgeroberta.evaluation import baseline_store
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.hardware import MachineFacts
from edgeroberta.measure.clock import CallShape, TimedCalls, summarise
from edgeroberta.measure.paired import PairedTimes
from edgeroberta.measure.process import WorkerError
from edgeroberta.measure.protocol import SubjectSpec, WorkerReady
from edgeroberta.metrics import all_metrics
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.session import open_session
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.storage import artifact
from edgeroberta.tasks import Outputs, Problem, Task, as_outputs

TOKENIZER = Path(__file__).parent / "fixtures" / "tokenizer"
VOCAB, MAX_LENGTH = 600, 512
TASK = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
WORDS = ("film", "plot", "music", "actor", "scene", "story", "ending", "script", "camera", "silence")


def write(
    folder: Path,
    *,
    data: Path | None = None,
    engines: tuple[str, ...] = ("onnxruntime",),
    table: np.ndarray | None = None,
    tokenizer: Path = TOKENIZER,
    max_length: int = MAX_LENGTH,
) -> Path:
    """Write a bundle without reports into an empty folder.

    ``table``: float32 ``[tokens, labels]``, what each token adds to the logits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = default_table() if table is None else table
    _graph(folder / "model.onnx", rows)
    for file in tokenizer.glob("*.json"):
        shutil.copyfile(file, folder / file.name)
    artifact.write_json(folder / "config.json", {"vocab_size": len(rows), "model_type": "roberta"})
    session = open_session("onnxruntime", folder, threads=1, lengths=Lengths((max_length,), ()))
    goldens = bundle_writer.make_goldens(
        TextTokenizer.open(folder, max_length), session, pair=False, precision="fp32"
    )
    bundle_writer.write_goldens(goldens, folder)
    seal(folder, data=data, engines=engines, max_length=max_length)
    return folder


def seal(
    folder: Path,
    *,
    data: Path | None = None,
    engines: tuple[str, ...] = ("onnxruntime",),
    model: str = "full/",
    digest: str = "1" * 64,
    max_length: int = MAX_LENGTH,
) -> None:
    spec = None if data is None else asdict(DataSpec(str(data), eval_data=str(data)))
    source = {"stage": "source", "config": {"model": "full/", "data": spec}, "seed": 0, "seconds": 0.0}
    bundle_writer.seal(
        folder,
        {
            "task": {"problem": TASK.problem.value, "labels": list(TASK.labels), "pair": False},
            "max_length": max_length,
            "pad_token_id": 1,
            "engines": list(engines),
            "target": "cpu",
            "threads": 1,
            "lengths": {"bin": 16, "counts": ([6, 3, 1] + [0] * 29)[: -(-max_length // 16)]},
            "precision": "fp32",
            "lineage": [source],
            "baseline": {"model": model, "digest": digest, "parameters": 1, "bytes": 1},
            "gate": None,
        },
    )


def with_reports(
    folder: Path,
    data: Path,
    *,
    wrong: int,
    gate: GateLimits | None = None,
    engines: tuple[str, ...] = ("onnxruntime",),
) -> Path:
    """Write a bundle that answers ``wrong`` of the rows of ``data`` in another way than its reference."""
    write(folder, data=data)
    rows = load_heldout(DataSpec(str(data), eval_data=str(data)), TASK)
    baseline_store.save(make_reference(folder, rows, wrong=wrong), folder / "reports" / "reference")
    artifact.write_json(folder / "reports" / "report.json", {"gate": asdict(gate or GateLimits())})
    seal(folder, data=data, engines=engines)
    return folder


def write_data(file: Path, count: int, folder: Path, *, wrong: int = 0) -> Path:
    """Write labelled rows; the bundle in ``folder`` answers all but the first ``wrong`` as labelled."""
    rng = np.random.default_rng(0)
    texts = [" ".join([*rng.choice(WORDS, size=int(rng.integers(1, 12))), str(row)]) for row in range(count)]
    with Runtime.open(folder) as runtime:
        labels = [str(answer.label) for answer in runtime(texts)]
    for row in range(wrong):
        labels[row] = TASK.labels[1 - TASK.labels.index(labels[row])]
    with file.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([("text", "label"), *zip(texts, labels, strict=True)])
    return file


def make_reference(folder: Path, rows: Rows, *, wrong: int) -> BaselineAnswers:
    """Make a reference that answers the first ``wrong`` rows in the other way than the bundle does."""
    with Runtime.open(folder) as runtime:
        logits = runtime.logits(rows.inputs())
    logits[:wrong] *= -1
    return fixed_reference(rows, logits)


def fixed_reference(rows: Rows, logits: np.ndarray, **changes: Any) -> BaselineAnswers:
    """Make a reference of given logits, with fixed facts around them."""
    facts: dict[str, Any] = {
        "model": "full/",
        "model_digest": "1" * 64,
        "parameters": 30_000_000,
        "bytes": 120_000_000,
        "task": TASK,
        "data_digest": rows.digest,
        "data_source": rows.source,
        "rows": len(rows),
        "metrics": all_metrics(TASK, logits, rows.labels),
        "outputs": Outputs.of_texts(logits.astype(np.float32)),
        "dtype": "float32",
        "max_length": 512,
        "device": "NVIDIA H200",
        "machine": DEVICE,
        "latency": summarise([[0.010, 0.011, 0.012]], CallShape(warmup=10)),
    }
    return BaselineAnswers(**{**facts, **changes})


DEVICE = MachineFacts(
    cpu="Example CPU",
    flags=("avx2", "avx512_vnni"),
    cores=2,
    memory_bytes=8 << 30,
    system="Linux 6.1 x86_64",
    python="3.11.7",
    load=0.25,
    versions={"edgeroberta": "0.1.0", "onnxruntime": "1.31.1", "torch": "2.13.0"},
)


def default_table() -> np.ndarray:
    """Return what each token adds to the logits, float32 ``[VOCAB, labels]``."""
    return np.random.default_rng(1).normal(size=(VOCAB, len(TASK.labels))).astype(np.float32)


def _graph(file: Path, table: np.ndarray) -> None:
    from onnx import TensorProto, helper, numpy_helper, save

    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "two"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["logits"], keepdims=0),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(TASK.labels)])
    constants = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(np.array([2], np.int64), "two"),
    ]
    graph = helper.make_graph(nodes, "toy", inputs, [output], constants)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(file))


def read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


class FakeWorker:
    """A model that answers from a table of logits, in this process; see ``edgeroberta.measure.process``.

    Args:
        spec: What it pretends to have opened.
        logits: float32 ``[rows, labels]``, or outputs per token.
        padded: Added to the logits of padded texts.
        fails: Method name to the error it raises.
        seconds: What every call takes.
        device_clock: Has a clock of its own.
        tiers: Names of the tiers of a cascade; ``tier_of_call`` says whose calls are, one after the other.
    """

    def __init__(
        self,
        spec: SubjectSpec,
        logits: np.ndarray | Outputs,
        *,
        padded: float = 0.0,
        fails: dict[str, WorkerError] | None = None,
        seconds: float = 0.001,
        device_clock: bool = False,
        tiers: tuple[str, ...] = (),
        tier_of_call: tuple[int, ...] = (),
    ) -> None:
        self.tiers, self.tier_of_call = tiers, tier_of_call
        self.spec, self.table, self.padded = spec, logits, padded
        self.fails, self.seconds = fails or {}, seconds
        self.device_clock = device_clock
        self.asked: list[Any] = []
        self.closed = False

    def open(self) -> WorkerReady:
        self._note("open", None)
        engine = self.spec.engine or self.spec.subject
        return WorkerReady(engine, "1.2.3", "cpu", 30_000_000, 0.5, VOCAB, self.device_clock, self.tiers)

    def time(self, calls: Any, *, limit_s: float, device: bool = False, through: bool = False) -> TimedCalls:
        self._note("device" if device else "through" if through else "time", [list(rows) for rows in calls])
        found = self._calls(len(calls), device)
        whole = len(self.tiers)
        tiers = np.resize((whole - 1,) if through else self.tier_of_call, len(calls)) if whole else []
        # A tier takes as long as the tiers before it and a call.
        seconds = [self.seconds * (1 + tier) for tier in tiers] if whole else found.seconds
        return replace(found, seconds=seconds, tiers=[int(tier) for tier in tiers])

    def time_ids(
        self, lengths: Any, *, batch: int, seed: int, limit_s: float, device: bool = False
    ) -> TimedCalls:
        self._note("device_ids" if device else "time_ids", (list(lengths), batch))
        return self._calls(len(lengths), device)

    def _calls(self, count: int, device: bool) -> TimedCalls:
        """A tenth of a call is the tokenizer's, seven tenths the engine's, half the device's."""
        parts = {"tokenize": 0.1, "engine": 0.7, **({"device": 0.5} if device else {})}
        return TimedCalls(
            [self.seconds] * count, **{name: [part * self.seconds] * count for name, part in parts.items()}
        )

    def outputs(self, rows: Any, *, way: str = "batched") -> Outputs:
        self._note("outputs", way)
        found = self.table[list(rows)]
        if self.padded and "padded" in way:
            found = found + np.float32(self.padded) * np.array([1, -1], np.float32)
        return as_outputs(found)

    def beside(
        self, folder: Path, rows: Any, *, lengths: Any, vocab_size: int, limit_s: float
    ) -> PairedTimes:
        """A float graph that takes 1.1 times as long."""
        self._note("beside", (list(rows), lengths))
        count = len(lengths or rows)
        return PairedTimes([24] * count, [self.seconds] * count, [1.1 * self.seconds] * count, 0.02)

    def memory(self) -> int:
        self._note("memory", None)
        return 100_000_000

    def close(self) -> None:
        self.closed = True

    def _note(self, what: str, detail: Any) -> None:
        assert not self.closed
        self.asked.append((what, detail))
        if what in self.fails:
            raise self.fails[what]
