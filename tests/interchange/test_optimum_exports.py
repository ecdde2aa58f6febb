"""What Optimum exports is read beside a bundle as Optimum means it, and is a row of ``bench``.

Run with ``make test-optimum``; see ``test_optimum.py`` for the environments.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import web_page

import edgeroberta
from edgeroberta.errors import CheckpointError
from edgeroberta.measure import exported
from edgeroberta.measure.protocol import SubjectSpec
from edgeroberta.measure.subjects import SUBJECTS, open_bundle, open_exported
from edgeroberta.runtime import manifest

pytestmark = [pytest.mark.interchange, pytest.mark.slow]

#: Head to Optimum's task.
TASKS = {
    "single": "text-classification",
    "multi-label": "text-classification",
    "regression": "text-classification",
    "pairs": "text-classification",
    "bert-pairs": "text-classification",
    "entities": "token-classification",
    "questions": "question-answering",
    "bert-questions": "question-answering",
    "masks": "fill-mask",
    "bert-masks": "fill-mask",
    "mean": "feature-extraction",
}
FORMS = {"onnx": "onnxruntime", "openvino": "openvino"}
#: The same weights through another graph.
CLOSE = 1e-4


@pytest.fixture(scope="module")
def models(make_checkpoint, make_embedder) -> dict[str, Path]:
    """A checkpoint of each head."""
    return {head: web_page.HEADS[head][0](make_checkpoint, make_embedder) for head in TASKS}


@pytest.fixture(scope="module")
def bundles(models, make_bundle) -> dict[str, Path]:
    """A float bundle of each, for both engines."""
    return {
        head: make_bundle(model, tuple(FORMS.values()), pair="pairs" in head or "questions" in head)
        for head, model in models.items()
    }


@pytest.fixture(scope="module", params=FORMS)
def form(request) -> str:
    """What is exported."""
    return str(request.param)


@pytest.fixture(scope="module")
def exports(models, form, optimum_python, optimum_intel_python, tmp_path_factory) -> dict[str, Path]:
    """The exports of all heads; ONNX by optimum-onnx, OpenVINO by the current optimum-intel."""
    folder = tmp_path_factory.mktemp(form)
    jobs = [
        {"model": str(model), "task": TASKS[head], "output": str(folder / head), "quantize": False}
        for head, model in models.items()
    ]
    run(optimum_python if form == "onnx" else optimum_intel_python, form, jobs)
    return {head: folder / head for head in models}


def run(python: Path, form: str, jobs: list[dict[str, Any]]) -> None:
    done = subprocess.run(
        [str(python), str(Path(__file__).with_name("optimum_exports.py")), form],
        input=json.dumps(jobs),
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("head", TASKS)
def test_an_export_gives_what_the_float_bundle_gives(exports, bundles, form, head):
    bundle, inputs = bundles[head], list(web_page.HEADS[head][1])
    facts = manifest.read(bundle)
    model = exported.read(exports[head], facts)
    assert model.engine == FORMS[form]
    assert exported.differences(model, facts, inputs) == ()
    spec = SubjectSpec(
        SUBJECTS["exported"],
        str(exports[head]),
        inputs,
        bundle=str(bundle),
        overlap=facts.long_texts.overlap,
    )
    found = open_exported(spec).outputs(inputs).values
    wanted = open_bundle(SubjectSpec("", str(bundle), inputs, engine=FORMS[form])).outputs(inputs).values
    print(f"{form} {head}: {np.abs(found - wanted).max():.1e}")
    np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE)


def test_float_and_int8_graphs_of_optimum_s_are_rows_of_bench(models, bundles, optimum_python, tmp_path):
    folder = tmp_path / "saved"
    run(optimum_python, "onnx", [{"model": str(models["single"]), "output": str(folder), "quantize": True}])
    with pytest.raises(CheckpointError) as caught:
        edgeroberta.bench(bundles["single"], beside=folder)
    assert caught.value.code == "checkpoint.graph-choice"
    labels = ("negative", "positive")
    rows = [{"text": f"film {number} of 64", "label": labels[number % 2]} for number in range(64)]
    found = edgeroberta.bench(
        bundles["single"],
        rows,
        text="text",
        label="label",
        model=models["single"],
        beside=[folder / "model.onnx", folder / "model_quantized.onnx"],
        rounds=1,
    )
    full, int8 = found.comparison.rows[-2:]
    assert (full.name, int8.name) == ("saved/model.onnx", "saved/model_quantized.onnx")
    assert full.agreement == 1
    assert int8.agreement > 0.5
    assert int8.bytes < full.bytes
    assert min(each.latency.p50_ms for each in (full, int8)) > 0
