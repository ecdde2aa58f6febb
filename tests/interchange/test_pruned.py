"""A pruned folder loads by one line, also under the oldest transformers that we take, 4.57.

Run with ``make test-optimum``; the environment is Optimum's, see ``test_optimum.py``. The quick test does the
same in the present environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgeroberta.roberta import pruned, surgery
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import load_classifier, save_classifier
from edgeroberta.roberta.surgery import KeptUnits
from edgeroberta.tasks import Problem, Task

ROOT = Path(__file__).parents[2]
TASK = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
KEPT = KeptUnits((0, 1), ((0, 2), (3,)), (tuple(range(0, 64, 3)), (5, 9)))


@pytest.fixture(scope="module")
def folder(tiny_checkpoint, tmp_path_factory) -> Path:
    """A pruned checkpoint, and what transformers 5 answers on it. Do not write into it."""
    path = tmp_path_factory.mktemp("pruned")
    save_classifier(
        surgery.prune(load_classifier(tiny_checkpoint, TASK), KEPT), path, tokenizer=tiny_checkpoint
    )
    return path


def call(python: str | Path, script: str, *arguments: str) -> Any:
    done = subprocess.run(
        [str(python), str(Path(__file__).with_name(script)), *arguments],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def hold(found: Any, folder: Path, output: Path) -> None:
    """Check what the script found against this process."""
    ids = torch.tensor([[0, 40, 41, 42, 2], [0, 50, 2, 1, 1]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    with torch.no_grad():
        wanted = pruned.from_pretrained(folder)(ids, mask).logits.numpy()
        learned = pruned.from_pretrained(output)(ids, mask).logits.numpy()
    np.testing.assert_allclose(found["eager"], wanted, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["sdpa"], wanted, rtol=0, atol=1e-5)
    assert found["class"] == "RobertaForSequenceClassification"
    assert found["gradients"]
    assert found["learned"] > 1e-3
    assert found["reloaded"] < 1e-5
    assert "size" in found["alone"]
    assert np.abs(learned - wanted).max() > 1e-3
    assert Checkpoint(output).fields["layer_shapes"] == Checkpoint(folder).fields["layer_shapes"]


def test_a_pruned_folder_is_used_in_another_process(folder, tmp_path):
    hold(call(sys.executable, "pruned_step.py", str(folder), str(tmp_path)), folder, tmp_path)


@pytest.mark.interchange
@pytest.mark.slow
def test_a_pruned_folder_is_used_under_transformers_4(folder, optimum_python, tmp_path):
    found = call(optimum_python, "pruned_step.py", str(folder), str(tmp_path))
    assert found["transformers"].startswith("4.57.")
    hold(found, folder, tmp_path)
