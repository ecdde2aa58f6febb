from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_progress import Heard, Kill, Killed

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.progress import Progress
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.roberta.observers import OutputRecorder
from edgeroberta.tasks import Problem, Task
from edgeroberta.training import npy_reader, shards, teacher
from edgeroberta.training.batching import Tokens
from edgeroberta.training.hyperparameters import MatmulPrecision
from edgeroberta.training.shards import ShardedOutputs
from edgeroberta.training.teacher import WantedOutputs, compute

TWO = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
ALL = WantedOutputs(layers=(0, 1), attention=True, precision=MatmulPrecision.FP32)
ROWS = 22
TESTS = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 5)


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    random = np.random.default_rng(0)
    return Tokens.pack([[0, *random.integers(3, 600, n), 2] for n in random.integers(1, 12, ROWS)], pad_id=1)


@pytest.fixture(scope="module")
def model(tiny_checkpoint) -> torch.nn.Module:
    return load_classifier(tiny_checkpoint, TWO)


@pytest.fixture
def run(model, tokens, tmp_path) -> Callable[..., ShardedOutputs]:
    def run(
        wanted: WantedOutputs = ALL, key: str = "teacher", progress: Progress | None = None
    ) -> ShardedOutputs:
        return compute(
            model,  # type: ignore[arg-type]
            tokens,
            folder=tmp_path / "teacher",
            wanted=wanted,
            key=key,
            progress=progress or Progress(),
        )

    return run


def test_outputs_are_what_the_model_says_of_each_text(run, model, tokens):
    rows = np.array([17, 3, 21, 4])
    found = run().batch(rows)
    assert (found.logits.dtype, found.hidden.dtype, found.attention.dtype) == ("f4", "f2", "f2")
    with torch.no_grad(), OutputRecorder(model, layers=(0, 1), attention=True) as probe:  # type: ignore[arg-type]
        for place, row in enumerate(rows):
            ids, mask = map(torch.from_numpy, tokens.batch(np.array([row])))
            logits, length = model(ids, mask).logits[0], ids.shape[1]
            np.testing.assert_allclose(found.logits[place], logits, atol=1e-5)
            np.testing.assert_allclose(found.hidden[place, :length], probe.hidden()[0], atol=4e-3)
            np.testing.assert_allclose(found.attention[place, :length], probe.attention()[0], atol=4e-3)
            assert not found.hidden[place, length:].any()


def test_outputs_are_padded_as_the_tokens_are(run, tokens):
    rows = np.array([0, 9, 20])
    found = run().batch(rows)
    assert found.hidden.shape == (*tokens.batch(rows)[0].shape, 2, 32)


def test_only_what_is_wanted_is_kept(run, tmp_path):
    found = run(WantedOutputs()).batch(np.array([0]))
    assert found.hidden is None
    assert found.attention is None
    assert {file.name for file in tmp_path.glob("teacher/shard-*/*")} == {"logits.npy"}


def test_all_logits_come_in_the_order_of_the_texts(run):
    outputs = run()
    np.testing.assert_array_equal(outputs.logits(), outputs.batch(np.arange(ROWS)).logits)


def test_a_killed_run_goes_on_with_the_next_shard(run, tmp_path, monkeypatch):
    wanted = run().logits()
    shutil.rmtree(tmp_path / "teacher")
    with pytest.raises(Killed):
        run(progress=Kill(10))
    assert sorted(path.name for path in (tmp_path / "teacher").glob("shard-*")) == [
        "shard-000000",
        "shard-000001",
    ]
    computed = []
    monkeypatch.setattr(
        teacher,
        "_write_shard",
        lambda path, *rest, write=teacher._write_shard: (computed.append(path.name), write(path, *rest)),
    )
    np.testing.assert_array_equal(run().logits(), wanted)
    assert computed == ["shard-000002", "shard-000003", "shard-000004"]


