"""The same program under ``accelerate launch`` with two CPU processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import fake_latency
import pytest
import stage_contexts
import torch
from safetensors.torch import load_file

from edgeroberta.roberta import pruned, resolving, surgery
from edgeroberta.storage.artifact import digest_tree

TESTS = Path(__file__).parent
UNLABELLED = 7  # of them
ROWS = 21  # not a multiple of the batch size, nor of two
EPOCHS = 2
BATCH = 4
STEPS = 12  # 2 epochs of 21 / 4, rounded up

PROGRAM = """
import json, sys
from dataclasses import replace
from pathlib import Path
import fake_progress, stage_contexts
from edgeroberta.data import streams
from edgeroberta.data.rows import DataSpec
from edgeroberta.training import loop, prediction, shards

class Kill(fake_progress.Kill):
    def _step(self, meter):
        if meter.label == self.label and meter.done == self.done:
            raise SystemExit(9)

source, folder, settings = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
shards.SHARD, loop.CHECKPOINT_PAUSE = 8, 0
task = stage_contexts.TASKS[settings["task"]]
more = streams.load(DataSpec("-", unlabelled=f"{folder}.txt"), pair=False, without=())
process = prediction.accelerator()
rows = [stage_contexts.rows_of(task, count, seed) for seed, count in enumerate((LABELLED, 7, 7))]
context = stage_contexts.context(
    folder, source, task, rows, progress=Kill(settings["kill_at"], settings["stage"])
)
context = replace(context, data=replace(context.data, unlabelled=more))
notes = stage_contexts.run(settings["stage"], context, **settings["config"])
(folder / f"notes-{process.process_index}.json").write_text(json.dumps(notes))
process.end_training()
""".replace("LABELLED", str(ROWS - UNLABELLED))

CONFIG: dict[str, Any] = {
    "epochs": EPOCHS, "batch_size": BATCH, "layers": 1, "learning_rate": 1e-3, "precision": "fp32",
    "dropout": 0, "checkpoint_seconds": 0,
    "weights": {"logits": 1, "hard": 0.5, "hidden": 1, "attention": 1},
}  # fmt: skip


def launch(
    source: Path,
    folder: Path,
    *,
    processes: int,
    config: dict[str, Any],
    kill_at: int = -1,
    stage: str = "distill",
    task: str = "single",
) -> subprocess.CompletedProcess[str]:
    program = folder.with_suffix(".py")
    program.write_text(PROGRAM)
    folder.with_suffix(".txt").write_text("".join(f"unlabelled text {i}\n" for i in range(UNLABELLED)))
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "accelerate.commands.launch", "--multi_gpu", f"--num_processes={processes}"]
        command += ["--num_machines=1", "--num_cpu_threads_per_process=1"]
        command += ["--mixed_precision=no", "--dynamo_backend=no"]
        command += ["--main_process_ip=127.0.0.1", "--main_process_port=0"]
    settings = {"stage": stage, "config": config, "kill_at": kill_at, "task": task}
    command += [str(program), str(source), str(folder), json.dumps(settings)]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "GLOO_SOCKET_IFNAME": "lo",
        "HF_HOME": str(folder.parent / "hf"),
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def runs(tiny_checkpoint, tmp_path_factory) -> dict[str, Path]:
    """The same training by one process and by two."""
    base = tmp_path_factory.mktemp("runs")
    folders = {name: base / name for name in ("one", "two")}
    for name, processes in (("one", 1), ("two", 2)):
        done = launch(tiny_checkpoint, folders[name], processes=processes, config=CONFIG)
        assert done.returncode == 0, done.stderr[-3000:]
    return folders


def notes(folder: Path, rank: int) -> dict[str, Any]:
    return dict(json.loads((folder / f"notes-{rank}.json").read_text()))


def test_two_processes_take_as_many_steps_as_one_and_agree(runs):
    assert notes(runs["one"], 0)["steps"] == STEPS
    assert notes(runs["two"], 0) == notes(runs["two"], 1)
    assert notes(runs["two"], 0)["steps"] == STEPS
    assert (notes(runs["one"], 0)["processes"], notes(runs["two"], 0)["processes"]) == (1, 2)


def test_two_processes_leave_one_finished_checkpoint(runs, tmp_path):
    one, two = runs["one"], runs["two"]
    names = sorted(str(p.relative_to(one)) for p in one.rglob("*") if "notes" not in p.name)
    assert sorted(str(p.relative_to(two)) for p in two.rglob("*") if "notes" not in p.name) == names
    assert resolving.resolve(str(two / "output"), cache=tmp_path).folder == two / "output"


def test_two_processes_ask_the_teacher_what_one_asks(runs):
    for part in ("tokens", "teacher"):
        one, two = (runs[name] / "scratch" / part for name in ("one", "two"))
        assert len(list(one.iterdir())) == len(list(two.iterdir())) == 1
        one, two = next(one.iterdir()), next(two.iterdir())
        assert len(list(one.iterdir())) == 3 + (part == "teacher")  # a plan, and two files or three shards
        assert digest_tree(two) == digest_tree(one)


def test_two_processes_learn_what_one_learns(runs):
    one, two = (load_file(runs[name] / "output" / "model.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        # the same gradients, summed in another order, through twelve steps of Adam
        torch.testing.assert_close(two[name], value, rtol=0, atol=2e-3)
    for first, second in zip(notes(runs["one"], 0)["history"], notes(runs["two"], 0)["history"], strict=True):
        for key, value in first.items():
            assert second[key] == pytest.approx(value, rel=1e-2, abs=1e-4), key


@pytest.mark.slow
def test_two_processes_train_a_projection_to_a_wider_teacher_as_one_does(
    make_checkpoint, tiny_checkpoint, tmp_path
):
    wide = make_checkpoint(("bad", "good"), hidden_size=48, num_attention_heads=6)
    config = {**CONFIG, "teacher": str(wide), "epochs": 1}
    for name, processes in (("one", 1), ("two", 2)):
        done = launch(tiny_checkpoint, tmp_path / name, processes=processes, config=config)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (notes(tmp_path / name, 0)["history"][0] for name in ("one", "two"))
    assert two["loss_hidden"] == pytest.approx(one["loss_hidden"], rel=1e-2)
    assert two["loss_attention"] == pytest.approx(one["loss_attention"], rel=1e-2)


@pytest.mark.slow
def test_two_processes_learn_to_label_tokens_as_one_does(make_checkpoint, tmp_path):
    source = make_checkpoint(stage_contexts.TASKS["tokens"].labels, "token_classification")
    config = {**CONFIG, "epochs": 1, "augment": 1}
    for name, processes in (("one", 1), ("two", 2)):
        done = launch(source, tmp_path / name, processes=processes, config=config, task="tokens")
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (notes(tmp_path / name, 0) for name in ("one", "two"))
    assert notes(tmp_path / "two", 1) == two
    assert two["history"][0] == pytest.approx(one["history"][0], rel=1e-2, abs=1e-4)
    assert (two["teacher_score"], two["words"]) == (one["teacher_score"], one["words"])
    assert digest_tree(next((tmp_path / "two" / "scratch" / "teacher").iterdir())) == digest_tree(
        next((tmp_path / "one" / "scratch" / "teacher").iterdir())
    )


@pytest.mark.slow
def test_two_killed_processes_resume_to_the_same_weights(runs, tiny_checkpoint, tmp_path):
    folder = tmp_path / "resumed"
    killed = launch(tiny_checkpoint, folder, processes=2, config=CONFIG, kill_at=7)
    assert killed.returncode != 0
    assert not (folder / "output" / "model.safetensors").exists()
    done = launch(tiny_checkpoint, folder, processes=2, config=CONFIG)
    assert done.returncode == 0, done.stderr[-3000:]
    two, resumed = (load_file(path / "output" / "model.safetensors") for path in (runs["two"], folder))
    assert [name for name in two if not torch.equal(two[name], resumed[name])] == []
    assert notes(folder, 0) == notes(runs["two"], 0)


@pytest.mark.slow
def test_two_processes_prune_the_units_that_one_prunes(make_checkpoint, tmp_path):
    source = make_checkpoint(("bad", "good"), num_hidden_layers=3)
    table = tmp_path / "board.json"
    fake_latency.table(surgery.shape_of(pruned.from_pretrained(source))).save(table)
    recovery = {name: value for name, value in CONFIG.items() if name != "layers"}
    config = {
        "budget": {"latency": 0.6, "table": str(table)},
        "layers": [0, 2],
        "granularity": 8,
        "steps": 2,
        "recovery": {**recovery, "epochs": 1},
    }
    for name, processes in (("one", 1), ("two", 2)):
        done = launch(source, tmp_path / name, processes=processes, config=config, stage="prune")
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (notes(tmp_path / name, 0) for name in ("one", "two"))
    assert notes(tmp_path / "two", 1) == two
    # Scores are sums in another order, and those of the second step are of weights trained in another
    # order: the units that stay are the same all the same.
    assert (two["kept"], two["cost"]) == (one["kept"], one["cost"])
    for first, second in zip(one["steps"], two["steps"], strict=True):
        for unit in ("heads", "ffn"):
            wanted = first["importance"][unit]["layers"]
            assert second["importance"][unit]["layers"] == pytest.approx(wanted, rel=1e-2)
    first_step = [run["steps"][0]["importance"]["ffn"]["layers"] for run in (one, two)]
    assert first_step[1] == pytest.approx(first_step[0], rel=1e-5)
    left = [load_file(tmp_path / name / "output" / "model.safetensors") for name in ("one", "two")]
    for name, value in left[0].items():
        torch.testing.assert_close(left[1][name], value, rtol=0, atol=2e-3)
