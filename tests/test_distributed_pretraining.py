"""Pre-training by two CPU processes under ``accelerate launch``, killed in the midst of an epoch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

TESTS = Path(__file__).parent

pytestmark = pytest.mark.slow

PROGRAM = """
import json, os, signal, sys
from pathlib import Path
import fake_progress, stage_contexts, unlabelled
from edgeroberta.training import loop, prediction

class Kill(fake_progress.Kill):
    def _step(self, meter):
        if meter.label == "pretrain" and meter.done == self.done:
            os.kill(os.getpid(), signal.SIGKILL)

source, folder, settings = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
loop.CHECKPOINT_PAUSE = 0
task = stage_contexts.TASKS["single"]
rows = [stage_contexts.rows_of(task, 8, seed) for seed in range(3)]
context = stage_contexts.context(
    folder, source, task, rows, progress=Kill(settings["kill_at"]), corpus=unlabelled.Reviews()
)
process = prediction.accelerator()
notes = stage_contexts.run("pretrain", context, **settings["config"])
(folder / f"notes-{process.process_index}.json").write_text(json.dumps(notes))
process.end_training()
"""

CONFIG: dict[str, Any] = {
    "epochs": 1, "batch_size": 5, "accumulation": 3, "learning_rate": 1e-3, "precision": "fp32",
    "max_length": 32, "dropout": 0.0, "attention_dropout": 0.0,
    "heldout": 0.2, "checkpoint_seconds": 0, "packing": "segment-pairs",
}  # fmt: skip


#: A student that is cut from the model, and narrower, with its teacher beside it.
STUDENT = {**CONFIG, "student": {"layers": 1, "hidden_size": 16}}
CONFIGS = {"model": CONFIG, "student": STUDENT}


def launch(
    source: Path, folder: Path, config: dict[str, Any], *, processes: int, kill_at: int = -1
) -> subprocess.CompletedProcess[str]:
    program = folder.with_suffix(".py")
    program.write_text(PROGRAM)
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "accelerate.commands.launch", "--multi_gpu", f"--num_processes={processes}"]
        command += ["--num_machines=1", "--num_cpu_threads_per_process=1"]
        command += ["--mixed_precision=no", "--dynamo_backend=no"]
        command += ["--main_process_ip=127.0.0.1", "--main_process_port=0"]
    settings = {"config": config, "kill_at": kill_at}
    command += [str(program), str(source), str(folder), json.dumps(settings)]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "GLOO_SOCKET_IFNAME": "lo",
        "HF_HOME": str(folder.parent / "hf"),
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "output" / "model.safetensors"))


def history(folder: Path, rank: int) -> list[dict[str, float]]:
    return list(json.loads((folder / f"notes-{rank}.json").read_text())["history"])


@pytest.fixture(scope="module", params=CONFIGS)
def runs(request, tiny_mask_checkpoint, tmp_path_factory) -> dict[str, Path]:
    """The same training by one process, by two, and by two that are killed with SIGKILL and go on."""
    base, config = tmp_path_factory.mktemp("runs"), CONFIGS[request.param]
    folders = {name: base / name for name in ("one", "two", "killed")}
    killed = launch(tiny_mask_checkpoint, folders["killed"], config, processes=2, kill_at=3)
    assert killed.returncode != 0
    assert not (folders["killed"] / "output" / "model.safetensors").exists()
    for name, processes in (("one", 1), ("two", 2), ("killed", 2)):
        done = launch(tiny_mask_checkpoint, folders[name], config, processes=processes)
        assert done.returncode == 0, done.stderr[-3000:]
    return folders


def test_two_killed_processes_go_on_to_the_same_weights_bit_for_bit(runs):
    two, killed = weights(runs["two"]), weights(runs["killed"])
    assert [name for name in two if not torch.equal(two[name], killed[name])] == []
    assert history(runs["killed"], 0) == history(runs["two"], 0) == history(runs["two"], 1)


def test_two_processes_learn_what_one_learns(runs):
    one, two = weights(runs["one"]), weights(runs["two"])
    for name, value in one.items():
        # the same gradients, summed in another order, through the steps of Adam
        torch.testing.assert_close(two[name], value, rtol=0, atol=2e-3)
    for first, second in zip(history(runs["one"], 0), history(runs["two"], 0), strict=True):
        for key, value in first.items():
            assert second[key] == pytest.approx(value, rel=1e-2, abs=1e-4), key
