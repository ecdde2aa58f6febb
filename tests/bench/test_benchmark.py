from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fake_bundles
import numpy as np
import pytest
from fake_bundles import FakeWorker

from edgeroberta.bench.benchmark import Request, benchmark, remember, write
from edgeroberta.bench.comparison import Comparison
from edgeroberta.bench.row import FLOAT_ONNX, FULL_SIZE
from edgeroberta.data import load_heldout
from edgeroberta.data.rows import DataSpec
from edgeroberta.errors import BundleError, EdgeRobertaError, UnavailableError, UsageError
from edgeroberta.evaluate import reference
from edgeroberta.evaluate.report import Gate
from edgeroberta.measure import offline
from edgeroberta.measure.process import WorkerError
from edgeroberta.measure.protocol import Spec, Status
from edgeroberta.measure.subjects import SUBJECTS
from edgeroberta.measure.validity import Verdict
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import Runtime, manifest, preferences
from edgeroberta.targets.matching import Machine

ROWS = 200


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_bundles.write(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def data(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_bundles.write_data(tmp_path_factory.mktemp("data") / "rows.csv", ROWS, toy)


@pytest.fixture(scope="module")
def bundle(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Agrees with its reference on 198 of 200 rows."""
    return fake_bundles.with_reports(tmp_path_factory.mktemp("bundle"), data, wrong=2)


def right_logits(bundle: Path, spec: Spec) -> np.ndarray:
    with Runtime.open(bundle) as runtime:
        return runtime.logits(spec.inputs)


@dataclass(frozen=True)
class Turn:
    """A watch on a device that behaves the same in every turn."""

    energy_j: float | None = None
    throttled: bool | None = None
    reasons: tuple[str, ...] = ()

    @property
    def watched(self) -> Turn:
        return self

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def run(
    request: Request,
    *,
    wrong: int = 0,
    turn: Turn | None = None,
    look: Callable[[str], Turn] | None = None,
    **fails: WorkerError,
) -> tuple[Comparison, list[FakeWorker]]:
    """Benchmark with fake processes; every one but the full-size model answers ``wrong`` rows wrong."""
    workers: list[FakeWorker] = []

    def start(spec: Spec) -> FakeWorker:
        logits = right_logits(request.bundle, spec)
        torch = spec.subject == SUBJECTS["torch"]
        logits[: 0 if torch else wrong] *= -1
        seconds = 0.010 if torch else 0.002
        errors: dict[str, Any] = dict(fails) if not torch else {}
        workers.append(FakeWorker(spec, logits, seconds=seconds, fails=errors))
        return workers[-1]

    seen = turn or Turn()
    return benchmark(request, progress=Progress(), start=start, look=look or (lambda runs_on: seen)), workers


def test_the_reference_and_each_engine_are_rows(bundle: Path) -> None:
    found, _ = run(Request(bundle))
    assert [(row.name, row.status) for row in found.rows] == [
        ("reference", Status.STORED),
        ("bundle", Status.OK),
    ]
    assert found.rows[0].latency is not None
    assert found.rows[0].device == "NVIDIA H200"
    assert found.rows[1].agreement == pytest.approx(198 / ROWS)
    assert found.rows[1].metric == 1.0
    assert found.data is not None
    assert found.data["rows"] == ROWS
    assert found.notes == (
        "The full-size model is not here, so there is no speed-up over it: name it with --model.",
    )


def test_a_bundle_that_runs_but_answers_wrong_says_so(bundle: Path) -> None:
    found, _ = run(Request(bundle), wrong=40)
    row = found.rows[1]
    assert row.status is Status.WRONG
    assert row.latency is not None
    assert "+19.0 (+13.1 to +25.1)" in row.detail


def test_a_share_to_keep_is_one_of_the_full_size_model_s_metric(toy: Path, tmp_path: Path) -> None:
    """The full-size model is right on half of the rows: 90 % of that may lose 5 points, of 1.0 it were 10."""
    data = fake_bundles.write_data(tmp_path / "rows.csv", 2000, toy, wrong=1000)
    gate = Gate(max_drop=1.0, min_agreement=0.0, min_kept=0.9)
    bundle = fake_bundles.with_reports(tmp_path / "bundle", data, wrong=0, gate=gate)

    def start(spec: Spec) -> FakeWorker:
        logits = right_logits(bundle, spec)
        logits[1000:1160] *= -1
        return FakeWorker(spec, logits, seconds=0.002)

    request = Request(bundle, rows=2000)
    found = benchmark(request, progress=Progress(), start=start, look=lambda runs_on: Turn())
    row = found.rows[1]
    assert row.metric == pytest.approx(0.42)
    assert row.status is Status.WRONG
    assert row.detail.endswith("points on 2,000 rows, the gate allows 5.0")


def test_a_crash_is_a_row_and_not_the_end(bundle: Path) -> None:
    found, _ = run(Request(bundle), time=WorkerError(Status.CRASHED, "killed by SIGSEGV"))
    row = found.rows[1]
    assert (row.status, row.detail, row.latency) == (Status.CRASHED, "killed by SIGSEGV", None)


def test_answers_are_checked_on_a_sample_against_the_same_rows_of_the_reference(bundle: Path) -> None:
    found, workers = run(Request(bundle, rows=50))
    assert found.data is not None
    assert found.data["rows"] == 50
    assert len(workers[0].spec.inputs) == 50
    agreement = found.rows[1].agreement
    assert agreement is not None
    assert agreement >= 48 / 50  # at most the two rows that the reference has otherwise


def test_the_full_size_model_here_is_a_row_and_what_speed_is_held_against(
    bundle: Path, tiny_checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    """A bundle without a stored reference is held against the full-size model that runs beside it."""
    bare = fake_bundles.write(tmp_path / "bare", data=data)
    fake_bundles.seal(bare, data=data, digest=Checkpoint(tiny_checkpoint).digest)
    found, workers = run(Request(bare, model=str(tiny_checkpoint)), wrong=20)
    assert [row.name for row in found.rows] == [FULL_SIZE, FLOAT_ONNX, "bundle"]
    assert [row.speed_up for row in found.rows] == pytest.approx([1.0, 5.0, 5.0])
    assert [row.agreement for row in found.rows] == pytest.approx([1.0, 0.9, 0.9])
    assert found.rows[1].status is Status.WRONG
    assert [worker.spec.subject for worker in workers] == [
        SUBJECTS["torch"],
        SUBJECTS["onnx"],
        SUBJECTS["bundle"],
    ]


def test_labels_that_measure_nothing_are_told_by_the_answers_of_the_full_size_model_here_too(
    bundle: Path, tiny_checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    bare = fake_bundles.write(tmp_path / "bare", data=data)
    fake_bundles.seal(bare, data=data, digest=Checkpoint(tiny_checkpoint).digest)
    head, *lines = data.read_text(encoding="utf-8").splitlines()
    shown = [line.rpartition(",") for line in lines]
    labels = [label for _, _, label in shown]
    swapped = dict(zip(sorted(set(labels)), sorted(set(labels), reverse=True), strict=True))
    other = tmp_path / "other.csv"
    rows = [f"{text},{swapped[label]}" for text, _, label in shown]
    other.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    request = Request(bare, model=str(tiny_checkpoint), data=DataSpec(str(other), eval_data=str(other)))
    found, _ = run(request)
    (said,) = [note for note in found.notes if note.startswith("WARNING")]
    assert said.startswith(
        "WARNING: the labels do not measure this model: accuracy would be 100.0%, not 0.0%"
    )
    assert {row.status for row in found.rows} == {Status.UNCHECKED}


@pytest.mark.parametrize(
    ("max_drop", "said"),
    [(0.01, "if labels of the data stood for others"), (1.0, "the full-size model's answers speak against")],
)
def test_what_labels_measure_is_asked_with_the_bundle_s_own_gate(
    toy: Path, tmp_path: Path, max_drop: float, said: str
) -> None:
    """The stored reference is right on 40 of 200 rows: the other order of labels gains 60 points."""
    data = fake_bundles.write_data(tmp_path / "rows.csv", ROWS, toy, wrong=160)
    gate = Gate(max_drop=max_drop, min_agreement=0.0)
    found, _ = run(Request(fake_bundles.with_reports(tmp_path / "bundle", data, wrong=0, gate=gate)))
    assert [row.status for row in found.rows] == [Status.STORED, Status.UNCHECKED]
    (warning,) = (note for note in found.notes if note.startswith("WARNING"))
    assert said in warning


def test_another_full_size_model_than_the_bundle_s_is_refused(bundle: Path, tiny_checkpoint: Path) -> None:
    with pytest.raises(UsageError) as error:
        run(Request(bundle, model=str(tiny_checkpoint)))
    assert str(error.value) == f"--model {tiny_checkpoint}: not the model this bundle came from (full/)"


@pytest.mark.parametrize("same", [True, False])
def test_a_model_that_the_bundle_names_is_loaded_only_if_it_is_the_one(
    data: Path, tiny_checkpoint: Path, tmp_path: Path, same: bool
) -> None:
    """A manifest may name any folder of this machine; one with other content stays closed."""
    bare = fake_bundles.write(tmp_path / "bare", data=data)
    digest = Checkpoint(tiny_checkpoint).digest if same else "2" * 64
    fake_bundles.seal(bare, data=data, model=str(tiny_checkpoint), digest=digest)
    found, workers = run(Request(bare))
    opened = [worker.spec.subject for worker in workers]
    if same:
        assert opened == [SUBJECTS["torch"], SUBJECTS["onnx"], SUBJECTS["bundle"]]
    else:
        assert opened == [SUBJECTS["bundle"]]
        assert found.notes == (f"The full-size model has changed since ({tiny_checkpoint}).",)


def test_a_folder_that_holds_no_model_any_more_is_told(data: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model" / "model.safetensors.index.json").write_text("[", encoding="utf-8")
    bare = fake_bundles.write(tmp_path / "bare", data=data)
    fake_bundles.seal(bare, data=data, model=str(tmp_path / "model"))
    found, _ = run(Request(bare))
    assert found.notes[0].startswith(f"The full-size model is none any more ({tmp_path / 'model'}: ")


def test_a_model_that_may_not_be_read_is_not_called_changed(
    data: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(model: Path) -> str:
        raise PermissionError(13, "Permission denied", str(model))

    bare = fake_bundles.write(tmp_path / "bare", data=data)
    fake_bundles.seal(bare, data=data, model=str(tiny_checkpoint))
    monkeypatch.setattr(Checkpoint, "digest", property(denied))
    found, _ = run(Request(bare))
    assert found.notes == (f"The full-size model cannot be read ({tiny_checkpoint}: Permission denied).",)


def test_a_reference_that_the_user_names_comes_before_the_bundle_s_own(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    rows = load_heldout(DataSpec(str(data), eval_data=str(data)), fake_bundles.TASK)
    given = fake_bundles.make_reference(bundle, rows, wrong=10)
    reference.save(replace(given, device="NVIDIA B200"), tmp_path / "ref")
    found, _ = run(Request(bundle, reference=tmp_path / "ref"))
    assert (found.rows[0].name, found.rows[0].device) == ("reference", "NVIDIA B200")
    assert found.rows[1].agreement == pytest.approx(190 / ROWS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_digest": "5" * 64}, "--reference: the reference was measured on other rows"),
        ({"model_digest": "5" * 64}, "--reference: the reference is of another model"),
        (
            {"task": replace(fake_bundles.TASK, labels=("no", "yes"))},
            "--reference: the reference has the labels",
        ),
    ],
)
def test_a_reference_of_something_else_is_refused(
    bundle: Path, data: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    rows = load_heldout(DataSpec(str(data), eval_data=str(data)), fake_bundles.TASK)
    given = fake_bundles.make_reference(bundle, rows, wrong=0)
    reference.save(replace(given, **changes), tmp_path / "ref")
    with pytest.raises(UsageError) as error:
        run(Request(bundle, reference=tmp_path / "ref"))
    assert str(error.value).startswith(message)


def test_a_reference_cannot_be_compared_without_rows(bundle: Path, tmp_path: Path) -> None:
    bare = fake_bundles.write(tmp_path / "bundle")
    with pytest.raises(UsageError, match="the bundle does not say which data it was made with"):
        run(Request(bare, reference=bundle / "reports" / "reference"))


def test_without_data_lengths_come_from_the_manifest_and_answers_are_unchecked(tmp_path: Path) -> None:
    bundle = fake_bundles.write(tmp_path / "bundle")
    found, workers = run(Request(bundle))
    assert [row.status for row in found.rows] == [Status.UNCHECKED]
    assert found.data is None
    assert found.plan.tokens == (8,) * 6 + (24,) * 3 + (40,)
    assert not [detail for what, detail in workers[0].asked if what == "logits"]
    assert found.notes[0] == "No data: the bundle does not say which data it was made with."


def test_data_that_is_gone_is_a_note(data: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone.csv"
    bundle = fake_bundles.write(tmp_path / "bundle", data=gone)
    found, _ = run(Request(bundle))
    assert found.notes[0].startswith("No data: the data that the bundle was made with cannot be read here")


def test_data_that_the_user_names_must_be_there(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.csv"):
        run(Request(bundle, data=DataSpec(str(tmp_path / "gone.csv"))))


def test_other_rows_are_not_held_against_the_stored_reference(
    bundle: Path, toy: Path, tmp_path: Path
) -> None:
    other = fake_bundles.write_data(tmp_path / "other.csv", 40, toy)
    found, _ = run(Request(bundle, data=DataSpec(str(other), eval_data=str(other))))
    assert found.rows[1].agreement is None
    assert found.rows[1].status is Status.UNCHECKED
    assert found.rows[1].metric == 1.0
    assert found.notes[0].startswith("The stored reference is of other rows")


def test_a_fixed_shape_is_measured_on_ids_and_answers_are_still_checked(bundle: Path) -> None:
    found, workers = run(Request(bundle, batch=8, length=128, rounds=2))
    latency = found.rows[1].latency
    assert latency is not None
    assert (latency.batch, latency.length, latency.tokenized, latency.rounds) == (8, 128, False, 2)
    assert found.rows[1].status is Status.OK
    assert {tuple(set(detail[0])) for what, detail in workers[0].asked if what == "time_ids"} == {(128,)}


def test_a_length_that_the_bundle_cannot_take_is_refused(bundle: Path) -> None:
    with pytest.raises(UsageError) as error:
        run(Request(bundle, length=513))
    assert str(error.value) == "--length: must be 2 to 512 for this bundle"


def test_a_target_that_is_another_machine_is_refused(bundle: Path) -> None:
    with pytest.raises(UnavailableError) as error:
        run(Request(bundle, target="jetson"))
    assert (error.value.code, error.value.exit_code) == ("unavailable.other-machine", 4)
    assert "'jetson'" in error.value.what


def test_a_target_that_is_this_machine_is_in_the_table(bundle: Path) -> None:
    found, _ = run(Request(bundle, target="cpu"))
    assert found.target == "cpu"


def test_an_unknown_target_is_refused_with_the_near_name(bundle: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'cpu'"):
        run(Request(bundle, target="cpuu"))


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a bundle"):
        run(Request(tmp_path))


def test_the_table_is_kept_in_the_bundle_which_still_opens(bundle: Path) -> None:
    found, _ = run(Request(bundle))
    file = write(found, bundle)
    assert file == bundle / "reports" / "bench.md"
    assert file.read_text(encoding="utf-8").startswith("# Benchmark\n\n| model | engine |")
    assert fake_bundles.read_json(bundle / "reports" / "bench.json")["kind"] == "edgeroberta-bench"
    Runtime.open(bundle).close()


def test_a_table_that_cannot_be_kept_says_where(bundle: Path, tmp_path: Path) -> None:
    found, _ = run(Request(bundle))
    (tmp_path / "reports").write_text("a file where the folder should go", encoding="utf-8")
    with pytest.raises(EdgeRobertaError, match="the table could not be kept in the bundle") as error:
        write(found, tmp_path)
    assert error.value.where == str(tmp_path / "reports")


def test_the_real_process_gives_the_bundle_s_own_answers(bundle: Path, data: Path) -> None:
    found = benchmark(Request(bundle, rounds=1), progress=Progress())
    row = found.rows[1]
    assert (row.status, row.detail) == (Status.OK, "")
    assert row.agreement == pytest.approx(198 / ROWS)
    assert row.latency is not None
    assert row.latency.calls == 100
    assert row.peak_bytes is not None
    assert row.peak_bytes < 200_000_000
    rows = load_heldout(DataSpec(str(data), eval_data=str(data)), fake_bundles.TASK)
    assert row.metric == 1.0
    assert len(rows) == ROWS


def test_energy_is_told_per_text_over_all_turns(bundle: Path) -> None:
    found, _ = run(Request(bundle, rounds=3, batch=2), turn=Turn(energy_j=10.0))
    assert found.rows[1].energy_mj == pytest.approx(3 * 10_000 / (3 * 100 * 2))


def test_a_run_that_throttled_makes_no_claim(data: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    bare = fake_bundles.write(tmp_path / "bare", data=data)
    fake_bundles.seal(bare, data=data, digest=Checkpoint(tiny_checkpoint).digest)
    request = Request(bare, model=str(tiny_checkpoint))
    hot = Turn(throttled=True, reasons=("thermal zone gpu",))
    found, _ = run(request, wrong=20, turn=hot)
    assert [row.status for row in found.rows] == [Status.INVALID, Status.WRONG, Status.WRONG]
    assert [row.speed_up for row in found.rows] == [None, None, None]
    assert found.validity.verdict is Verdict.INVALID
    assert found.validity.reasons == ("The device throttled: thermal zone gpu.",)
    assert remember(found, request) is None


def test_throttling_while_all_texts_are_there_makes_the_run_invalid_too(bundle: Path) -> None:
    """That is the heaviest part of a run, and its texts per second stand in the table."""
    turns: list[str] = []

    def look(runs_on: str) -> Turn:
        turns.append(runs_on)
        return Turn(throttled=True, reasons=("heat",)) if len(turns) > 3 else Turn()

    found, workers = run(Request(bundle, rounds=3), look=look)
    assert (len(workers), len(turns)) == (1, 3 + len(offline.BATCHES))
    assert found.validity.verdict is Verdict.INVALID
    assert found.validity.reasons == ("The device throttled: heat.",)


def test_where_the_time_goes_and_offline_are_told(bundle: Path) -> None:
    found, _ = run(Request(bundle))
    latency, best = found.rows[1].latency, found.rows[1].offline
    assert latency is not None
    assert latency.breakdown is not None
    parts = (latency.breakdown.tokenize_ms, latency.breakdown.engine_ms, latency.breakdown.rest_ms)
    assert parts == pytest.approx((0.2, 1.4, 0.4))
    assert latency.breakdown.device_ms is None
    assert best is not None
    assert (best.batch, best.texts) == (32, 200)  # every call of the fake takes as long
    assert [size for size, _ in best.tried] == [1, 8, 32]
    assert latency.p50_interval_ms == pytest.approx((2.0, 2.0))


def test_a_gpu_here_gets_rows_of_the_full_size_model(
    data: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Machine("x86_64", "Example CPU", gpus=("NVIDIA H200",))
    monkeypatch.setattr("edgeroberta.bench.lineup.machine", lambda device: here)
    bare = fake_bundles.write(tmp_path / "bare", data=data)
    fake_bundles.seal(bare, data=data, digest=Checkpoint(tiny_checkpoint).digest)
    found, workers = run(Request(bare, model=str(tiny_checkpoint), dtypes=("float16", "bfloat16")))
    assert [row.name for row in found.rows] == [
        "full-size",
        "full-size, cuda float16",
        "full-size, cuda bfloat16",
        "full-size, onnx fp32",
        "bundle",
    ]
    assert [(each.spec.device, each.spec.dtype) for each in workers[:3]] == [
        ("cpu", "float32"),
        ("cuda", "float16"),
        ("cuda", "bfloat16"),
    ]


def test_an_unknown_type_is_refused_with_the_near_name(bundle: Path) -> None:
    with pytest.raises(UsageError) as error:
        run(Request(bundle, dtypes=("float61",)))
    assert (error.value.where, error.value.hint) == ("--dtype", "did you mean 'float16'?")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEROBERTA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine does meanwhile, it is not held against a run."""
    monkeypatch.setattr("edgeroberta.measure.validity.MOST_LOAD", math.inf)
    monkeypatch.setattr("edgeroberta.measure.validity.MOST_STEAL", math.inf)


def preference(request: Request) -> str | None:
    return preferences.preferred(manifest.read(request.bundle).digest)


def two_engines(data: Path, folder: Path) -> Path:
    return fake_bundles.with_reports(folder, data, wrong=0, engines=("onnxruntime", "openvino"))


def timed(request: Request, seconds: dict[str, float], wrong: str = "") -> Comparison:
    def start(spec: Spec) -> FakeWorker:
        logits = right_logits(request.bundle, spec) * (-1 if spec.engine == wrong else 1)
        return FakeWorker(spec, logits, seconds=seconds[str(spec.engine)])

    return benchmark(request, progress=Progress(), start=start, look=lambda runs_on: Turn())


@pytest.mark.usefixtures("quiet")
def test_the_fastest_engine_that_passed_is_remembered(data: Path, tmp_path: Path) -> None:
    request = Request(two_engines(data, tmp_path / "bundle"))
    found = timed(request, {"onnxruntime": 0.003, "openvino": 0.002})
    assert remember(found, request) == preference(request) == "openvino"


@pytest.mark.usefixtures("quiet")
def test_a_faster_engine_that_answers_wrong_is_not_remembered(data: Path, tmp_path: Path) -> None:
    request = Request(two_engines(data, tmp_path / "bundle"))
    found = timed(request, {"onnxruntime": 0.003, "openvino": 0.002}, wrong="openvino")
    assert remember(found, request) == preference(request) == "onnxruntime"


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("options", [{"batch": 8}, {"length": 128}, {"engines": ("openvino",)}])
def test_another_question_than_single_texts_on_all_engines_changes_no_preference(
    data: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    request = Request(two_engines(data, tmp_path / "bundle"), **options)
    found = timed(request, {"onnxruntime": 0.003, "openvino": 0.002})
    assert remember(found, request) is preference(request) is None


def test_a_noisy_run_changes_no_preference(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeroberta.measure.validity.MOST_LOAD", -1.0)
    request = Request(two_engines(data, tmp_path / "bundle"))
    found = timed(request, {"onnxruntime": 0.003, "openvino": 0.002})
    assert found.validity.verdict is Verdict.NOISY
    assert remember(found, request) is preference(request) is None


def test_int8_that_can_saturate_here_is_a_note(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeroberta.runtime import processor

    monkeypatch.setattr(processor, "advise", lambda facts, engine: "its answers can be wrong")
    found, _ = run(Request(bundle))
    assert "onnxruntime: its answers can be wrong." in found.notes
