from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from edgeroberta import targets
from edgeroberta.errors import EdgeRobertaError, EngineError, UsageError
from edgeroberta.roberta.files import FAST_TOKENIZER
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.manifest import check_files, read
from edgeroberta.stages.build import BuildConfig, build
from edgeroberta.storage.artifact import Kind


@pytest.fixture
def context(make_build_context, tiny_checkpoint):
    return make_build_context(tiny_checkpoint, ("onnxruntime", "openvino"))


def test_a_draft_runs_on_each_engine(context):
    notes = build(BuildConfig(), context)
    assert notes["engines"] == ["onnxruntime", "openvino"]
    assert notes["files"] == {
        "onnxruntime": ["model.onnx"],
        "openvino": ["openvino_model.xml", "openvino_model.bin"],
    }
    assert all(0 <= notes["deviation"][engine] < 1e-4 for engine in notes["engines"])
    answers = []
    for engine in notes["engines"]:
        with Runtime.open(context.output, engine=engine) as runtime:
            answers.append(runtime("great film").label)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "camembert"])
def test_a_draft_that_labels_tokens_gives_each_engines_outputs_alike(
    make_checkpoint, make_build_context, family
):
    labels = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    checkpoint = make_checkpoint(labels, "token_classification", model_type=family)
    context = make_build_context(checkpoint, ("onnxruntime", "openvino"))
    notes = build(BuildConfig(), context)
    assert all(0 <= notes["deviation"][engine] < 1e-4 for engine in notes["engines"])
    assert read(context.output).task == context.task
    texts = ["", "a", "The film is great, said Anna.", "again and again " * 90, "naïve 🎬 film"]
    found = []
    for engine in notes["engines"]:
        with Runtime.open(context.output, engine=engine) as runtime:
            # Of lengths that OpenVINO pads to, and of one text at a time.
            outputs = runtime.outputs(texts)
            found.append(outputs)
            assert outputs.values.shape == (outputs.offsets[-1], len(labels))
            for row, text in enumerate(texts):
                alone = runtime.outputs([text])
                np.testing.assert_allclose(alone.values, outputs.part(row)[0], atol=1e-4, rtol=0)
            assert runtime(texts[2]) == runtime(texts[2:3])[0]
    np.testing.assert_array_equal(found[0].offsets, found[1].offsets)
    np.testing.assert_array_equal(found[0].places, found[1].places)
    np.testing.assert_allclose(found[0].values, found[1].values, atol=1e-4, rtol=0)


def test_the_int8_matmuls_of_a_head_per_token_are_int8_in_both_engines(
    tiny_token_checkpoint, make_build_context, tmp_path
):
    from edgeroberta.stages.quantize import QuantizeConfig, quantize
    from edgeroberta.storage.artifact import Artifact

    context = make_build_context(
        tiny_token_checkpoint,
        ("onnxruntime", "openvino"),
        texts=tuple(f"a film, number {n}" for n in range(24)),
    )
    graph = context.inputs[Kind.GRAPH]
    inputs = {
        Kind.GRAPH: graph,
        Kind.CHECKPOINT: Artifact(tiny_token_checkpoint, Kind.CHECKPOINT, graph.lineage),
    }
    settings = QuantizeConfig(samples=12, check_samples=12, rows=128, min_agreement=0)
    quantize(settings, replace(context, inputs=inputs, output=tmp_path))
    lineage = replace(graph.lineage, stage="quantize")
    inputs = {Kind.GRAPH: Artifact(tmp_path, Kind.GRAPH, lineage)}
    notes = build(BuildConfig(), replace(context, inputs=inputs))
    for engine in notes["engines"]:
        found = notes["kernels"][engine]
        assert found["problems"] == [], engine
        assert found["counts"]["int8 matmul"] == {"as_demanded": 9, "demanded": 9}, engine


def test_a_draft_says_what_it_is_made_of(context, tiny_checkpoint):
    build(BuildConfig(), context)
    found = read(context.output)
    check_files(found)
    assert found.gate is None
    assert found.lengths == (2,)
    assert found.baseline["model"] == tiny_checkpoint.name
    assert found.baseline["bytes"] == (tiny_checkpoint / "model.safetensors").stat().st_size
    assert found.lineage[0]["stage"] == "export"
    assert "notes" not in found.lineage[0]


def test_a_quantized_graph_makes_an_int8_bundle(context):
    graph = context.inputs[Kind.GRAPH]
    quantized = replace(graph, lineage=replace(graph.lineage, stage="quantize"))
    build(BuildConfig(), replace(context, inputs={Kind.GRAPH: quantized}))
    assert read(context.output).precision == "int8"


