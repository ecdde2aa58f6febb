from __future__ import annotations

import dataclasses
import importlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_bundles
import numpy as np
import pytest
from tokenizers import Tokenizer

from edgeroberta import cascade_writer
from edgeroberta.data.rows import Rows
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.per_stage import PerStageMetrics, measuring
from edgeroberta.evaluation.per_stage.measuring import EvaluatedRun, measure
from edgeroberta.measure.clock import TimedCalls, time_calls
from edgeroberta.measure.process import WorkerError
from edgeroberta.measure.protocol import RowStatus, SubjectSpec, WorkerReady
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import Artifact, Kind, Lineage, digest_tree
from edgeroberta.tasks import Outputs
from edgeroberta.tasks.similarity import cosines

TEXTS = tuple(f"the film is {word} and long {row}" for row in range(20) for word in ("great", "dull"))
EMBEDDINGS = "roberta.embeddings.word_embeddings.weight"


class Here:
    """A model in this process, so that a test need not start any; the class counts what was opened."""

    opened: list[str] = []  # noqa: RUF012 (emptied by a fixture)

    def __init__(self, spec: SubjectSpec) -> None:
        self.spec = spec

    def open(self) -> WorkerReady:
        Here.opened.append(self.spec.path)
        module, _, function = self.spec.subject.partition(":")
        self.subject: Any = getattr(importlib.import_module(module), function)(self.spec)
        found = self.subject
        return WorkerReady(found.engine, found.version, "cpu", found.bytes, 0.1, found.vocab_size)

    def time(
        self, calls: Sequence[Sequence[int]], *, limit_s: float, device: bool = False, through: bool = False
    ) -> TimedCalls:
        return time_calls(self.subject.answer, [[self.spec.inputs[row] for row in rows] for rows in calls])

    def time_ids(
        self, lengths: Sequence[int], *, batch: int, seed: int, limit_s: float, device: bool = False
    ) -> TimedCalls:
        raise AssertionError("texts are timed, with their tokenization")

    def outputs(self, rows: Sequence[int], *, way: str = "batched") -> Outputs:
        found: Outputs = self.subject.outputs([self.spec.inputs[row] for row in rows])
        return found

    def memory(self) -> int:
        return 1

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _short(monkeypatch) -> None:
    monkeypatch.setattr(measuring, "TIMED", replace(measuring.TIMED, calls=4, warmup=2))
    Here.opened.clear()


def stage(path: Path, name: str, kind: Kind) -> Artifact:
    content = digest_tree(path)
    return Artifact(path, kind, Lineage(name, content, {}, 0, {}, {}, 1.0, content=content))


def graph_of(checkpoint: Path, folder: Path) -> Artifact:
    from edgeroberta.roberta.graph import write_float

    folder.mkdir()
    Checkpoint(checkpoint).copy_files(folder)
    write_float(checkpoint, folder / "model.onnx")
    return stage(folder, "export", Kind.GRAPH)


