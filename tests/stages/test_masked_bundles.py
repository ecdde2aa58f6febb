"""Models that fill masks through quantize and build: int8 with the word table once, on both engines."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from int8_processor import exact_engines

from edgeroberta import targets
from edgeroberta.runtime import Runtime
from edgeroberta.stages.build import BuildConfig, build
from edgeroberta.stages.quantize import QuantizeConfig, quantize
from edgeroberta.storage.artifact import Artifact, Kind

ENGINES = ("onnxruntime", "openvino")
TEXTS = tuple(f"The {word} of the film is number {n}." for word in ("story", "music") for n in range(20))
MASKED = ["The <mask> of the film.", "A <mask> and <mask>"]


def made(
    checkpoint: Path, make_build_context: Any, folder: Path, *, target: str = "cpu", **settings: Any
) -> tuple[Path, dict[str, Any]]:
    """Quantize and build; returns the bundle and the notes of both stages."""
    context = make_build_context(checkpoint, ENGINES, texts=TEXTS)
    graph = context.inputs[Kind.GRAPH]
    inputs = {Kind.GRAPH: graph, Kind.CHECKPOINT: Artifact(checkpoint, Kind.CHECKPOINT, graph.lineage)}
    chosen = dataclasses.replace(targets.load(target), engines=ENGINES)
    config = QuantizeConfig(samples=16, check_samples=16, rows=128, min_agreement=0, **settings)
    notes = quantize(config, dataclasses.replace(context, inputs=inputs, output=folder, target=chosen))
    lineage = dataclasses.replace(graph.lineage, stage="quantize", notes=notes)
    context = dataclasses.replace(context, inputs={Kind.GRAPH: Artifact(folder, Kind.GRAPH, lineage)})
    return context.output, {**notes, **build(BuildConfig(), context)}


@pytest.fixture(scope="module")
def checkpoint(make_checkpoint) -> Path:
    folder: Path = make_checkpoint(problem="fill_mask", vocab_size=3000)
    return folder


def tables(folder: Path) -> list[str]:
    """Names of what is as large as the word table in a graph."""
    stored = onnx.load(folder / "model.onnx").graph.initializer
    return [each.name for each in stored if sorted(each.dims) == [32, 3000]]


def test_an_int8_bundle_has_its_word_table_once_and_both_engines_multiply_in_int8(
    checkpoint, make_build_context, tmp_path
):
    folder, notes = made(checkpoint, make_build_context, tmp_path)
    assert tables(folder) == ["embeddings.word"]
    sizes = {name: (folder / name).stat().st_size for name in ("model.onnx", "openvino_model.bin")}
    assert sizes["openvino_model.bin"] <= sizes["model.onnx"]
    assert [each["linear_op"] for each in notes["linear_ops"]][-2:] == ["head.dense", "head.decoder"]
    assert notes["linear_ops"][-1]["choice"] != "float"
    for engine in ENGINES:
        assert notes["kernels"][engine]["counts"]["int8 matmul"] == {"as_demanded": 10, "demanded": 10}
        assert notes["kernels"][engine]["problems"] == []
    answers = []
    for engine in exact_engines(ENGINES):
        with Runtime.open(folder, engine=engine) as runtime:
            answers.append(runtime.outputs(MASKED).values[:, :10])
    for other in answers[1:]:
        np.testing.assert_allclose(other, answers[0], atol=0.2)


def test_weights_that_must_not_saturate_do_not_in_the_decoder_either(
    checkpoint, make_build_context, tmp_path
):
    _, notes = made(checkpoint, make_build_context, tmp_path, saturation="avoid")
    assert notes["saturation"] == {"safe": True, "linear_ops": []}
    assert notes["linear_ops"][-1]["linear_op"] == "head.decoder"
    assert notes["linear_ops"][-1]["saturation"]["safe"] is True


def test_a_decoder_whose_embeddings_stay_float_stays_so_too_and_is_stored_once(
    checkpoint, make_build_context, tmp_path
):
    folder, notes = made(checkpoint, make_build_context, tmp_path, embeddings=False)
    assert tables(folder) == ["embeddings.word"]
    assert [each["linear_op"] for each in notes["linear_ops"]][-1] == "head.dense"
    with Runtime.open(folder) as runtime:
        assert len(runtime(MASKED[1]).masks) == 2


def test_a_decoder_of_its_own_is_quantized_on_its_own(make_checkpoint, make_build_context, tmp_path):
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    source = tmp_path / "untied"
    shutil.copytree(make_checkpoint(problem="fill_mask", vocab_size=3000), source)
    state = load_file(source / "model.safetensors")
    torch.manual_seed(0)
    state |= {"lm_head.decoder.weight": torch.randn(3000, 32), "lm_head.decoder.bias": torch.randn(3000)}
    save_file(state, source / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "graph").mkdir()
    folder, notes = made(source, make_build_context, tmp_path / "graph")
    assert tables(folder) == ["embeddings.word", "head.decoder.weight"]
    assert notes["linear_ops"][-1]["choice"] != "float"
    with Runtime.open(folder) as runtime:
        assert len(runtime(MASKED[0]).masks) == 1
