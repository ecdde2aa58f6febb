from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import exported_folders
import fake_bundles
import numpy as np
import pytest
from fake_bundles import FakeWorker

from edgeroberta.benchmark.comparison import Comparison
from edgeroberta.benchmark.row import BASELINE, FLOAT_ONNX
from edgeroberta.benchmark.run import BenchRequest, benchmark, remember, write
from edgeroberta.data import load_heldout
from edgeroberta.data.rows import DataSpec
from edgeroberta.errors import BundleError, EdgeRobertaError, UnavailableError, UsageError
from edgeroberta.evaluation import baseline_store
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.measure import offline
from edgeroberta.measure.process import WorkerError
from edgeroberta.measure.protocol import RowStatus, SubjectSpec
from edgeroberta.measure.subjects import SUBJECTS
from edgeroberta.measure.validity import RunValidity
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import Runtime, manifest, preferences
from edgeroberta.targets.matching import TargetFacts

ROWS = 200


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return fake_bundles.write(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def data(toy, tmp_path_factory) -> Path:
    return fake_bundles.write_data(tmp_path_factory.mktemp("data") / "rows.csv", ROWS, toy)


@pytest.fixture(scope="module")
def bundle(data, tmp_path_factory) -> Path:
    """Agrees with its reference on 198 of 200 rows."""
    return fake_bundles.with_reports(tmp_path_factory.mktemp("bundle"), data, wrong=2)


@pytest.fixture
def bare(data, tiny_checkpoint, tmp_path):
    """A function that writes a bundle of the tiny model, or of what is named, without a stored reference."""

    def make(**seal: Any) -> Path:
        folder = fake_bundles.write(tmp_path / "bare", data=data)
        digest = Checkpoint(tiny_checkpoint).digest
        fake_bundles.seal(folder, data=data, **{"digest": digest, **seal})
        return folder

    return make


@pytest.fixture
def given(bundle, data, tmp_path):
    """A function that stores a reference, changed as told, and gives its folder."""

    def make(*, wrong: int = 0, **changes: Any) -> Path:
        rows = load_heldout(DataSpec(str(data), eval_data=str(data)), fake_bundles.TASK)
        made = fake_bundles.make_reference(bundle, rows, wrong=wrong)
        baseline_store.save(replace(made, **changes), tmp_path / "ref")
        return tmp_path / "ref"

    return make


def right_logits(bundle: Path, spec: SubjectSpec) -> np.ndarray:
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
    request: BenchRequest,
    *,
    wrong: int = 0,
    repetition: Turn | None = None,
    look: Callable[[str], Turn] | None = None,
    **fails: WorkerError,
) -> tuple[Comparison, list[FakeWorker]]:
    """Benchmark with fake processes; every one but the baseline answers ``wrong`` rows wrong."""
    workers: list[FakeWorker] = []

    def start(spec: SubjectSpec) -> FakeWorker:
        logits = right_logits(request.bundle, spec)
        torch = spec.subject == SUBJECTS["torch"]
        logits[: 0 if torch else wrong] *= -1
        seconds = 0.010 if torch else 0.002
        errors: dict[str, Any] = dict(fails) if not torch else {}
        workers.append(FakeWorker(spec, logits, seconds=seconds, fails=errors))
        return workers[-1]

    seen = repetition or Turn()
    return benchmark(request, progress=Progress(), start=start, look=look or (lambda runs_on: seen)), workers


def test_the_reference_and_each_engine_are_rows(bundle):
    found, _ = run(BenchRequest(bundle))
    assert [(row.name, row.status) for row in found.rows] == [
        ("reference", RowStatus.STORED),
        ("bundle", RowStatus.OK),
    ]
    assert found.rows[0].latency is not None
    assert found.rows[0].device == "NVIDIA H200"
    assert found.rows[1].agreement == pytest.approx(198 / ROWS)
    assert found.rows[1].metric == 1.0
    assert found.data["rows"] == ROWS
    assert found.notes == (
        "The baseline is not here, so there is no speed-up over it: name it with --model.",
    )


def test_a_bundle_that_runs_but_answers_wrong_says_so(bundle):
    found, _ = run(BenchRequest(bundle), wrong=40)
    row = found.rows[1]
    assert row.status is RowStatus.WRONG
    assert row.latency is not None
    assert "+19.0 (+13.1 to +25.1)" in row.detail


