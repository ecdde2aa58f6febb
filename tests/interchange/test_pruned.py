"""A pruned folder loads by one line, and its bundle in Optimum, under the oldest transformers we take, 4.57.

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
TEXTS = ["The film is great.", "dull", "A story that is never less than charming."]


@pytest.fixture(scope="module")
def folder(tiny_checkpoint, tmp_path_factory) -> Path:
    """A pruned checkpoint, and what transformers 5 answers on it. Do not write into it."""
    path = tmp_path_factory.mktemp("pruned")
    save_classifier(
        surgery.prune(load_classifier(tiny_checkpoint, TASK), KEPT), path, tokenizer=tiny_checkpoint
    )
    return path


@pytest.fixture(scope="module")
def old_python() -> Path:
    """The interpreter of Optimum's environment, made on first use."""
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks.peers.environments import environment
    finally:
        sys.path.remove(str(ROOT))
    return environment("optimum")


def call(python: str | Path, script: str, *arguments: str, request: Any = None) -> Any:
    done = subprocess.run(
        [str(python), str(Path(__file__).with_name(script)), *arguments],
        input=json.dumps(request),
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
def test_a_pruned_folder_is_used_under_transformers_4(folder, old_python, tmp_path):
    found = call(old_python, "pruned_step.py", str(folder), str(tmp_path))
    assert found["transformers"].startswith("4.57.")
    hold(found, folder, tmp_path)


@pytest.mark.interchange
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_bundle_of_a_pruned_model_loads_in_optimum(folder, old_python, make_bundle, engine):
    from edgeroberta.runtime import Runtime

    bundle = make_bundle(folder, ("onnxruntime", "openvino"))
    assert Checkpoint(bundle).fields["layer_shapes"] == [shape.to_json() for shape in KEPT.shapes]
    with Runtime.open(bundle, engine=engine, threads=1) as runtime:
        expected, max_length = runtime.logits(TEXTS), runtime.max_length
    request = {"texts": TEXTS, "max_length": max_length}
    found = call(old_python, "optimum_logits.py", str(bundle), engine, request=request)
    np.testing.assert_allclose(np.array(found["alone"]), expected, rtol=0, atol=1e-4)
