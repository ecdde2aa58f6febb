from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from edgeroberta import bundle_writer, targets
from edgeroberta.context import RunOutline
from edgeroberta.errors import BundleError, RecipeError
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.manifest import MANIFEST_FILE, check_files, read
from edgeroberta.stages.build import BuildConfig, build
from edgeroberta.stages.build import _check_outset as check
from edgeroberta.storage.artifact import Kind, copy_tree, tree_bytes
from edgeroberta.tasks import Problem, Task

WEB = BuildConfig(layout="web")
TASK = Task(Problem.SINGLE_LABEL, ("negative", "positive"))


@pytest.fixture
def context(make_build_context, tiny_checkpoint):
    return make_build_context(tiny_checkpoint)


@pytest.fixture
def bundle(context):
    build(WEB, context)
    return context.output


def quantized(context):
    graph = context.inputs[Kind.GRAPH]
    return replace(
        context, inputs={Kind.GRAPH: replace(graph, lineage=replace(graph.lineage, stage="quantize"))}
    )


def settings(folder):
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))["transformers.js_config"]


def test_a_float_bundle_has_its_graph_where_the_library_looks_for_fp32(bundle):
    assert [file.name for file in (bundle / "onnx").iterdir()] == ["model.onnx"]
    assert settings(bundle) == {"dtype": "fp32"}
    assert (bundle / "onnx/model.onnx").samefile(bundle / "model.onnx")


def test_an_int8_bundle_has_its_graph_where_the_library_looks_for_q8(context):
    build(WEB, quantized(context))
    assert [file.name for file in (context.output / "onnx").iterdir()] == ["model_quantized.onnx"]
    assert settings(context.output) == {"dtype": "q8"}
    assert (context.output / "onnx/model_quantized.onnx").samefile(context.output / "model.onnx")


@pytest.mark.parametrize(("asked", "given"), [(None, 512), (32, 32)])
def test_the_library_cuts_texts_where_the_runtime_does(context, asked, given):
    file = context.inputs[Kind.GRAPH].path / "tokenizer_config.json"
    fields = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**fields, "model_max_length": int(1e30)}), encoding="utf-8")
    build(replace_config(max_length=asked), context)
    written = json.loads((context.output / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert written == {**fields, "model_max_length": given}
    assert read(context.output).max_length == given


def test_the_manifest_lists_a_shared_file_once(bundle, context):
    facts = read(bundle)
    assert facts.links == {"onnx/model.onnx": "model.onnx"}
    assert not [name for name in facts.files if name.startswith("onnx/")]
    check_files(facts)
    plain = replace(context, output=context.scratch / "plain")
    plain.output.mkdir()
    build(BuildConfig(), plain)
    assert "links" not in json.loads((plain.output / MANIFEST_FILE).read_text(encoding="utf-8"))
    assert not (plain.output / "onnx").exists()
    assert tree_bytes(bundle) - tree_bytes(plain.output) < 500  # the settings, and the names in the manifest
    with Runtime.open(bundle) as ours, Runtime.open(plain.output) as other:
        assert ours("great film") == other("great film")


def test_the_target_web_has_the_layout_by_itself(context):
    web = replace(context, target=targets.load("web"))
    assert build(BuildConfig(), web)["engines"] == ["onnxruntime"]
    assert read(context.output).links


def test_the_target_web_may_be_built_plain(context):
    build(BuildConfig(layout="plain"), replace(context, target=targets.load("web")))
    assert not read(context.output).links


def test_weights_beside_the_graph_are_shared_under_the_name_that_the_graph_says(context):
    import onnxruntime

    build(replace_config(share_weights=True), quantized(context))
    folder = context.output
    facts = read(folder)
    check_files(facts)
    assert facts.links == {"onnx/model_quantized.onnx_data": "model.onnx_data"}
    assert "onnx/model_quantized.onnx" in facts.files
    assert settings(folder) == {"dtype": "q8", "use_external_data_format": True}
    assert (folder / "onnx/model_quantized.onnx_data").samefile(folder / "model.onnx_data")
    graph = str(folder / "onnx/model_quantized.onnx")
    onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


def test_float_weights_beside_the_graph_need_no_other_graph(context):
    build(replace_config(share_weights=True), context)
    assert read(context.output).links == {
        "onnx/model.onnx": "model.onnx",
        "onnx/model.onnx_data": "model.onnx_data",
    }


def replace_config(**fields):
    return WEB.model_copy(update=fields)


def test_a_copy_keeps_what_is_shared(bundle, tmp_path):
    copy_tree(bundle, tmp_path / "copy")
    assert (tmp_path / "copy/onnx/model.onnx").samefile(tmp_path / "copy/model.onnx")
    assert not (tmp_path / "copy/model.onnx").samefile(bundle / "model.onnx")
    assert tree_bytes(tmp_path / "copy") == tree_bytes(bundle)


def test_a_new_bundle_takes_the_place_of_a_former_one_with_all_its_names(bundle, tmp_path):
    from edgeroberta.pipeline.delivery import deliver
    from edgeroberta.storage.artifact import Artifact, Lineage

    made = Artifact(bundle, Kind.BUNDLE, Lineage("bundle", "0" * 64, {}, 0, {}, {}, 0.5))
    output = tmp_path / "out"
    deliver(made, output)
    assert (output / "onnx/model.onnx").samefile(output / "model.onnx")
    (output / "onnx/mine.txt").write_text("mine", encoding="utf-8")
    shutil.rmtree(bundle / "onnx")
    fields = json.loads((bundle / MANIFEST_FILE).read_text(encoding="utf-8"))
    del fields["links"]
    bundle_writer.seal(bundle, fields)
    deliver(made, output)
    assert [file.name for file in (output / "onnx").iterdir()] == ["mine.txt"]


def test_a_device_gets_the_names_too(bundle):
    from edgeroberta.benchmark import payload
    from edgeroberta.benchmark.bench_request import BenchRequest

    files = payload.gather(BenchRequest(bundle)).files
    assert files["bundle/onnx/model.onnx"].sha256 == files["bundle/model.onnx"].sha256


def test_a_bundle_whose_links_became_files_is_still_whole(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "copy")
    assert not (tmp_path / "copy/onnx/model.onnx").samefile(tmp_path / "copy/model.onnx")
    check_files(read(tmp_path / "copy"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: file.unlink(), "a file of the bundle is missing"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "bytes instead of"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1] + b"x"), "its sha256 does not match"),
    ],
)
def test_a_shared_file_that_is_not_what_it_was_is_refused(bundle, tmp_path, damage, said):
    shutil.copytree(bundle, tmp_path / "copy")
    damage(tmp_path / "copy/onnx/model.onnx")
    with pytest.raises(BundleError, match=said) as caught:
        Runtime.open(tmp_path / "copy")
    assert caught.value.where == str(tmp_path / "copy/onnx/model.onnx")


