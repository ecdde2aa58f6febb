"""A bundle that fills masks loads in Optimum: same logits at the masks, and the same words in the pipeline.

Run with ``make test-optimum``; see ``test_optimum.py`` for the environment.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.interchange, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
ENGINES = ("onnxruntime", "openvino")
TEXTS = {
    "roberta": [
        "The film is <mask>.",
        "<mask>",
        "A <mask> story, and <mask> to see",
        "good " * 60 + "<mask>",
    ],
    "bert": ["The film is [MASK].", "[MASK]", "a [MASK] story , and [MASK] to see", "good " * 60 + "[MASK]"],
}
#: Optimum's dynamic shapes are other kernels of OpenVINO's, with other sums.
CLOSE = 1e-4


@pytest.fixture(scope="module", params=TEXTS)
def family(request) -> str:
    """A family of models."""
    return str(request.param)


@pytest.fixture(scope="module")
def bundle(family, make_checkpoint, make_bundle) -> Path:
    """A bundle for both engines."""
    checkpoint = make_checkpoint(problem="fill_mask", model_type=family)
    made: Path = make_bundle(checkpoint, ENGINES, texts=tuple(TEXTS[family]))
    return made


def ask(python: Path, bundle: Path, engine: str, texts: list[str]) -> dict[str, Any]:
    """Let Optimum answer."""
    script = Path(__file__).with_name("optimum_masks.py")
    request = json.dumps({"texts": texts, "max_length": 512})
    command = [str(python), str(script), str(bundle), engine]
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_optimum_reads_the_logits_of_masks_and_the_pipeline_fills_them(
    optimum_python, bundle, family, engine
):
    from edgeroberta.runtime import Runtime

    texts = TEXTS[family]
    found = ask(optimum_python, bundle, engine, texts)
    with Runtime.open(bundle, engine=engine) as runtime:
        ids = [each.ids for each in runtime.encode(texts)]
        wanted = runtime.session.log_probabilities
        rows = np.concatenate([wanted(one[None], np.ones_like(one)[None]) for one in ids])
        answers = runtime(texts)
    for logits in (np.array(found["alone"]), np.array(found["batch"])):
        assert logits.shape == rows.shape
        off = logits - rows
        np.testing.assert_allclose(off, off.mean(axis=1, keepdims=True).repeat(off.shape[1], 1), atol=CLOSE)
    for mine, theirs in zip(answers, found["filled"], strict=True):
        told = [[(each.token, each.text, each.sequence) for each in mask] for mask in mine.masks]
        piped = [[(each["token"], each["token_str"], each["sequence"]) for each in mask] for mask in theirs]
        assert told == piped
        scores = [[each.score for each in mask] for mask in mine.masks]
        np.testing.assert_allclose(scores, [[each["score"] for each in mask] for mask in theirs], atol=1e-5)
