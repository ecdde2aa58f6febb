"""Bundles of BERTs in Optimum: our graphs ask for no token types, and find them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeroberta.runtime import Runtime

pytestmark = [pytest.mark.interchange, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
TEXTS = ["这部电影很好看，音乐也不错。", "The film is dull", "ＡＢ１２ iPhone15"]
PAIRS = [("国足获胜", "上海有小雨 " * 20), ("a film", "很好看"), ("音乐", "[SEP] story")]


@pytest.fixture(scope="session")
def optimum_python() -> Path:
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks.peers.environments import environment
    finally:
        sys.path.remove(str(ROOT))
    return environment("optimum")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("pair", [False, True], ids=["texts", "pairs"])
def test_optimum_answers_as_the_bundle_does(pair, engine, make_bundle, tiny_bert_checkpoint, optimum_python):
    bundle, inputs = make_bundle(tiny_bert_checkpoint, (engine,), pair=pair), PAIRS if pair else TEXTS
    with Runtime.open(bundle, engine=engine) as runtime:
        wanted = runtime.logits(inputs)
    done = subprocess.run(
        [str(optimum_python), str(Path(__file__).with_name("optimum_logits.py")), str(bundle), engine],
        input=json.dumps({"texts": inputs, "max_length": 512}),
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    for form in ("alone", "batch", "fixed"):
        np.testing.assert_allclose(found[form], wanted, atol=1e-4)
