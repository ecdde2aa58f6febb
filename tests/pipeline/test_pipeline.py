"""The pipeline on quick stages: reuse, resuming, refusing what is not ours."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_stages
import pytest

from edgeroberta import __version__, pipeline, stages
from edgeroberta.context import Context
from edgeroberta.errors import EdgeRobertaError, EngineError, UsageError
from edgeroberta.pipeline import delivery
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.pipeline.workspace import Workspace
from edgeroberta.progress import PlainProgress, Progress
from edgeroberta.recipe import Recipe
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime.session import ENGINES, Engine
from edgeroberta.stages import Stage
from edgeroberta.storage import artifact
from edgeroberta.storage.artifact import Kind, digest_tree, load

TESTS = Path(__file__).parents[1]
ALL = list(fake_stages.NAMES)


def run(job: PipelineJob, **settings: Any) -> list[str]:
    """Run the fake recipe and return the names of the stages that ran."""
    log = job.output.parent / "runs.log"
    before = len(fake_stages.started(log))
    pipeline.run(fake_stages.recipe(log, **settings), job, progress=Progress())
    return [name for name in fake_stages.started(log)[before:] if name != "step"]


def run_with(name: str, function: Any, job: PipelineJob) -> pipeline.RunResult:
    """Run the fake recipe with another function in place of a stage's own."""
    chosen = fake_stages.recipe(job.output.parent / "runs.log")
    steps = [
        step._replace(stage=replace(step.stage, run=function)) if step.stage.name == name else step
        for step in chosen.stages
    ]
    return pipeline.run(replace(chosen, stages=tuple(steps)), job, progress=Progress())


def raising(error: BaseException) -> Any:
    def run(config: Any, context: Context) -> dict[str, Any]:
        raise error

    return run


@pytest.fixture
def job(tmp_path):
    return fake_stages.job(tmp_path)


def kill_everywhere(folder: Path, *mode: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, TESTS / "kill_driver.py", folder, *mode],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    tries: list[dict[str, Any]] = json.loads(done.stdout)
    return tries


@pytest.fixture(scope="module")
def tries(tmp_path_factory) -> list[dict[str, Any]]:
    """What came of a kill at every change of the disk, one entry per kill."""
    return kill_everywhere(tmp_path_factory.mktemp("kills"))


def test_a_run_makes_every_stage_once_and_delivers_the_bundle(job, tmp_path):
    result = pipeline.run(fake_stages.recipe(tmp_path / "runs.log"), job, progress=Progress())
    assert fake_stages.started(tmp_path / "runs.log") == ["finetune", "step", "step", "step", *ALL[1:]]
    assert result.bundle == tmp_path / "out"
    assert [made.reused for made in result.stages] == [False] * 5
    assert result.report["judgement"]["verdict"] == "PASS"
    assert sorted(p.name for p in result.bundle.iterdir()) == [
        "README.md",
        "inner",
        "manifest.json",
        "recipe.yaml",
    ]


def test_a_stage_is_told_of_every_artifact_before_it_and_of_the_folder_for_the_per_stage_metrics(job):
    seen: list[Context] = []

    def look(config: fake_stages.FakeConfig, context: Context) -> Mapping[str, Any]:
        seen.append(context)
        return fake_stages.verify(config, context)

    run_with("verify", look, job)
    (context,) = seen
    assert [made.lineage.stage for made in context.artifacts] == ["source", *ALL[: ALL.index("verify")]]
    assert tuple(made.lineage for made in context.artifacts) == context.history
    assert context.baseline.folder in [made.path for made in context.artifacts]
    assert context.per_stage == job.work / "per_stage"


def test_what_was_measured_for_the_per_stage_metrics_outlives_runs_and_changes_none(job):
    run(job)
    kept = job.work / "per_stage" / "row.json"
    kept.parent.mkdir()
    kept.write_text("{}")
    assert run(job) == []
    assert run(job, build={"value": 2}) == ["build", "verify", "bundle"]
    assert kept.read_text() == "{}"