def test_a_shard_that_was_being_written_is_made_again(run, tmp_path, monkeypatch):
    def die(path: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(teacher, "flush_tree", die)
        with pytest.raises(Killed):
            run()
    assert len(list((tmp_path / "teacher").glob(".partial-*"))) == 1
    assert len(run().logits()) == ROWS
    assert list((tmp_path / "teacher").glob(".partial-*")) == []


def test_finished_outputs_are_not_computed_again(run, monkeypatch):
    first = run().logits()

    def refuse(*arguments: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(teacher, "_run", refuse)
    np.testing.assert_array_equal(run().logits(), first)


@pytest.mark.parametrize(
    "change", [{"key": "another"}, {"wanted": WantedOutputs(precision=MatmulPrecision.FP32)}]
)
def test_outputs_of_another_teacher_or_kind_are_thrown_away(change, run, tmp_path):
    run()
    marker = tmp_path / "teacher" / "shard-000000" / "old"
    marker.touch()
    run(**change)
    assert not marker.exists()


def test_as_few_files_are_open_as_with_one_shard(run):
    opened = Path("/proc/self/fd")
    if not opened.is_dir():
        pytest.skip("open files are counted in /proc")
    before = len(list(opened.iterdir()))
    outputs = run()
    outputs.batch(np.arange(ROWS))
    assert len(list(opened.iterdir())) == before


def test_a_shard_that_another_process_took_is_left_to_it(run, tmp_path, monkeypatch):
    first = run().logits()
    shard = tmp_path / "teacher" / "shard-000001"
    elsewhere = shard.rename(tmp_path / "elsewhere")
    worked: list[int] = []
    monkeypatch.setattr(teacher, "_run", lambda *arguments: worked.append(arguments[2]))
    claim = teacher._claim

    def taken(path: Path) -> bool:
        if path == shard and claim(path):  # the other process is quicker
            elsewhere.rename(shard)
        return claim(path)

    monkeypatch.setattr(teacher, "_claim", taken)
    np.testing.assert_array_equal(run().logits(), first)
    assert worked == []
    assert list((tmp_path / "teacher").glob(".claim-*")) == []


def test_a_disk_without_room_is_refused_first(run, tokens, monkeypatch):
    # 22 texts of two float32 logits; per token two layers, queries, keys and values of 32 float16
    needed = ROWS * 8 + int(tokens.offsets[-1]) * (2 + 3) * 32 * 2
    usage = SimpleNamespace(free=needed - 1)
    monkeypatch.setattr(npy_reader.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(EdgeRobertaError) as caught:
        run()
    assert caught.value.what == "the teacher outputs need 0.0 MB, and 0.0 MB are free here".replace(
        "0.0 MB", f"{needed / 1e6:.1f} MB"
    )
    assert caught.value.hint == (
        "free some space, or name a work folder on another disk: --work FOLDER; the logits alone take 0.0 MB"
    )
    usage.free += 1
    run()
    usage.free = 0
    run()  # all is there already


def test_a_shard_cut_short_is_noticed(run, tmp_path):
    outputs = run()
    file = tmp_path / "teacher" / "shard-000002" / "hidden.npy"
    file.write_bytes(file.read_bytes()[:64])
    with pytest.raises(EdgeRobertaError, match="the file is damaged: it is shorter than it was written"):
        outputs.batch(np.array([0, 12]))


@pytest.mark.parametrize(
    "step", [pytest.param(29, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)
def test_a_kill_at_any_change_of_the_disk_costs_no_finished_shard(step, tiny_checkpoint, tmp_path):
    done = subprocess.run(
        [sys.executable, TESTS / "teacher_kill_driver.py", tmp_path, tiny_checkpoint, str(step)],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    tries = json.loads(done.stdout)
    assert [number for number, found in enumerate(tries) if found["resumed"] or not found["same"]] == []
    assert [found["again"] for found in tries if found["again"]] == []
    assert tries[0]["killed"]
    assert not tries[-1]["killed"]  # the last try came to its end: every change before it was tried
    assert len({found["found"] for found in tries}) > 2


def test_progress_counts_shards_that_were_there(run):
    run()
    run(progress=(heard := Heard()))
    assert [done for _, done in heard.begun] == [ROWS]