def test_a_share_to_keep_is_one_of_the_full_size_model_s_metric(toy, tmp_path):
    """The baseline is right on half of the rows: 90 % of that may lose 5 points, of 1.0 it were 10."""
    data = fake_bundles.write_data(tmp_path / "rows.csv", 2000, toy, wrong=1000)
    gate = GateLimits(max_drop=1.0, min_agreement=0.0, min_kept=0.9)
    bundle = fake_bundles.with_reports(tmp_path / "bundle", data, wrong=0, gate=gate)

    def start(spec: SubjectSpec) -> FakeWorker:
        logits = right_logits(bundle, spec)
        logits[1000:1160] *= -1
        return FakeWorker(spec, logits, seconds=0.002)

    request = BenchRequest(bundle, rows=2000)
    found = benchmark(request, progress=Progress(), start=start, look=lambda runs_on: Turn())
    row = found.rows[1]
    assert row.metric == pytest.approx(0.42)
    assert row.status is RowStatus.WRONG
    assert row.detail.endswith("points on 2,000 rows, the gate allows 5.0")


def test_a_crash_is_a_row_and_not_the_end(bundle):
    found, _ = run(BenchRequest(bundle), time=WorkerError(RowStatus.CRASHED, "killed by SIGSEGV"))
    row = found.rows[1]
    assert (row.status, row.detail, row.latency) == (RowStatus.CRASHED, "killed by SIGSEGV", None)


def test_answers_are_checked_on_a_sample_against_the_same_rows_of_the_reference(bundle):
    found, workers = run(BenchRequest(bundle, rows=50))
    assert found.data["rows"] == 50
    assert len(workers[0].spec.inputs) == 50
    agreement = found.rows[1].agreement
    assert agreement >= 48 / 50  # at most the two rows that the reference has otherwise


def test_the_full_size_model_here_is_a_row_and_what_speed_is_held_against(bare, bundle, tiny_checkpoint):
    """A bundle without a stored reference is held against the baseline that runs beside it."""
    found, workers = run(BenchRequest(bare(), model=str(tiny_checkpoint)), wrong=20)
    assert [row.name for row in found.rows] == [BASELINE, FLOAT_ONNX, "bundle"]
    assert [row.speed_up for row in found.rows] == pytest.approx([1.0, 5.0, 5.0])
    assert [row.agreement for row in found.rows] == pytest.approx([1.0, 0.9, 0.9])
    assert found.rows[1].status is RowStatus.WRONG
    assert [worker.spec.subject for worker in workers] == [
        SUBJECTS["torch"],
        SUBJECTS["onnx"],
        SUBJECTS["bundle"],
    ]


def test_labels_that_measure_nothing_are_told_by_the_answers_of_the_full_size_model_here_too(
    bare, tiny_checkpoint, data, tmp_path
):
    head, *lines = data.read_text(encoding="utf-8").splitlines()
    shown = [line.rpartition(",") for line in lines]
    labels = [label for _, _, label in shown]
    swapped = dict(zip(sorted(set(labels)), sorted(set(labels), reverse=True), strict=True))
    other = tmp_path / "other.csv"
    rows = [f"{text},{swapped[label]}" for text, _, label in shown]
    other.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    request = BenchRequest(
        bare(), model=str(tiny_checkpoint), data=DataSpec(str(other), eval_data=str(other))
    )
    found, _ = run(request)
    (said,) = [note for note in found.notes if note.startswith("WARNING")]
    assert said.startswith(
        "WARNING: the labels do not measure this model: accuracy would be 100.0%, not 0.0%"
    )
    assert {row.status for row in found.rows} == {RowStatus.UNCHECKED}


@pytest.mark.parametrize(
    ("max_drop", "said"),
    [(0.01, "if labels of the data stood for others"), (1.0, "the baseline's answers speak against")],
)
def test_what_labels_measure_is_asked_with_the_bundle_s_own_gate(toy, tmp_path, max_drop, said):
    """The stored reference is right on 40 of 200 rows: the other order of labels gains 60 points."""
    data = fake_bundles.write_data(tmp_path / "rows.csv", ROWS, toy, wrong=160)
    gate = GateLimits(max_drop=max_drop, min_agreement=0.0)
    found, _ = run(BenchRequest(fake_bundles.with_reports(tmp_path / "bundle", data, wrong=0, gate=gate)))
    assert [row.status for row in found.rows] == [RowStatus.STORED, RowStatus.UNCHECKED]
    (warning,) = (note for note in found.notes if note.startswith("WARNING"))
    assert said in warning