def test_the_same_run_again_runs_nothing(job):
    assert run(job) == ALL
    assert run(job) == []


def test_an_identical_bundle_is_not_replaced_so_that_files_put_into_it_stay(job):
    run(job)
    (job.output / "bench.md").write_text("mine")
    run(job)
    assert (job.output / "bench.md").read_text() == "mine"


def test_a_damaged_bundle_is_replaced_from_the_work_folder(job):
    run(job)
    whole = digest_tree(job.output)
    (job.output / "inner" / "content.txt").write_text("damaged")
    assert run(job) == []
    assert digest_tree(job.output) == whole


def test_a_run_killed_at_any_change_of_the_disk_resumes_to_the_same_bundle(tries):
    assert len(tries) > 50
    assert not tries[-1]["killed"], "the last try is the one that no kill reached"
    for number, each in enumerate(tries, 1):
        assert each["resumed"] == 0, number
        assert each["same"], number
        assert each["output"] in ("none", "new"), number
        assert each["litter"] == [], number
        assert not set(each["finished"]) & set(each["after"]), f"{number}: a finished stage ran again"
        assert set(each["finished"]) | set(each["after"]) >= set(ALL), number


def test_a_run_killed_inside_training_resumes_at_its_last_checkpoint(tries):
    steps = {each["after"].count("step") for each in tries if "finetune" in each["after"]}
    assert steps == {0, 1, 2, 3}


def test_a_kill_while_a_former_bundle_is_replaced_leaves_the_old_or_the_new_one(tmp_path):
    tries = kill_everywhere(tmp_path, "former")
    seen = [each["output"] for each in tries]
    assert "old" in seen
    assert "torn" not in seen
    assert seen.count("none") <= 1, "the old one is aside, the new one not yet in place"
    assert all(each["same"] and each["after"] == [] and each["litter"] == [] for each in tries)


@pytest.mark.parametrize("stage", ALL)
def test_a_changed_setting_runs_its_stage_and_those_after_it(job, stage):
    run(job)
    assert run(job, **{stage: {"value": 1}}) == ALL[ALL.index(stage) :]


def test_going_back_to_a_former_setting_runs_nothing(job):
    run(job)
    run(job, export={"value": 1})
    assert run(job) == []


def test_a_changed_seed_model_or_row_runs_everything(job, tmp_path):
    run(job)
    assert run(replace(job, seed=1)) == ALL
    assert run(fake_stages.job(tmp_path, texts=("good", "worse"))) == ALL
    (job.model.folder / "model.safetensors").write_bytes(b"other")
    assert run(replace(job, model=Checkpoint(job.model.folder))) == ALL


def test_another_target_a_reference_and_files_beside_the_model_run_only_what_depends_on_them(job, tmp_path):
    run(job)
    for name in ("optimizer.pt", "README.md"):
        (job.model.folder / name).write_text("not of the model")
    assert run(replace(job, model=Checkpoint(job.model.folder))) == []
    (tmp_path / "ref").mkdir()
    (tmp_path / "ref" / "reference.json").write_text("{}")
    assert run(replace(job, reference=tmp_path / "ref")) == ["verify", "bundle"]
    assert run(fake_stages.job(tmp_path, target="intel-cpu")) == ALL[1:]


def test_a_stage_whose_code_was_mended_runs_again_also_in_the_same_version(job, monkeypatch):
    run(job)
    monkeypatch.setattr("edgeroberta.storage.codedigest.of", lambda *modules: "fixed")
    assert run(job) == ALL


def test_another_version_of_torch_trains_again(job, monkeypatch):
    run(job)
    monkeypatch.setattr(
        "edgeroberta.pipeline.job.versions", lambda packages: dict.fromkeys(packages, "99.9.0")
    )
    assert run(job) == ALL[:-1], "the bundle's inputs come out the same"


