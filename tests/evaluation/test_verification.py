from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_bundles
import numpy as np
import pytest
import tensorrt_bundles
from fake_bundles import FakeWorker

from edgeroberta.data.rows import Rows
from edgeroberta.errors import DataError, UnavailableError, UsageError
from edgeroberta.evaluation import EvaluationOptions, RepetitionRun, flips, verify, worst
from edgeroberta.evaluation.invariance import check_invariance
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import EngineResult, GateVerdict, Invariance, Judgement, Report
from edgeroberta.measure.process import WorkerError
from edgeroberta.measure.protocol import RowStatus
from edgeroberta.progress import Progress
from edgeroberta.report.verification import markdown, sections
from edgeroberta.tasks import Outputs, Problem, Task

GATE = GateLimits(max_drop=0.01, min_agreement=0.95, confidence=0.95)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return fake_bundles.write(tmp_path_factory.mktemp("bundle"), engines=("onnxruntime", "openvino"))


def rows_of(count: int) -> Rows:
    labels = np.arange(count) % 2
    return Rows(tuple(f"text number {row}" for row in range(count)), None, labels, "rows.csv")


def right(rows: Rows) -> np.ndarray:
    """Logits that answer every row with its label, surer with each row."""
    assert rows.labels is not None
    logits = np.zeros((len(rows), 2), np.float32)
    logits[np.arange(len(rows)), rows.labels] = 1 + np.arange(len(rows)) / len(rows)
    return logits


def wrong_on(logits: np.ndarray, count: int) -> np.ndarray:
    changed = logits.copy()
    changed[:count] = changed[:count, ::-1]
    return changed


def measured(bundle: Path, rows: Rows, workers: dict[str, dict[str, Any]], **options: Any) -> Report:
    def start(spec: Any) -> FakeWorker:
        return FakeWorker(spec, **workers[spec.engine])

    reference = fake_bundles.fixed_reference(rows, right(rows))
    settings = EvaluationOptions(gate=GATE, latency_rows=5, **options)
    return verify(bundle, rows, reference, options=settings, progress=Progress(), start=start)


def test_a_bundle_that_answers_as_the_full_size_model_passes(bundle):
    rows = rows_of(400)
    report = measured(
        bundle, rows, {"onnxruntime": {"logits": right(rows)}, "openvino": {"logits": right(rows)}}
    )
    assert report.verdict is GateVerdict.PASS
    assert [result.engine for result in report.engines] == ["onnxruntime", "openvino"]
    assert [result.agreement for result in report.engines] == [1.0, 1.0]
    assert report.flips == ()
    first = report.engines[0]
    assert (first.latency.rounds, first.latency.calls, first.latency.warmup) == (3, 15, 40)
    assert (first.cold_start_s, first.peak_bytes, first.bytes) == (0.5, 100_000_000, 30_000_000)


def test_one_wrong_engine_fails_the_bundle_and_is_named(bundle):
    rows = rows_of(400)
    wrong = wrong_on(right(rows), 40)
    report = measured(bundle, rows, {"onnxruntime": {"logits": right(rows)}, "openvino": {"logits": wrong}})
    assert report.verdict is GateVerdict.FAIL
    assert report.judgement.reason == (
        "openvino: the drop of accuracy is +10.0 (+6.9 to +13.2) points on 400 rows, the gate allows 1.0"
    )
    assert [result.status for result in report.engines] == [RowStatus.OK, RowStatus.WRONG]
    assert [result.flips for result in report.engines] == [0, 40]
    drop = report.engines[1].drop
    assert drop.mean == pytest.approx(0.1)


def test_few_rows_are_inconclusive(bundle):
    rows = rows_of(60)
    report = measured(
        bundle, rows, {"onnxruntime": {"logits": wrong_on(right(rows), 1)}}, engines=("onnxruntime",)
    )
    assert report.verdict is GateVerdict.INCONCLUSIVE
    assert report.judgement.rows_needed > 60
    assert "more rows" in report.judgement.reason