def test_another_full_size_model_than_the_bundle_s_is_refused(bundle, tiny_checkpoint):
    with pytest.raises(UsageError) as error:
        run(BenchRequest(bundle, model=str(tiny_checkpoint)))
    assert str(error.value) == f"--model {tiny_checkpoint}: not the model this bundle came from (full/)"


@pytest.mark.parametrize("same", [True, False])
def test_a_model_that_the_bundle_names_is_loaded_only_if_it_is_the_one(bare, tiny_checkpoint, same):
    """A manifest may name any folder of this machine; one with other content stays closed."""
    other = {} if same else {"digest": "2" * 64}
    found, workers = run(BenchRequest(bare(model=str(tiny_checkpoint), **other)))
    opened = [worker.spec.subject for worker in workers]
    if same:
        assert opened == [SUBJECTS["torch"], SUBJECTS["onnx"], SUBJECTS["bundle"]]
    else:
        assert opened == [SUBJECTS["bundle"]]
        assert found.notes == (f"The baseline has changed since ({tiny_checkpoint}).",)


def test_a_folder_that_holds_no_model_any_more_is_told(bare, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model" / "model.safetensors.index.json").write_text("[", encoding="utf-8")
    found, _ = run(BenchRequest(bare(model=str(tmp_path / "model"), digest="1" * 64)))
    assert found.notes[0].startswith(f"The baseline is none any more ({tmp_path / 'model'}: ")


def test_a_model_that_may_not_be_read_is_not_called_changed(bare, tiny_checkpoint, monkeypatch):
    def denied(model: Path) -> str:
        raise PermissionError(13, "Permission denied", str(model))

    folder = bare(model=str(tiny_checkpoint))
    monkeypatch.setattr(Checkpoint, "digest", property(denied))
    found, _ = run(BenchRequest(folder))
    assert found.notes == (f"The baseline cannot be read ({tiny_checkpoint}: Permission denied).",)


def test_a_reference_that_the_user_names_comes_before_the_bundle_s_own(bundle, given):
    found, _ = run(BenchRequest(bundle, reference=given(wrong=10, device="NVIDIA B200")))
    assert (found.rows[0].name, found.rows[0].device) == ("reference", "NVIDIA B200")
    assert found.rows[1].agreement == pytest.approx(190 / ROWS)


@pytest.mark.parametrize(
    "changes",
    [
        {"data_digest": "5" * 64},
        {"model_digest": "5" * 64},
        {"task": replace(fake_bundles.TASK, labels=("no", "yes"))},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_reference_of_something_else_is_refused(bundle, given, changes):
    with pytest.raises(UsageError) as error:
        run(BenchRequest(bundle, reference=given(**changes)))
    assert error.value.where == "--reference"


def test_a_reference_cannot_be_compared_without_rows(bundle, tmp_path):
    with pytest.raises(UsageError, match="the bundle does not say which data it was made with"):
        run(BenchRequest(fake_bundles.write(tmp_path / "bundle"), reference=bundle / "reports" / "reference"))


def test_without_data_lengths_come_from_the_manifest_and_answers_are_unchecked(tmp_path):
    bundle = fake_bundles.write(tmp_path / "bundle")
    found, workers = run(BenchRequest(bundle))
    assert [row.status for row in found.rows] == [RowStatus.UNCHECKED]
    assert found.data is None
    assert found.plan.tokens == (8,) * 6 + (24,) * 3 + (40,)
    assert not [detail for what, detail in workers[0].asked if what == "logits"]
    assert found.notes[0] == "No data: the bundle does not say which data it was made with."


def test_data_that_is_gone_is_a_note(data, tmp_path):
    gone = tmp_path / "gone.csv"
    bundle = fake_bundles.write(tmp_path / "bundle", data=gone)
    found, _ = run(BenchRequest(bundle))
    assert found.notes[0].startswith("No data: the data that the bundle was made with cannot be read here")


def test_other_rows_are_not_held_against_the_stored_reference(bundle, toy, tmp_path):
    other = fake_bundles.write_data(tmp_path / "other.csv", 40, toy)
    found, _ = run(BenchRequest(bundle, data=DataSpec(str(other), eval_data=str(other))))
    assert found.rows[1].agreement is None
    assert found.rows[1].status is RowStatus.UNCHECKED
    assert found.rows[1].metric == 1.0
    assert found.notes[0].startswith("The stored reference is of other rows")


def test_a_fixed_shape_is_measured_on_ids_and_answers_are_still_checked(bundle):
    found, workers = run(BenchRequest(bundle, batch=8, length=128, rounds=2))
    latency = found.rows[1].latency
    assert (latency.batch, latency.length, latency.tokenized, latency.rounds) == (8, 128, False, 2)
    assert found.rows[1].status is RowStatus.OK
    assert {tuple(set(detail[0])) for what, detail in workers[0].asked if what == "time_ids"} == {(128,)}


@pytest.mark.parametrize(
    ("asked", "where", "hint"),
    [
        ({"length": 513}, "--length", None),
        ({"target": "cpuu"}, None, "did you mean 'cpu'?"),
        ({"dtypes": ("float61",)}, "--dtype", "did you mean 'float16'?"),
        ({"data": DataSpec("gone.csv")}, "gone.csv", None),
    ],
)
def test_what_cannot_be_asked_for_is_refused(bundle, asked, where, hint):
    with pytest.raises(UsageError) as error:
        run(BenchRequest(bundle, **asked))
    assert where is None or error.value.where == where
    assert hint is None or hint in str(error.value)


def test_a_target_that_is_another_machine_is_refused(bundle):
    with pytest.raises(UnavailableError) as error:
        run(BenchRequest(bundle, target="jetson"))
    assert (error.value.code, error.value.exit_code) == ("unavailable.other-machine", 4)
    assert "'jetson'" in error.value.what


def test_a_target_that_is_this_machine_is_in_the_table(bundle):
    found, _ = run(BenchRequest(bundle, target="cpu"))
    assert found.target == "cpu"


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match="not a bundle"):
        run(BenchRequest(tmp_path))


def test_the_table_is_kept_in_the_bundle_which_still_opens(bundle):
    found, _ = run(BenchRequest(bundle))
    file = write(found, bundle)
    assert file == bundle / "reports" / "bench.md"
    assert file.read_text(encoding="utf-8").startswith("# Benchmark\n\n| model | engine |")
    assert fake_bundles.read_json(bundle / "reports" / "bench.json")["kind"] == "edgeroberta-bench"
    Runtime.open(bundle).close()


def test_a_table_that_cannot_be_kept_says_where(bundle, tmp_path):
    found, _ = run(BenchRequest(bundle))
    (tmp_path / "reports").write_text("a file where the folder should go", encoding="utf-8")
    with pytest.raises(EdgeRobertaError, match="the table could not be kept in the bundle") as error:
        write(found, tmp_path)
    assert error.value.where == str(tmp_path / "reports")


def test_the_real_process_gives_the_bundle_s_own_answers(bundle, data):
    found = benchmark(BenchRequest(bundle, rounds=1), progress=Progress())
    row = found.rows[1]
    assert (row.status, row.detail) == (RowStatus.OK, "")
    assert row.agreement == pytest.approx(198 / ROWS)
    assert row.latency.calls == 100
    assert row.peak_bytes < 200_000_000
    rows = load_heldout(DataSpec(str(data), eval_data=str(data)), fake_bundles.TASK)
    assert row.metric == 1.0
    assert len(rows) == ROWS


def test_energy_is_told_per_text_over_all_turns(bundle):
    found, _ = run(BenchRequest(bundle, rounds=3, batch=2), repetition=Turn(energy_j=10.0))
    assert found.rows[1].energy_mj == pytest.approx(3 * 10_000 / (3 * 100 * 2))


def test_a_run_that_throttled_makes_no_claim(bare, tiny_checkpoint):
    request = BenchRequest(bare(), model=str(tiny_checkpoint))
    hot = Turn(throttled=True, reasons=("thermal zone gpu",))
    found, _ = run(request, wrong=20, repetition=hot)
    assert [row.status for row in found.rows] == [RowStatus.INVALID, RowStatus.WRONG, RowStatus.WRONG]
    assert [row.speed_up for row in found.rows] == [None, None, None]
    assert found.validity.verdict is RunValidity.INVALID
    assert found.validity.reasons == ("The device throttled: thermal zone gpu.",)
    assert remember(found, request) is None


def test_throttling_while_all_texts_are_there_makes_the_run_invalid_too(bundle):
    """That is the heaviest part of a run, and its texts per second stand in the table."""
    repetitions: list[str] = []

    def look(runs_on: str) -> Turn:
        repetitions.append(runs_on)
        return Turn(throttled=True, reasons=("heat",)) if len(repetitions) > 3 else Turn()

    found, workers = run(BenchRequest(bundle, rounds=3), look=look)
    assert (len(workers), len(repetitions)) == (1, 3 + len(offline.BATCHES))
    assert found.validity.verdict is RunValidity.INVALID
    assert found.validity.reasons == ("The device throttled: heat.",)


def test_where_the_time_goes_and_offline_are_told(bundle):
    found, _ = run(BenchRequest(bundle))
    latency, best = found.rows[1].latency, found.rows[1].offline
    parts = (latency.breakdown.tokenize_ms, latency.breakdown.engine_ms, latency.breakdown.rest_ms)
    assert parts == pytest.approx((0.2, 1.4, 0.4))
    assert latency.breakdown.device_ms is None
    assert (best.batch, best.texts) == (32, 200)  # every call of the fake takes as long
    assert [size for size, _ in best.tried] == [1, 8, 32]
    assert latency.p50_interval_ms == pytest.approx((2.0, 2.0))


def test_a_gpu_here_gets_rows_of_the_full_size_model(bare, tiny_checkpoint, monkeypatch):
    here = TargetFacts("x86_64", "Example CPU", gpus=("NVIDIA H200",))
    monkeypatch.setattr("edgeroberta.benchmark.lineup.target_facts", lambda device: here)
    found, workers = run(BenchRequest(bare(), model=str(tiny_checkpoint), dtypes=("float16", "bfloat16")))
    assert [row.name for row in found.rows] == [
        "baseline",
        "baseline, cuda float16",
        "baseline, cuda bfloat16",
        "baseline, onnx fp32",
        "bundle",
    ]
    assert [(each.spec.device, each.spec.dtype) for each in workers[:3]] == [
        ("cpu", "float32"),
        ("cuda", "float16"),
        ("cuda", "bfloat16"),
    ]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("EDGEROBERTA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def quiet(monkeypatch) -> None:
    """Whatever this machine does meanwhile, it is not held against a run."""
    monkeypatch.setattr("edgeroberta.measure.validity.MOST_LOAD", math.inf)
    monkeypatch.setattr("edgeroberta.measure.validity.MOST_STEAL", math.inf)


def preference(request: BenchRequest) -> str | None:
    return preferences.preferred(manifest.read(request.bundle).digest)


@pytest.fixture
def two_engines(data, tmp_path):
    engines = ("onnxruntime", "openvino")
    return fake_bundles.with_reports(tmp_path / "two", data, wrong=0, engines=engines)


def timed(request: BenchRequest, wrong: str = "") -> Comparison:
    """OpenVINO is the faster one."""

    def start(spec: SubjectSpec) -> FakeWorker:
        logits = right_logits(request.bundle, spec) * (-1 if spec.engine == wrong else 1)
        return FakeWorker(spec, logits, seconds=0.002 if spec.engine == "openvino" else 0.003)

    return benchmark(request, progress=Progress(), start=start, look=lambda runs_on: Turn())


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("wrong", "best"), [("", "openvino"), ("openvino", "onnxruntime")])
def test_the_fastest_engine_that_answers_right_is_remembered(two_engines, wrong, best):
    request = BenchRequest(two_engines)
    assert remember(timed(request, wrong), request) == preference(request) == best


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("options", [{"batch": 8}, {"length": 128}, {"engines": ("openvino",)}])
def test_another_question_than_single_texts_on_all_engines_changes_no_preference(two_engines, options):
    request = BenchRequest(two_engines, **options)
    assert remember(timed(request), request) is preference(request) is None


def test_a_noisy_run_changes_no_preference(two_engines, monkeypatch):
    monkeypatch.setattr("edgeroberta.measure.validity.MOST_LOAD", -1.0)
    request = BenchRequest(two_engines)
    found = timed(request)
    assert found.validity.verdict is RunValidity.NOISY
    assert remember(found, request) is preference(request) is None


def test_int8_that_can_saturate_here_is_a_note(bundle, monkeypatch):
    from edgeroberta.runtime import processor

    monkeypatch.setattr(processor, "advise", lambda facts, engine: "its answers can be wrong")
    found, _ = run(BenchRequest(bundle))
    assert "onnxruntime: its answers can be wrong." in found.notes


def test_exported_graphs_of_one_name_are_told_apart_without_their_paths(bundle, tmp_path):
    folders = [exported_folders.of_toy(bundle, tmp_path / each / "export") for each in "ab"]
    found, workers = run(BenchRequest(bundle, beside=tuple(folders)), wrong=2)
    assert [row.name for row in found.rows[2:]] == ["export/model.onnx", "export/model.onnx (2)"]
    assert [worker.spec.path for worker in workers[1:]] == [str(each / "model.onnx") for each in folders]
    assert str(tmp_path) not in str(found.to_json())