def test_the_files_of_the_model_are_carried_as_they_are(context, tiny_checkpoint):
    build(BuildConfig(), context)
    for name in ("config.json", *FAST_TOKENIZER[1:]):
        assert (context.output / name).read_bytes() == (tiny_checkpoint / name).read_bytes()


@pytest.mark.parametrize(("asked", "given"), [(None, 512), (40, 40), (4000, 512)])
def test_texts_are_cut_where_asked_but_never_beyond_the_model(context, asked, given):
    build(BuildConfig(engines=("onnxruntime",), max_length=asked), context)
    assert read(context.output).max_length == given


def test_engines_may_be_chosen(context):
    build(BuildConfig(engines=("openvino",)), context)
    assert read(context.output).engines == ("openvino",)
    assert not (context.output / "model.onnx").exists()


def test_an_engine_that_answers_otherwise_is_told(context, monkeypatch):
    from edgeroberta.runtime.openvino import OpenVinoSession

    real = OpenVinoSession.run
    monkeypatch.setattr(OpenVinoSession, "run", lambda self, ids, mask: real(self, ids, mask) + 1.0)
    said = []
    monkeypatch.setattr(type(context.progress), "line", lambda self, text: said.append(text))
    notes = build(BuildConfig(), context)
    assert notes["deviation"]["openvino"] == pytest.approx(1.0, abs=1e-3)
    assert len(said) == 1
    assert said[0].startswith("openvino: answers differ from ONNX Runtime's by 1 (allowed: 0.00")
    assert said[0].endswith("the bundle will not open on it")
    json.dumps(dict(notes), allow_nan=False)


def test_a_model_without_the_files_that_transformers_5_leaves_out_is_built(context):
    for name in FAST_TOKENIZER[1:]:
        (context.inputs[Kind.GRAPH].path / name).unlink()
    build(BuildConfig(engines=("onnxruntime",)), context)
    with Runtime.open(context.output) as runtime:
        assert runtime("great film").label


def test_a_graph_without_its_tokenizer_is_refused(context):
    graph = context.inputs[Kind.GRAPH].path
    (graph / "tokenizer.json").unlink()
    with pytest.raises(EdgeRobertaError) as caught:
        build(BuildConfig(), context)
    assert str(caught.value) == f"{graph}: the model comes without its tokenizer.json"


@pytest.fixture
def jetson(context):
    """The context of a build for a Jetson, of a float graph and its half-precision form."""
    from edgeroberta.roberta.graph import TENSORRT, write_float

    graph = context.inputs[Kind.GRAPH].path
    write_float(context.baseline, graph / "model.fp16.onnx", TENSORRT)
    return replace(context, target=targets.load("jetson"))


def test_a_float_recipe_for_a_jetson_gives_the_fp16_engine_alone(jetson, monkeypatch):
    said = []
    monkeypatch.setattr(type(jetson.progress), "line", lambda self, text: said.append(text))
    notes = build(BuildConfig(), jetson)
    assert notes["engines"] == ["tensorrt-fp16", "onnxruntime"]
    assert notes["files"]["tensorrt-fp16"] == ["model_fp16.onnx"]
    assert set(notes["deviation"]) == {"onnxruntime"}, "an engine of a device is never measured here"
    assert notes["measured_on_the_device"] == ["tensorrt-fp16"]
    assert any("measured on the device" in line for line in said)
    assert read(jetson.output).engines == ("tensorrt-fp16", "onnxruntime")


def test_fp16_engines_are_held_to_the_float_graph(jetson):
    from edgeroberta.errors import EngineError
    from edgeroberta.runtime import goldens
    from edgeroberta.tasks import Outputs

    build(BuildConfig(), jetson)
    found = goldens.load(jetson.output)
    exact = found.float_outputs
    assert exact is not None
    # This recipe's own graph is float, too.
    assert abs(exact.values - found.outputs.values).max() < 0.02
    assert found.float_atol == found.allowed("fp16") >= 0.01
    shifted = replace(found, outputs=Outputs.of_texts(found.outputs.values + 1))
    other = Outputs.of_texts(exact.values + 0.5)
    goldens.check_answers(shifted, lambda ids: exact, engine="x", precision="fp16")
    with pytest.raises(EngineError, match="x gives other answers"):
        goldens.check_answers(shifted, lambda ids: exact, engine="x", precision="int8")
    with pytest.raises(EngineError, match="x gives other answers"):
        goldens.check_answers(found, lambda ids: other, engine="x", precision="fp16")