def test_few_rows_are_inconclusive_even_when_all_answers_agree(bundle):
    rows = rows_of(6)
    report = measured(bundle, rows, {"onnxruntime": {"logits": right(rows)}}, engines=("onnxruntime",))
    assert report.engines[0].agreement == 1.0
    assert report.verdict is GateVerdict.INCONCLUSIVE
    assert report.judgement.rows_needed == 368
    assert report.judgement.reason == (
        "onnxruntime: the drop of accuracy is 0.0 (-46.0 to +46.0) points on 6 rows, the gate allows 1.0; "
        "about 362 more rows (368 in all) would decide"
    )


def test_an_engine_that_crashes_fails_the_bundle_and_the_other_is_still_measured(bundle):
    rows = rows_of(100)
    crash = {"outputs": WorkerError(RowStatus.CRASHED, "killed by SIGSEGV")}
    report = measured(
        bundle,
        rows,
        {"onnxruntime": {"logits": right(rows)}, "openvino": {"logits": right(rows), "fails": crash}},
    )
    assert report.verdict is GateVerdict.FAIL
    assert report.judgement.reason == "openvino: crashed: killed by SIGSEGV"
    assert [result.status for result in report.engines] == [RowStatus.OK, RowStatus.CRASHED]


def test_an_engine_that_is_not_installed_leaves_the_verdict_open(bundle):
    rows = rows_of(400)
    missing = {"open": WorkerError(RowStatus.MISSING, "no openvino here", hint="pip install it")}
    report = measured(
        bundle,
        rows,
        {"onnxruntime": {"logits": right(rows)}, "openvino": {"logits": right(rows), "fails": missing}},
    )
    assert report.verdict is GateVerdict.INCONCLUSIVE
    assert report.judgement.reason == "openvino: not installed: no openvino here"


def judged(engine: str, verdict: GateVerdict, status: RowStatus = RowStatus.OK) -> EngineResult:
    return EngineResult(engine, None, status, Judgement(verdict, "because"))


@pytest.mark.parametrize("verdict", list(GateVerdict))
def test_engines_of_the_device_neither_decide_the_verdict_nor_pass_unseen(verdict):
    waiting = judged("tensorrt", GateVerdict.INCONCLUSIVE, RowStatus.MISSING)
    found = worst((waiting, judged("onnxruntime", verdict)))
    assert found.verdict is verdict
    assert found.reason == "onnxruntime: because; still to be measured on the device: tensorrt"
    assert waiting.to_come


def test_an_engine_of_the_device_that_ran_and_failed_there_decides():
    results = (judged("tensorrt", GateVerdict.FAIL, RowStatus.WRONG), judged("onnxruntime", GateVerdict.PASS))
    assert worst(results).reason == "tensorrt: because"
    assert worst(results).verdict is GateVerdict.FAIL


def test_the_report_says_that_an_engine_is_to_be_measured_on_the_device(tmp_path):
    bundle = tensorrt_bundles.write(tmp_path / "bundle")
    rows = rows_of(400)
    missing = {"open": WorkerError(RowStatus.MISSING, "there is no NVIDIA driver on this machine")}
    workers: dict[str, dict[str, Any]] = {"onnxruntime": {"logits": right(rows)}}
    for name in ("tensorrt", "tensorrt-fp16"):
        workers[name] = {"logits": right(rows), "fails": missing}
    report = measured(bundle, rows, workers)
    assert report.verdict is GateVerdict.PASS
    assert [each.judgement.verdict for each in report.engines] == [
        GateVerdict.INCONCLUSIVE, GateVerdict.INCONCLUSIVE, GateVerdict.PASS,
    ]  # fmt: skip
    assert report.engines[0].judgement.reason == (
        "to be measured on the device, with: edgeroberta bench "
        "(here: there is no NVIDIA driver on this machine)"
    )
    text = markdown(sections(report))
    assert (
        "| bundle | tensorrt | – | – | – | – | – | – | – | – | – | – | to be measured on the device |" in text
    )