def edited(checkpoint: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a checkpoint whose tensors ``change`` may edit in place."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(checkpoint, folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def upside_down(tensors: dict[str, Any]) -> None:
    """Make a classifier say the opposite."""
    for name in ("weight", "bias"):
        tensors[f"classifier.out_proj.{name}"] = np.negative(tensors[f"classifier.out_proj.{name}"])


def reference_of(checkpoint: Path, rows: Rows) -> BaselineAnswers:
    from edgeroberta.measure.torch_baseline import TorchBaseline

    return fake_bundles.fixed_reference(rows, TorchBaseline(checkpoint).outputs(rows.inputs()).values)


@pytest.fixture
def run(tmp_path, tiny_checkpoint) -> EvaluatedRun:
    """A run that has made nothing yet; every row's label is what the baseline answers."""
    rows = Rows(TEXTS, None, np.zeros(len(TEXTS), np.int64), "rows.csv")
    reference = reference_of(tiny_checkpoint, rows)
    rows = replace(rows, labels=reference.outputs.values.argmax(1))
    source = stage(tiny_checkpoint, "source", Kind.CHECKPOINT)
    full = Checkpoint(tiny_checkpoint)
    return EvaluatedRun(
        (source,), full, rows, reference, tmp_path / "per_stage", tmp_path / "scratch", seed=0
    )


def with_stages(run: EvaluatedRun, *made: Artifact) -> EvaluatedRun:
    return replace(run, artifacts=(*run.artifacts, *made))


def per_stage_of(run: EvaluatedRun, start: Any = Here) -> PerStageMetrics:
    found = measure(run, progress=Progress(), start=start)
    assert found is not None
    return found


def test_every_kind_of_model_has_a_row_measured_one_way(run, tmp_path, tiny_checkpoint, make_bundle):
    graph = graph_of(tiny_checkpoint, tmp_path / "graph")
    draft = stage(make_bundle(tiny_checkpoint), "build", Kind.DRAFT)
    report = stage(tmp_path / "graph", "verify", Kind.REPORT)
    found = per_stage_of(with_stages(run, graph, draft, report))
    assert [(row.stage, row.kind) for row in found.rows] == [
        ("baseline", "checkpoint"),
        ("export", "graph"),
        ("build", "draft"),
    ]
    assert (found.metric, found.measured, found.available, found.calls) == ("accuracy", 40, 40, 12)
    for row in found.rows:
        assert row.error is None
        assert (row.metric, row.agreement, row.flips) == (1.0, 1.0, 0)
        assert row.parameters == found.rows[0].parameters
        assert row.engine.startswith("onnxruntime 1.")
        assert row.p50_ms > 0
        assert row.calibration_error == pytest.approx(found.rows[0].calibration_error, abs=1e-5)
    assert [row.drop for row in found.rows] == [None, 0.0, 0.0]
    assert found.rows[0].speed_up == 1.0
    tokenizer = (tiny_checkpoint / "tokenizer.json").stat().st_size
    weights = (tiny_checkpoint / "model.safetensors").stat().st_size
    assert found.rows[0].bytes == weights + tokenizer
    assert found.rows[1].bytes == (tmp_path / "graph" / "model.onnx").stat().st_size + tokenizer


def test_a_stage_that_damages_the_model_answers_for_it_and_the_next_does_not(run, tmp_path, tiny_checkpoint):
    damaged = edited(tiny_checkpoint, tmp_path / "damaged", upside_down)
    pruned = stage(damaged, "prune", Kind.CHECKPOINT)
    found = per_stage_of(with_stages(run, pruned, graph_of(damaged, tmp_path / "graph"))).rows
    assert [row.stage for row in found] == ["baseline", "prune", "export"]
    assert [row.metric for row in found] == [1.0, 0.0, 0.0]
    assert [row.drop for row in found] == [None, 1.0, 0.0]
    assert [row.flips for row in found] == [0, 40, 40]


def test_a_smaller_model_has_fewer_parameters_and_so_has_its_graph(run, tmp_path, make_checkpoint):
    student = make_checkpoint(num_hidden_layers=1)
    made = with_stages(run, stage(student, "distill", Kind.CHECKPOINT), graph_of(student, tmp_path / "graph"))
    full, distilled, exported = per_stage_of(made).rows
    assert distilled.parameters < full.parameters
    assert exported.parameters == distilled.parameters


def test_the_stages_of_a_tier_are_held_to_what_that_tier_was_before(
    run, tmp_path, make_checkpoint, tiny_checkpoint, make_bundle
):
    """The first stage of each tier is held to the baseline, and the cascade, last, has all parameters."""
    small = make_checkpoint(num_hidden_layers=1, seed=1)
    graph, draft = graph_of(tiny_checkpoint, tmp_path / "graph"), make_bundle(tiny_checkpoint)
    last = cascade_writer.TierDraft("large", draft)
    first = cascade_writer.TierDraft("small", make_bundle(small), 0.9)
    cascade_writer.write(tmp_path / "both", [first, last], agreement=0.9, confidence=0.9, rows=9)
    found = per_stage_of(
        with_stages(
            run,
            replace(stage(small, "distill", Kind.CHECKPOINT), tier="small"),
            replace(graph, tier="large"),
            replace(stage(draft, "build", Kind.DRAFT), tier="large"),
            stage(tmp_path / "both", "cascade", Kind.DRAFT),
        )
    )
    assert [row.name for row in found.rows] == [
        "baseline",
        "small: distill",
        "large: export",
        "large: build",
        "cascade",
    ]
    full, distilled, exported, built, both = found.rows
    assert [row.error for row in found.rows] == [None] * 5
    assert distilled.drop == pytest.approx(full.metric - distilled.metric)
    assert exported.drop == pytest.approx(full.metric - exported.metric) == 0
    assert both.drop == pytest.approx(built.metric - both.metric)
    assert exported.parameters == built.parameters == full.parameters
    assert both.parameters == full.parameters + distilled.parameters
    assert found == PerStageMetrics.from_json(json.loads(json.dumps(dataclasses.asdict(found))))


def test_a_checkpoint_and_its_export_are_measured_once(run, tmp_path, make_checkpoint):
    student = make_checkpoint(seed=3)
    alone = with_stages(run, stage(student, "distill", Kind.CHECKPOINT))
    per_stage_of(replace(alone, kept=None))
    once = len(Here.opened)
    Here.opened.clear()
    found = per_stage_of(replace(with_stages(alone, graph_of(student, tmp_path / "graph")), kept=None)).rows
    assert len(Here.opened) == once
    assert found[1].p50_ms == found[2].p50_ms


def test_the_full_size_model_s_own_export_answers_and_is_not_timed_again(run, tmp_path, tiny_checkpoint):
    found = per_stage_of(with_stages(run, graph_of(tiny_checkpoint, tmp_path / "graph"))).rows
    assert len(Here.opened) == 2
    assert (found[1].p50_ms, found[1].speed_up) == (found[0].p50_ms, 1.0)
    assert found[1].flips == 0


def test_a_vocabulary_of_its_own_is_read_with_its_own_tokenizer(run, tmp_path, tiny_checkpoint):
    """Two tokens change places, in the tokenizer and in the table: every answer stays."""
    words = json.loads((tiny_checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = words["model"]["vocab"]
    names = Tokenizer.from_file(str(tiny_checkpoint / "tokenizer.json")).encode(TEXTS[0]).tokens[1:3]
    first, second = (vocabulary[name] for name in names)

    def swap(tensors: dict[str, Any]) -> None:
        table = tensors[EMBEDDINGS].copy()
        table[[first, second]] = table[[second, first]]
        tensors[EMBEDDINGS] = table

    folder = edited(tiny_checkpoint, tmp_path / "swapped", swap)
    foreign = stage(edited(tiny_checkpoint, tmp_path / "foreign", swap), "foreign", Kind.CHECKPOINT)
    vocabulary.update(zip(names, (second, first), strict=True))
    (folder / "tokenizer.json").write_text(json.dumps(words), encoding="utf-8")
    found = per_stage_of(with_stages(run, stage(folder, "vocabulary", Kind.CHECKPOINT), foreign)).rows
    assert found[1].calibration_error == pytest.approx(found[0].calibration_error, abs=1e-5)
    assert found[2].calibration_error != pytest.approx(found[0].calibration_error, abs=1e-5)


def test_what_has_not_changed_is_not_measured_again(run, tmp_path, make_checkpoint):
    student = make_checkpoint(seed=4)
    made = with_stages(run, stage(student, "distill", Kind.CHECKPOINT))
    before = per_stage_of(made)
    Here.opened.clear()
    assert per_stage_of(made) == before
    assert Here.opened == []
    more = with_stages(made, stage(make_checkpoint(seed=5), "prune", Kind.CHECKPOINT))
    after = per_stage_of(more)
    assert after.rows[:2] == before.rows
    # One process to answer, and a pair to take turns.
    assert len(Here.opened) == 3


def test_other_rows_or_another_reference_are_measured_anew(run):
    per_stage_of(run)
    Here.opened.clear()
    per_stage_of(replace(run, rows=replace(run.rows, labels=1 - np.asarray(run.rows.labels))))
    assert len(Here.opened) == 1
    Here.opened.clear()
    per_stage_of(
        replace(
            run, reference=replace(run.reference, outputs=Outputs.of_texts(-run.reference.outputs.values))
        )
    )
    assert len(Here.opened) == 1


def test_a_row_that_cannot_be_read_is_measured_again(run, tmp_path):
    before = per_stage_of(run)
    (file,) = (tmp_path / "per_stage").iterdir()
    for damage in ("{", "[]", '{"schema_version": 99}'):
        file.write_text(damage)
        Here.opened.clear()
        assert per_stage_of(run).rows[0].metric == before.rows[0].metric
        assert len(Here.opened) == 1


def test_a_run_that_is_killed_goes_on_after_its_last_row(run, make_checkpoint):
    student = stage(make_checkpoint(seed=6), "distill", Kind.CHECKPOINT)
    made = with_stages(run, student, stage(make_checkpoint(seed=7), "prune", Kind.CHECKPOINT))

    def dying(spec: SubjectSpec) -> Here:
        if len(Here.opened) == 4:  # one for the baseline row, three for the next
            raise KeyboardInterrupt
        return Here(spec)

    with pytest.raises(KeyboardInterrupt):
        per_stage_of(made, dying)
    Here.opened.clear()
    assert [row.stage for row in per_stage_of(made).rows] == ["baseline", "distill", "prune"]
    assert len(Here.opened) == 3


def test_a_model_that_crashes_is_a_row_that_says_so_and_the_others_are_measured(
    run, tmp_path, make_checkpoint
):
    student = make_checkpoint(seed=8)
    graph = graph_of(student, tmp_path / "graph")
    made = with_stages(run, graph, stage(student, "distill", Kind.CHECKPOINT))

    class Crashing(Here):
        def outputs(self, rows: Sequence[int], *, way: str = "batched") -> Outputs:
            if self.spec.path == str(graph.path):
                raise WorkerError(RowStatus.CRASHED, "killed by SIGSEGV")
            return super().outputs(rows, way=way)

    found = per_stage_of(made, Crashing).rows
    assert found[1].error == "crashed: killed by SIGSEGV"
    assert (found[1].metric, found[1].drop, found[1].p50_ms) == (None, None, None)
    assert found[1].bytes is not None
    assert found[2].error is None
    assert found[2].metric is not None
    assert found[2].drop == pytest.approx(1.0 - found[2].metric)
    # A failure is not kept.
    assert per_stage_of(made).rows[1].error is None


def test_a_folder_that_is_no_model_is_a_row_that_says_so(run, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    broken = stage(tmp_path / "broken", "distill", Kind.CHECKPOINT)
    row = per_stage_of(with_stages(run, broken)).rows[1]
    assert row.error is not None
    assert row.metric is None


def test_a_run_that_fine_tunes_begins_with_what_it_made(run, tiny_headless_checkpoint, tiny_checkpoint):
    base = stage(tiny_headless_checkpoint, "source", Kind.CHECKPOINT)
    tuned = stage(tiny_checkpoint, "finetune", Kind.CHECKPOINT)
    found = per_stage_of(replace(run, artifacts=(base, tuned)))
    assert [row.stage for row in found.rows] == ["baseline"]


def test_without_the_baseline_there_are_no_per_stage_metrics(run):
    assert measure(replace(run, artifacts=()), progress=Progress(), start=Here) is None


def test_without_onnx_runtime_the_per_stage_metrics_say_so(run, monkeypatch):
    monkeypatch.setattr(measuring, "installed", lambda name: False)
    found = per_stage_of(run)
    assert found.rows == ()
    assert found.missing == "ONNX Runtime is not installed: pip install 'edgeroberta[onnxruntime]'"


def test_of_many_rows_some_are_drawn_by_the_seed(run, monkeypatch):
    monkeypatch.setattr(measuring, "MOST_ROWS", 15)
    asked: list[SubjectSpec] = []

    def watched(spec: SubjectSpec) -> Here:
        asked.append(spec)
        return Here(spec)

    for seed in (0, 0, 1):
        found = per_stage_of(replace(run, seed=seed, kept=None), watched)
        assert (found.measured, found.available) == (15, 40)
    assert len(set(asked[0].inputs)) == 15
    assert asked[0].inputs == asked[1].inputs
    assert asked[0].inputs != asked[2].inputs


@pytest.mark.parametrize("problem", ["multi_label", "regression"])
def test_other_problems_have_per_stage_metrics_too(run, problem, request):

    folder = request.getfixturevalue(f"tiny_{problem}_checkpoint")
    task = Checkpoint(folder).task
    shape = (len(TEXTS), task.num_outputs) if problem == "multi_label" else (len(TEXTS),)
    labels = np.arange(np.prod(shape)).reshape(shape).astype(np.float32) % 2
    rows = replace(run.rows, labels=labels)
    reference = replace(run.reference, task=task, outputs=reference_outputs(folder, rows))
    found = per_stage_of(
        replace(
            run,
            artifacts=(stage(folder, "source", Kind.CHECKPOINT),),
            baseline=Checkpoint(folder),
            rows=rows,
            reference=reference,
        )
    )
    assert found.metric == task.metric
    assert (found.rows[0].calibration_error is None) == (problem == "regression")


def test_embeddings_agree_from_the_cosine_on_that_the_gate_has(run, make_embedder, tmp_path):
    folder = make_embedder()
    full = Checkpoint(folder)

    def shaken(tensors: dict[str, Any]) -> None:
        for name, value in tensors.items():
            if name.endswith("output.dense.weight"):
                tensors[name] = value + np.random.default_rng(0).normal(0, 0.2, value.shape).astype("f")

    other = edited(folder, tmp_path / "shaken", shaken)
    rows = Rows(TEXTS, TEXTS[::-1], np.linspace(0, 1, len(TEXTS), dtype="f"), "rows.csv", apart=True)
    from edgeroberta.measure.torch_baseline import TorchBaseline

    outputs, theirs = (TorchBaseline(each).outputs(rows.inputs()) for each in (folder, other))
    least = float(cosines(outputs.values, theirs.values).min())
    made = (stage(folder, "source", Kind.CHECKPOINT), stage(other, "prune", Kind.CHECKPOINT))
    found = []
    for bound in (least - 0.01, least + 0.001):
        task = replace(full.task, min_cosine=bound)
        reference = replace(run.reference, task=task, outputs=outputs)
        changed = replace(run, artifacts=made, baseline=full, rows=rows, reference=reference)
        found.append(per_stage_of(changed).rows[1].agreement)
    assert found[0] == 1
    assert found[1] < 1


def reference_outputs(folder: Path, rows: Rows) -> Outputs:
    from edgeroberta.measure.torch_baseline import TorchBaseline

    return TorchBaseline(folder).outputs(rows.inputs())


def test_a_draft_without_onnx_runtime_is_measured_on_its_own_engine(run, tiny_checkpoint, make_bundle):
    draft = stage(make_bundle(tiny_checkpoint, ("openvino",)), "build", Kind.DRAFT)
    row = per_stage_of(with_stages(run, draft)).rows[1]
    assert row.error is None
    assert row.engine.startswith("openvino ")
    assert row.flips == 0


def test_per_stage_metrics_read_back_from_json(run):
    from dataclasses import asdict

    found = per_stage_of(run)
    assert PerStageMetrics.from_json(json.loads(json.dumps(asdict(found)))) == found