def test_a_half_precision_graph_with_other_weights_is_refused(jetson):
    import onnx

    from edgeroberta.errors import EngineError

    file = jetson.inputs[Kind.GRAPH].path / "model.fp16.onnx"
    model = onnx.load(file)
    weight = next(t for t in model.graph.initializer if t.name == "head.projection.weight")
    values = onnx.numpy_helper.to_array(weight)
    weight.CopyFrom(onnx.numpy_helper.from_array(-values, weight.name))
    onnx.save(model, file)
    with pytest.raises(EngineError, match="answers otherwise than in float32"):
        build(BuildConfig(), jetson)


def test_an_int8_engine_without_its_graph_is_refused(jetson):
    with pytest.raises(EdgeRobertaError, match="the graph was not made for TensorRT"):
        build(BuildConfig(engines=("tensorrt",)), jetson)


def test_an_unknown_engine_is_refused(context):
    with pytest.raises(UsageError, match="there is no engine 'onnx'"):
        build(BuildConfig(engines=("onnx",)), context)


def test_engines_may_share_the_weights_of_one_graph(context):
    build(BuildConfig(), context)
    apart = answers(context.output)
    shared = replace(context, output=context.output / "shared")
    shared.output.mkdir()
    notes = build(BuildConfig(share_weights=True), shared)
    assert notes["files"] == {
        engine: ["model.onnx", "model.onnx_data"] for engine in ("onnxruntime", "openvino")
    }
    facts = read(shared.output)
    assert facts.engines == ("onnxruntime", "openvino")
    assert not [name for name in facts.files if name.startswith("openvino")]
    check_files(facts)
    together = answers(shared.output)
    for engine in facts.engines:
        np.testing.assert_array_equal(together[engine], apart[engine])


def answers(folder):
    found = {}
    for engine in ("onnxruntime", "openvino"):
        with Runtime.open(folder, engine=engine) as runtime:
            found[engine] = runtime.logits(["great film", "a dull story, and long"])
    return found


def test_the_kernels_of_both_engines_are_counted(context):
    kernels = build(BuildConfig(), context)["kernels"]
    assert kernels["onnxruntime"]["counts"]["GELU"] == {"as_demanded": 2, "demanded": 2}
    assert set(kernels) == {"onnxruntime", "openvino"}
    json.dumps(kernels)


@pytest.fixture
def lost(monkeypatch):
    """An engine that lost the fusion of a GELU on a processor where it is known to have it."""
    from edgeroberta.check import cpu, fusion

    judged = fusion.PartFinding("layer.1.ffn.act", fusion.GraphPart.GELU, "the engine computes it in parts")
    result = cpu.CpuKernelCheck("onnxruntime", "1.0", (judged,), (), 9, True)
    monkeypatch.setattr(cpu, "check", lambda *_, **__: (result,))
    return result


def test_a_lost_fusion_fails_the_build_by_name(context, lost):
    with pytest.raises(EngineError) as caught:
        build(BuildConfig(), context)
    assert "onnxruntime 1.0: layer.1.ffn.act (GELU): the engine computes it in parts" in str(caught.value)
    assert "--set build.check=false" in str(caught.value)


def test_a_lost_fusion_may_be_allowed(context, lost):
    assert build(BuildConfig(check=False), context)["kernels"] == {}


def test_what_another_processor_loses_is_only_told(context, lost, monkeypatch):
    from edgeroberta.check import cpu

    monkeypatch.setattr(cpu, "check", lambda *_, **__: (replace(lost, decisive=False),))
    said = []
    monkeypatch.setattr(type(context.progress), "line", lambda self, text: said.append(text))
    build(BuildConfig(), context)
    assert said == ["onnxruntime: layer.1.ffn.act (GELU): the engine computes it in parts"]


def test_the_tokenizer_is_written_without_spaces_and_gives_the_same_tokens(context):
    from tokenizers import Tokenizer

    graph = context.inputs[Kind.GRAPH].path
    fields = json.loads((graph / "tokenizer.json").read_text(encoding="utf-8"))
    fields["model"]["merges"] = [
        merge.split(" ") if isinstance(merge, str) else merge for merge in fields["model"]["merges"]
    ]
    (graph / "tokenizer.json").write_text(json.dumps(fields, indent=2), encoding="utf-8")
    build(BuildConfig(engines=("onnxruntime",)), context)
    before, after = (folder / "tokenizer.json" for folder in (graph, context.output))
    assert after.stat().st_size < 0.6 * before.stat().st_size
    for text in ("Great film, 10/10!", "naïve 🎬", ""):
        ids = [Tokenizer.from_file(str(file)).encode(text).ids for file in (before, after)]
        assert ids[0] == ids[1]