def test_another_version_of_any_engine_builds_and_verifies_again(job, monkeypatch):
    monkeypatch.setitem(ENGINES, "toy", Engine("toy_engine", "toy", ("toy.bin",), "toy"))
    there = {"toy_engine": "1.0"}
    monkeypatch.setattr(
        "edgeroberta.pipeline.job.versions",
        lambda packages: {name: there[name] for name in packages if name in there},
    )
    run(job)
    there["toy_engine"] = "1.1"
    assert run(job) == ["build", "verify"]


def _damage_content(artifact: Path) -> None:
    file = artifact / "inner" / "content.txt"
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)


def _remove_file(artifact: Path) -> None:
    (artifact / "inner" / "content.txt").unlink()


def _add_file(artifact: Path) -> None:
    (artifact / "extra.bin").write_bytes(b"")


def _damage_lineage(artifact: Path) -> None:
    (artifact / "artifact.json").write_text("{")


def _remove_lineage(artifact: Path) -> None:
    (artifact / "artifact.json").unlink()


def _other_key(artifact: Path) -> None:
    file = artifact / "artifact.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "key": "0" * 64}))


@pytest.mark.parametrize(
    "damage", [_damage_content, _remove_file, _add_file, _damage_lineage, _remove_lineage, _other_key]
)
def test_a_damaged_artifact_is_made_again(job, damage):
    run(job)
    whole = digest_tree(job.output)
    damage(next(job.work.glob("01-export-*")))
    assert run(job) == ["export"], "what follows has the same input as before"
    assert digest_tree(job.output) == whole


def test_half_an_output_of_a_killed_stage_is_started_over(job):
    run(job)
    done = next(job.work.glob("02-build-*"))
    half = job.work / f".partial-{done.name}" / "output"
    half.parent.mkdir()
    done.replace(half)
    (half / "artifact.json").unlink()
    assert run(job) == ["build"]
    assert not half.parent.exists()


def test_each_artifact_keeps_its_lineage(tmp_path):
    job = replace(fake_stages.job(tmp_path), source={"model": "roberta"}, seed=3)
    result = pipeline.run(fake_stages.recipe(tmp_path / "runs.log"), job, progress=Progress())
    made = {each.artifact.lineage.stage: each.artifact for each in result.stages}
    lineage = load(made["build"].path).lineage
    assert lineage.config["value"] == 0
    assert lineage.seed == 3
    assert lineage.inputs == {"graph": made["export"].digest}
    assert lineage.versions["edgeroberta"] == __version__
    assert "numpy" in lineage.versions
    assert lineage.seconds >= 0
    assert made["bundle"].lineage.notes == {"stages": ["source", *ALL[:-1]]}


def test_the_fine_tuned_model_becomes_the_full_size_one_for_the_stages_after_it(job):
    seen: dict[str, Path] = {}

    def spy(config: Any, context: Context) -> dict[str, Any]:
        seen["build"] = context.baseline.folder
        return dict(fake_stages.build(config, context))

    result = run_with("build", spy, job)
    trained = result.stages[0].artifact
    assert trained.lineage.notes == {"baseline": str(job.model)}
    assert seen["build"] == trained.path


def test_a_stage_that_fails_leaves_the_finished_ones_to_resume_from(job):
    with pytest.raises(EdgeRobertaError, match="the loss is no longer a number"):
        run_with("build", raising(EdgeRobertaError("the loss is no longer a number")), job)
    assert not job.output.exists()
    assert run(job) == ALL[2:]


def test_a_full_disk_is_said_and_what_is_finished_stays(job):

    def full(config: Any, context: Context) -> dict[str, Any]:
        raise OSError(errno.ENOSPC, "No space left on device", str(context.output / "model.onnx"))

    with pytest.raises(EdgeRobertaError) as caught:
        run_with("export", full, job)
    assert caught.value.what == "no space left on the disk"
    assert str(caught.value.where).endswith("output/model.onnx")
    assert caught.value.exit_code == 1
    assert run(job) == ALL[1:]