@pytest.mark.parametrize(
    "links",
    [{"onnx/model.onnx": "other.onnx"}, {"model.onnx": "model.onnx"}, {"onnx/model.onnx": 1}, ["onnx"]],
)
def test_links_that_lead_nowhere_are_damage(bundle, links):
    reseal(bundle, links)
    with pytest.raises(BundleError, match="a field is malformed"):
        read(bundle)


def test_a_link_cannot_leave_the_bundle(bundle):
    reseal(bundle, {"../model.onnx": "model.onnx"})
    with pytest.raises(BundleError, match="could leave the bundle's folder"):
        read(bundle)


def reseal(folder, links):
    from edgeroberta.runtime.manifest import canonical, content_digest, seal_of

    fields = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    fields["links"] = links
    fields["digest"] = content_digest(fields)
    fields["seal"] = seal_of(fields)
    (folder / MANIFEST_FILE).write_bytes(canonical(fields))


def test_the_config_still_reads_as_a_model(bundle, tiny_checkpoint):
    assert Checkpoint(bundle).config == Checkpoint(tiny_checkpoint).config


@pytest.mark.parametrize(
    ("config", "target", "where", "said"),
    [
        ({"engines": ("openvino",)}, "cpu", "build.engines", "engines names openvino alone"),
        ({}, "jetson", "build.layout", "for the target jetson model.onnx imitates"),
        ({"engines": ("onnxruntime",)}, "nvidia-gpu", "build.layout", "for the target nvidia-gpu"),
        (
            {"layout": "target", "engines": ("openvino",)},
            "web",
            "build.engines",
            "engines names openvino alone",
        ),
    ],
)
def test_a_layout_without_a_graph_for_it_is_refused(tiny_checkpoint, config, target, where, said):
    outline = RunOutline(Checkpoint(tiny_checkpoint), None, TASK, targets.load(target))
    with pytest.raises(RecipeError, match=said) as caught:
        check(replace_config(**config), outline)
    assert caught.value.where == where
    assert caught.value.exit_code == 2
    assert caught.value.hint
