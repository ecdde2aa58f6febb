"""A bundle's folder opens in sentence-transformers and Optimum, and gives there what it gives here.

Run with ``make test-optimum``; see ``test_optimum.py`` for how environments are made.
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

from edgeroberta.roberta import loading
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import Runtime

pytestmark = [pytest.mark.interchange, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
ENGINES = {"onnx": "onnxruntime", "openvino": "openvino"}
TEXTS = [
    "good film",
    "The story is dull, and I would not see it again.",
    "a",
    "",
    "naïve 🎬 café 电影\n two  spaces",
    "the music was too loud " * 40,
]
PAIRS = [[TEXTS[0], TEXTS[1]], [TEXTS[1], TEXTS[4]]]
WAYS = [("mean", True), ("cls", True), ("cls", False), ("max", False)]
#: What kinds of model are tried with the first way alone.
FAMILIES = [{}, {"model_type": "xlm-roberta"}, {"model_type": "bert"}]


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of sentence-transformers' environment, made on first use."""
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks.peers.environments import environment
    finally:
        sys.path.remove(str(ROOT))
    return environment("sentence-transformers-openvino")


def ask(python: Path, folder: Path, backend: str) -> dict[str, Any]:
    request = json.dumps({"texts": TEXTS, "pairs": PAIRS})
    script = Path(__file__).with_name("sentence_embeddings.py")
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(python), str(script), str(folder), backend],
        input=request,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **quiet, "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def saved(folder: Path, source: Path, prompts: dict[str, str], default: str | None) -> Path:
    """Write a model as ``finetune`` does, with prompts as sentence-transformers keeps them."""
    checkpoint = Checkpoint(source)
    model = loading.load_classifier(checkpoint, checkpoint.task)
    loading.save_classifier(model, folder, tokenizer=checkpoint)
    file = folder / "config_sentence_transformers.json"
    settings = {**json.loads(file.read_text()), "prompts": prompts, "default_prompt_name": default}
    file.write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize(("pooling", "normalize"), WAYS)
def test_a_bundle_gives_there_what_it_gives_here(
    python, make_embedder, make_bundle, tmp_path, pooling, normalize, backend
):
    model = saved(tmp_path / "model", make_embedder(pooling, normalize), {}, None)
    bundle = make_bundle(model, engines=("onnxruntime", "openvino"))
    found = ask(python, bundle, backend)
    with Runtime.open(bundle, engine=ENGINES[backend]) as runtime:
        ours = np.stack([each.embedding for each in runtime(TEXTS)])
        alike = [runtime(tuple(pair)).similarity for pair in PAIRS]
        assert found["max_length"] == runtime.max_length
    scale = max(1.0, float(np.abs(ours).max()))
    np.testing.assert_allclose(found["alone"], ours, atol=1e-5 * scale)
    np.testing.assert_allclose(found["batch"], ours, atol=1e-5 * scale)
    np.testing.assert_allclose(found["similarities"], alike, atol=1e-4)
    lengths = [len(states) for states in found["states"]]
    assert all(length == 1 for length in lengths) if pooling == "cls" else min(lengths[:2]) > 1
    if pooling == "cls" and not normalize:  # the state itself is the embedding
        np.testing.assert_allclose([states[0] for states in found["states"]], ours, atol=1e-5 * scale)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda each: each.get("model_type", "roberta"))
def test_a_saved_model_gives_there_what_its_bundle_gives_here(
    python, make_embedder, make_bundle, tmp_path, family
):
    prompts = {"query": "bad plot ", "passage": "good "}
    model = saved(tmp_path / "model", make_embedder("mean", **family), prompts, "query")
    found = ask(python, model, "torch")
    assert (found["prompts"], found["default"]) == (prompts, "query")
    with Runtime.open(make_bundle(model)) as runtime:
        assert runtime.prompts == prompts
        assert found["max_length"] == runtime.max_length
        ours = np.stack([each.embedding for each in runtime(TEXTS)])
        bare = np.stack([each.embedding for each in runtime(TEXTS, prompt="")])
    np.testing.assert_allclose(found["batch"], ours, atol=1e-5)
    np.testing.assert_allclose(found["bare"], bare, atol=1e-5)
    assert np.abs(ours - bare).max() > 0.01