@pytest.mark.parametrize(
    ("error", "free"),
    [
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), 1 << 40),
        (RuntimeError("unexpected pos 117056 vs 116948"), 0),
        (EngineError("OpenVINO refuses the graph: basic_ios::clear: iostream error"), 0),
        (OSError("100 requested and 0 written"), 0),
    ],
)
def test_a_full_disk_is_said_also_when_a_library_calls_it_something_else(tmp_path, monkeypatch, error, free):
    found = SimpleNamespace(f_bavail=free, f_frsize=1)
    monkeypatch.setattr(os, "statvfs", lambda path: found)
    with pytest.raises(EdgeRobertaError) as caught:
        run_with("finetune", raising(error), fake_stages.job(tmp_path))
    assert caught.value.__cause__ is error


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_said(job, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(EdgeRobertaError) as caught:
        run(replace(job, work=locked / "work"))
    assert caught.value.what == "permission denied"


def test_an_unexpected_os_error_is_not_dressed_up(job):
    with pytest.raises(FileNotFoundError):
        run_with("finetune", raising(FileNotFoundError(errno.ENOENT, "gone", "x")), job)


@contextlib.contextmanager
def _running(folder: Path) -> Iterator[int]:
    """Another process that is inside the stage ``build`` of a run in the same work folder."""
    script = (
        "import fake_stages; from pathlib import Path; from edgeroberta import pipeline, progress;"
        f"folder = Path({str(folder)!r});"
        "recipe = fake_stages.recipe(folder / 'runs.log', build={'seconds': 60});"
        "pipeline.run(recipe, fake_stages.job(folder), progress=progress.Progress())"
    )
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    process = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path})
    try:
        deadline = time.monotonic() + 60
        while "build" not in fake_stages.started(folder / "runs.log"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_a_second_run_in_the_same_work_folder_is_refused_until_the_first_is_dead(job, tmp_path):
    with _running(tmp_path) as process:
        with pytest.raises(EdgeRobertaError) as caught:
            run(job)
        assert str(caught.value) == (
            f"{tmp_path}/out.work: another run (process {process}) is using this work folder\n"
            "  next: wait for it, or give this run its own folder with --work"
        )
        assert caught.value.exit_code == 1
    assert run(job) == ALL[2:]


@pytest.mark.parametrize("step", ["delivery.deliver", "Workspace.tidy"])
def test_the_work_folder_is_held_until_the_bundle_is_delivered_and_all_is_tidy(job, monkeypatch, step):
    script = (
        "import sys; from pathlib import Path; from edgeroberta.pipeline.workspace import Workspace\n"
        f"with Workspace(Path({str(job.work)!r})).lock(): pass"
    )
    said: list[str] = []

    def try_to_lock(*_: object) -> None:
        environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
        said.append(done.stderr)

    monkeypatch.setattr(f"edgeroberta.pipeline.{step}", try_to_lock)
    run(job)
    assert len(said) == 1
    assert f"another run (process {os.getpid()}) is using this work folder" in said[0]


def test_the_unfinished_stages_of_another_recipe_stay_to_be_resumed(job):
    run(job)
    other = job.work / ".partial-00-finetune-ffffffffffff"
    own = job.work / f".partial-{next(job.work.glob('02-build-*')).name}"
    for leftover in (other, own):
        leftover.mkdir()
    run(job)
    assert sorted(path.name for path in job.work.glob(".*")) == [other.name]


def test_files_of_the_user_in_and_beside_the_folders_of_a_run_are_left_alone(job, tmp_path):
    run(job)
    (damaged,) = job.work.glob("01-export-*")
    mine = [
        *(tmp_path / name / "thesis.txt" for name in (".out.old-1", ".out.new-12", ".out.delivery-abcd1234")),
        *(job.work / name / "thesis.txt" for name in (".git", ".discard-01-export-000000000000", "notes")),
        job.work / ".work.json.bak",
        job.output / "notes" / "thesis.txt",
    ]
    for file in (*mine, damaged / "thesis.txt"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("years of work")
    run(job, bundle={"value": 1})
    assert all(file.read_text() == "years of work" for file in mine)
    assert (job.work / f"changed-{damaged.name}" / "thesis.txt").read_text() == "years of work"
    assert damaged.is_dir(), "its stage has run again"
    run(job, bundle={"value": 2})
    assert not [path for path in tmp_path.glob(".out.delivery-*") if path.name != ".out.delivery-abcd1234"]


def test_the_work_folder_is_held_within_one_process_and_stays_held_when_a_second_try_ends(tmp_path):
    work = Workspace(tmp_path / "work")
    with work.lock():
        for _ in range(2):
            with pytest.raises(EdgeRobertaError, match="another run"), Workspace(work.path).lock():
                pass
    with work.lock():
        pass


def test_a_full_disk_at_the_delivery_is_said_and_leaves_the_former_bundle(job, tmp_path, monkeypatch):
    run(job)
    before = _texts(job.output)

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr("shutil.copy2", full)
    with pytest.raises(EdgeRobertaError):
        run(job, bundle={"value": 1})
    assert _texts(job.output) == before
    assert not list(tmp_path.glob(".out*"))


def test_of_two_deliveries_to_one_output_each_leaves_the_other_s_folder_alone(tmp_path, monkeypatch):
    first, second = fake_stages.job(tmp_path), fake_stages.job(tmp_path, work=tmp_path / "second")
    run(first)
    (first.output / "notes.txt").write_text("mine")
    whole = artifact.flush_tree
    seen = []

    def meanwhile(path: Path) -> None:
        monkeypatch.setattr(artifact, "flush_tree", whole)
        seen.append(path.exists())
        run(second, bundle={"value": 2})
        seen.append(path.exists())
        whole(path)

    pipeline.make(fake_stages.recipe(tmp_path / "runs.log").stages[:4], first, progress=Progress())
    monkeypatch.setattr("edgeroberta.pipeline.delivery._holds", lambda *_: False)
    monkeypatch.setattr(artifact, "flush_tree", meanwhile)
    delivery.deliver(artifact.load(next(first.work.glob("04-bundle-*"))), first.output)
    assert seen == [True, True]
    assert (first.output / "notes.txt").read_text() == "mine"
    assert not list(tmp_path.glob(".out.delivery-*"))


@pytest.mark.parametrize(
    ("output", "work", "what"),
    [
        ("out", "out", "the work folder cannot be the output"),
        ("out", "out/work", "the work folder cannot be inside the output"),
        ("work/out", "work", "cannot be inside the work folder"),
        ("link/out", "elsewhere/out/work", "the work folder cannot be inside the output"),
        ("elsewhere", "link", "the work folder cannot be the output"),
    ],
)
def test_a_work_folder_and_an_output_within_each_other_are_refused_before_anything_is_made(
    tmp_path, output, work, what
):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    job = fake_stages.job(tmp_path, output=tmp_path / output, work=tmp_path / work)
    with pytest.raises(UsageError, match=what):
        run(job)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "config.json", "elsewhere", "link", "model", "model.safetensors",
    ]  # fmt: skip


def test_a_mount_point_is_refused_as_an_output(job, monkeypatch):
    monkeypatch.setattr("os.path.ismount", lambda path: path == job.output)
    with pytest.raises(UsageError, match="a mount point") as caught:
        run(job)
    assert caught.value.hint == f"give a folder in it: -o {job.output}/bundle"


def _with_former_bundle(folder: Path) -> PipelineJob:
    """A job whose output holds the bundle of another run and, beside its files, one of the user's."""
    job = fake_stages.job(folder)
    run(job, bundle={"value": 7})
    files = json.loads((job.output / "manifest.json").read_text())["files"]
    manifest = {"kind": "edgeroberta-bundle", "files": {**files, "old_engine.bin": {}}}
    (job.output / "manifest.json").write_text(json.dumps(manifest))
    (job.output / "reports").mkdir()
    (job.output / "reports" / "bench.json").write_text('{"kind": "edgeroberta-bench"}')
    for name in ("old_engine.bin", "reports/bench.md", "inner/notes.txt", "content.txt"):
        (job.output / name).write_text(name)
    return job


def _kept(job: PipelineJob) -> list[str]:
    return sorted(str(p.relative_to(job.output)) for p in job.output.rglob("*") if p.is_file())


FILES_AND_THE_USER_S = [
    "README.md", "content.txt", "inner/content.txt", "inner/notes.txt", "manifest.json", "recipe.yaml",
]  # fmt: skip


def test_files_that_the_user_put_into_a_former_bundle_go_along_into_the_new_one(tmp_path):
    job = _with_former_bundle(tmp_path)
    run(job)
    assert _kept(job) == FILES_AND_THE_USER_S
    assert (job.output / "inner" / "notes.txt").read_text() == "inner/notes.txt"


def test_the_user_s_files_outlive_a_kill_between_the_two_renames(tmp_path):
    job = _with_former_bundle(tmp_path)
    staging = tmp_path / ".out.delivery-dead0000"
    staging.mkdir()
    (staging / "delivery.json").write_text(
        '{"kind": "edgeroberta-delivery", "schema_version": 1, "output": "out"}\n'
    )
    job.output.replace(staging / "old-0")
    run(job)
    assert _kept(job) == FILES_AND_THE_USER_S
    assert not staging.exists()


def test_a_former_bundle_moved_aside_is_named_where_the_file_system_has_no_locks(
    tmp_path, monkeypatch, caplog
):
    output, staging = tmp_path / "out", tmp_path / ".out.delivery-dead0000"
    (staging / "old-0").mkdir(parents=True)
    (staging / "delivery.json").touch()

    def no_locks(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    def held(handle: int, how: int) -> None:
        raise BlockingIOError

    for lock in (held, no_locks):
        monkeypatch.setattr(delivery.fcntl, "flock", lock)
        delivery._recover(output)
    (warned,) = (each.getMessage() for each in caplog.records if each.levelname == "WARNING")
    assert warned.startswith(f"{staging / 'old-0'}, a former bundle of {output}, is left there")
    assert (staging / "old-0").is_dir()


def test_an_edited_card_and_a_file_whose_name_the_new_bundle_has_are_kept_beside(tmp_path):
    job = _with_former_bundle(tmp_path)
    (job.output / "README.md").write_text("my own card")
    (job.output / "inner" / "content.txt").write_text("damaged")
    (job.output / "reports" / "pareto.svg").write_text("a drawing of the user's")
    listed = json.loads((job.output / "manifest.json").read_text())
    del listed["files"]["recipe.yaml"]
    (job.output / "manifest.json").write_text(json.dumps(listed))
    (job.output / "recipe.yaml").write_text("mine")
    run(job)
    assert _kept(job) == sorted(
        [*FILES_AND_THE_USER_S, "README.md.kept", "recipe.yaml.kept", "reports/pareto.svg"]
    )
    assert (job.output / "README.md.kept").read_text() == "my own card"
    assert (job.output / "recipe.yaml.kept").read_text() == "mine"


def _texts(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("content", ["{}", '{"kind": "something-else"}', "[]", "not json"])
def test_a_foreign_output_folder_is_refused_and_left_untouched(job, tmp_path, content):
    job.output.mkdir()
    (job.output / "manifest.json").write_text(content)
    (job.output / "thesis.txt").write_text("years of work")
    before = _texts(job.output)
    with pytest.raises(UsageError) as caught:
        run(job)
    assert str(caught.value) == (
        f"{tmp_path}/out: not empty, and not a bundle; it is left untouched\n"
        "  next: choose another folder with -o, or move this one away"
    )
    assert caught.value.exit_code == 2
    assert _texts(job.output) == before
    assert not job.work.exists(), "refused before any work"


def test_an_output_that_is_a_file_is_refused(job):
    job.output.write_text("mine")
    with pytest.raises(UsageError, match="out: a file, where the bundle's folder should go"):
        run(job)
    assert job.output.read_text() == "mine"


def test_an_empty_output_folder_is_used(job):
    job.output.mkdir()
    assert run(job) == ALL


def test_an_output_behind_a_link_is_replaced_where_it_points(job, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    job.output.symlink_to(tmp_path / "elsewhere")
    run(job)
    run(job, bundle={"value": 1})
    assert job.output.is_symlink()
    assert (tmp_path / "elsewhere" / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("file", "content", "what"),
    [
        ("thesis.txt", "years of work", "not empty, and not a work folder of edgeroberta"),
        ("work.json", "{", "not a work folder of edgeroberta ("),
        ("work.json", '{"schema_version": 99}', "written by a newer version (schema 99, this one reads 1)"),
    ],
)
def test_a_foreign_damaged_or_newer_work_folder_is_refused_and_left_untouched(job, file, content, what):
    job.work.mkdir()
    (job.work / file).write_text(content)
    with pytest.raises(UsageError) as caught:
        run(job)
    assert caught.value.what.startswith(what)
    assert _texts(job.work) == {file: content}


def test_a_work_folder_that_is_a_file_is_refused(job):
    job.work.write_text("mine")
    with pytest.raises(UsageError, match="a file, where a work folder is needed"):
        run(job)


def reusable(recipe: Recipe, job: PipelineJob) -> list[str]:
    """The names of the stages that a run would reuse."""
    found = pipeline.plan(recipe.stages, job, recipe_text=recipe.text)
    return [made.lineage.stage for made in found if made is not None]


def test_plan_tells_what_would_be_reused_and_writes_nothing(job, tmp_path):
    recipe = fake_stages.recipe(tmp_path / "runs.log")
    assert pipeline.plan(recipe.stages, job, recipe_text=recipe.text) == (None,) * 5
    assert not job.work.exists()
    pipeline.run(recipe, job, progress=Progress())
    assert reusable(recipe, job) == ALL
    changed = fake_stages.recipe(tmp_path / "runs.log", build={"value": 1})
    assert reusable(changed, job) == ["finetune", "export"]


def test_plan_leaves_a_damaged_artifact_alone(job, tmp_path):
    recipe = fake_stages.recipe(tmp_path / "runs.log")
    pipeline.run(recipe, job, progress=Progress())
    damaged = next(job.work.glob("01-export-*"))
    _damage_content(damaged)
    assert reusable(recipe, job) == ["finetune"]
    assert damaged.is_dir()


def test_a_run_says_which_stage_it_is_at_and_what_it_reuses(job, tmp_path, capsys):
    recipe = fake_stages.recipe(tmp_path / "runs.log")
    pipeline.run(recipe, job, progress=PlainProgress(sys.stdout))
    assert "[1/5] finetune\ntrain: 3 steps\n" in capsys.readouterr().out
    pipeline.run(recipe, job, progress=PlainProgress(sys.stdout))
    assert capsys.readouterr().out.splitlines() == [
        f"[{number}/5] {name}: reused" for number, name in enumerate(ALL, 1)
    ]


def test_every_kind_says_what_its_stages_depend_on():
    assert set(stages.DEPENDS) == set(Kind)
    assert isinstance(fake_stages.STAGES[0], Stage)


@pytest.mark.slow
def test_two_processes_share_the_distributed_stages_and_the_main_one_does_the_rest(tmp_path):
    script = tmp_path / "two.py"
    script.write_text(
        "import fake_stages, os; from pathlib import Path; from edgeroberta import pipeline, progress\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "recipe = fake_stages.recipe(folder / 'runs.log')\n"
        "result = pipeline.run(recipe, fake_stages.job(folder), progress=progress.Progress())\n"
        "said = f\"{os.environ['RANK']} {[made.reused for made in result.stages]}\\n\"\n"
        "os.write(1, said.encode())\n"  # a line at a time, whatever the other process writes
    )
    fake_stages.job(tmp_path)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2"]
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    for reused in (False, True):
        done = subprocess.run(
            [*command, "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no", str(script)],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        answer = str([reused] * 5)
        assert sorted(line for line in done.stdout.splitlines() if line) == [f"0 {answer}", f"1 {answer}"]
    log = fake_stages.started(tmp_path / "runs.log")
    assert log.count("finetune") == 2
    assert [log.count(name) for name in ALL[1:]] == [1, 1, 1, 1]