def test_verification_needs_at_least_one_engine(bundle):
    rows = rows_of(10)
    missing = {"open": WorkerError(RowStatus.MISSING, "no engine here", hint="pip install it")}
    with pytest.raises(UnavailableError) as error:
        measured(bundle, rows, {"openvino": {"logits": right(rows), "fails": missing}}, engines=("openvino",))
    assert str(error.value) == "no engine here\n  next: pip install it"


def test_answers_that_depend_on_padding_fail(bundle):
    rows = rows_of(100)
    report = measured(
        bundle, rows, {"onnxruntime": {"logits": right(rows), "padded": 5.0}}, engines=("onnxruntime",)
    )
    assert report.verdict is GateVerdict.FAIL
    # Adding 5 to the first logit and taking it from the second turns every answer "positive".
    assert report.judgement.reason == (
        "onnxruntime: 8 of 16 texts change their answer with their batch or padding"
    )
    invariance = report.engines[0].invariance
    assert invariance.max_delta == pytest.approx(5.0)


def test_logits_that_are_not_finite_fail(bundle):
    rows = rows_of(50)
    broken = right(rows)
    broken[7, 0] = np.nan
    report = measured(bundle, rows, {"onnxruntime": {"logits": broken}}, engines=("onnxruntime",))
    assert report.judgement.reason == "onnxruntime: wrong: its logits are not finite, first for row 7"
    assert report.verdict is GateVerdict.FAIL


def test_rows_without_labels_are_refused(bundle):
    rows = replace(rows_of(4), labels=None)
    reference = fake_bundles.fixed_reference(rows_of(4), right(rows_of(4)))
    with pytest.raises(DataError) as error:
        verify(bundle, rows, reference, options=EvaluationOptions(), progress=Progress())
    assert str(error.value) == "rows.csv: verification needs labels, these rows have none"


def test_an_engine_the_bundle_was_not_built_for_is_refused(bundle):
    rows = rows_of(4)
    with pytest.raises(UsageError) as error:
        measured(bundle, rows, {}, engines=("openvin",))
    assert str(error.value) == (
        "--engines: the bundle was not built for 'openvin', only for onnxruntime, openvino\n"
        "  next: did you mean 'openvino'?"
    )


def test_workers_are_closed_even_when_measuring_fails(bundle):
    rows = rows_of(10)
    started: list[FakeWorker] = []

    def start(spec: Any) -> FakeWorker:
        started.append(FakeWorker(spec, right(rows)[:3]))  # too few rows: an IndexError, not ours
        return started[-1]

    reference = fake_bundles.fixed_reference(rows, right(rows))
    with pytest.raises(IndexError):
        verify(bundle, rows, reference, options=EvaluationOptions(), progress=Progress(), start=start)
    assert [worker.closed for worker in started] == [True, True]


def test_changed_answers_are_shown_with_those_the_full_size_model_was_surest_of_first():
    rows = rows_of(20)
    reference = fake_bundles.fixed_reference(rows, right(rows))
    changed = wrong_on(right(rows), 6)
    found = flips.examples(rows, reference, changed, 2, texts=True)
    assert [(flip.row, flip.text, flip.truth, flip.baseline, flip.compressed) for flip in found] == [
        (5, "text number 5", "positive", "positive", "negative"),
        (4, "text number 4", "negative", "negative", "positive"),
    ]


def test_a_report_carries_texts_only_when_they_are_to_be_kept(bundle):
    rows = rows_of(40)
    wrong = wrong_on(right(rows), 10)
    answers = {"onnxruntime": {"logits": wrong}}
    report = measured(bundle, rows, answers, engines=("onnxruntime",))
    assert (report.engines[0].flips, len(report.flips)) == (10, 10)
    assert "text number" not in str(report.to_json())
    report = measured(bundle, rows, answers, engines=("onnxruntime",), keep_examples=True)
    assert "text number" in str(report.to_json())


def test_several_labels_and_numbers_are_named_as_people_say_them():
    multi = Task(Problem.MULTI_LABEL, ("plot", "music"))
    rows = Rows(("a", "b"), ("c", "d"), np.array([[1, 1], [0, 0]], np.float32), "rows.csv")
    full = np.array([[2, 3], [-1, -1]], np.float32)
    plain = fake_bundles.fixed_reference(rows_of(2), np.zeros((2, 2), np.float32))
    reference = replace(plain, task=multi, outputs=Outputs.of_texts(full))
    (flip,) = flips.examples(
        rows, reference, Outputs.of_texts(np.array([[2, -3], [-1, -1]], np.float32)), 10, texts=True
    )
    assert (flip.pair, flip.truth, flip.baseline, flip.compressed) == (
        "c",
        "plot, music",
        "plot, music",
        "plot",
    )
    number = Task(Problem.REGRESSION, ("score",))
    scored = Rows(("a", "b"), None, np.array([0, 5], np.float32), "rows.csv")
    reference = replace(plain, task=number, outputs=Outputs.of_texts(np.array([[0], [5]], np.float32)))
    found = flips.examples(scored, reference, Outputs.of_texts(np.array([[0.2], [4]], np.float32)), 10)
    assert [(flip.truth, flip.baseline, flip.compressed) for flip in found] == [("5", "5", "4")]


def test_invariance_is_not_told_of_a_process_that_failed():
    rows = rows_of(4)
    error = WorkerError(RowStatus.CRASHED, "gone")
    spec = fake_bundles.SubjectSpec("fake", "", rows.inputs(), engine="fake")
    entry = RepetitionRun("fake", FakeWorker(spec, right(rows), fails={"outputs": error}))
    assert check_invariance(entry, fake_bundles.TASK, rows.inputs()) is None
    assert entry.error is error


def asked_as_a_cascade(rows: Rows, ways: dict[str, list[int]]) -> Invariance:
    """Compare the answers of a cascade whose tiers depend on the way of asking, as its logits do."""

    class Cascade(FakeWorker):
        def outputs(self, asked: Any, *, way: str = "batched") -> Outputs:
            tiers = np.array(ways.get(way, ways["alone"]))[list(asked)]
            values = right(rows)[list(asked)] * (1 + 10 * tiers[:, None])
            return replace(Outputs.of_texts(values.astype(np.float32)), tiers=tiers)

    spec = fake_bundles.SubjectSpec("fake", "", rows.inputs(), engine="fake")
    entry = RepetitionRun("fake", Cascade(spec, right(rows)))
    entry.outputs = entry.worker.outputs(range(len(rows)), way="alone")
    return check_invariance(entry, fake_bundles.TASK, rows.inputs())


def test_texts_of_every_tier_of_a_cascade_are_asked_again():
    """One of a hundred is escalated, and is among those that are asked."""
    rows = rows_of(100)
    tiers = [0] * 100
    tiers[57] = 1
    found = asked_as_a_cascade(rows, {"alone": tiers})
    assert (found.rows, found.flips, found.max_delta) == (17, 0, 0.0)


def test_a_text_that_changes_its_tier_with_its_batch_has_changed_though_its_label_is_the_same():
    rows = rows_of(100)
    alone, batched = [0] * 100, [0] * 100
    alone[57] = 1
    found = asked_as_a_cascade(rows, {"alone": alone, "batched": batched})
    assert (found.rows, found.flips, found.max_delta) == (17, 1, 0.0)


def test_a_report_counts_the_answers_of_both_models_on_the_first_engine_that_ran(bundle):
    rows = rows_of(400)
    ours = wrong_on(right(rows), 12)
    report = measured(bundle, rows, {"onnxruntime": {"logits": ours}, "openvino": {"logits": right(rows)}})
    found = report.answers
    assert found.engine == report.engines[0].engine
    full, ours = (np.array(each) for each in (found.confusion.baseline, found.confusion.compressed))
    assert full.tolist() == [[200, 0], [0, 200]]
    assert ours.tolist() == [[194, 6], [6, 194]]
    for counts, told in ((full, report.baseline["metrics"]), (ours, report.engines[0].metrics)):
        assert counts.trace() / counts.sum() == pytest.approx(told["accuracy"])
    assert [sum(each.counts) for each in found.reliability] == [report.data["rows"]] * 2
    assert len(report.engines[0].latency.quantiles_ms) == 101
    json.dumps(report.to_json(), allow_nan=False)
