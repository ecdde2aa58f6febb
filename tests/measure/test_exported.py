"""Graphs that Optimum exported answer beside a bundle as the bundle does, or are refused before any work."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import exported_folders
import numpy as np
import pytest
from exported_folders import edit_config, export, write_graph

from edgeroberta.errors import CheckpointError, EngineError
from edgeroberta.measure import exported
from edgeroberta.measure.exported_session import ExportedSession
from edgeroberta.measure.protocol import SubjectSpec
from edgeroberta.measure.subjects import SUBJECTS, open_bundle, open_exported
from edgeroberta.runtime import Runtime, lengths, manifest
from edgeroberta.tasks import Outputs

ENGINES = {"onnxruntime": ("model.onnx",), "openvino": ("openvino_model.xml", "openvino_model.bin")}
TEXTS = ["The film is great.", "dull", "A story that is never less than charming.", "again and " * 400]
#: What each head is made with, and what its model is asked.
HEADS = {
    "single": ({}, TEXTS),
    "multi": ({"labels": ("plot", "music", "acting"), "problem": "multi_label_classification"}, TEXTS),
    "regression": ({"labels": ("score",), "problem": "regression"}, TEXTS),
    "tokens": ({"labels": ("O", "B-PER", "I-PER"), "problem": "token_classification"}, TEXTS),
    "questions": (
        {"labels": ("LABEL_0", "LABEL_1"), "problem": "question_answering"},
        [("Where?", text) for text in TEXTS],
    ),
    "masks": ({"problem": "fill_mask"}, [f"{text} <mask> and <mask>." for text in TEXTS[:3]]),
    "mean": ({"pooling": "mean"}, TEXTS),
    "cls": ({"pooling": "cls", "normalize": False}, TEXTS),
    "max": ({"pooling": "max"}, TEXTS),
}


@pytest.fixture(scope="module")
def make_head(make_checkpoint, make_embedder, make_bundle):
    def make(head: str) -> Path:
        settings, _ = HEADS[head]
        made = (make_embedder if "pooling" in settings else make_checkpoint)(**settings)
        bundle: Path = make_bundle(made, tuple(ENGINES), pair=head == "questions")
        return bundle

    return make


def spec(graph: Path, bundle: Path, inputs: list, **more) -> SubjectSpec:
    overlap = manifest.read(bundle).long_texts.overlap
    return SubjectSpec(SUBJECTS["exported"], str(graph), inputs, bundle=str(bundle), overlap=overlap, **more)


def plain(folder: Path) -> None:
    """Take out of a graph what is not in Optimum's: the outputs that this runtime reads."""
    import onnx

    model = onnx.load(folder / "model.onnx")
    theirs = [
        {"start_logits", "end_logits"},
        {"last_hidden_state"},
        {"logits"},
    ]
    names = {each.name for each in model.graph.output}
    wanted = next(each for each in theirs if each <= names)
    kept = [each for each in model.graph.output if each.name in wanted]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    onnx.save(model, folder / "model.onnx")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("head", HEADS)
def test_the_graph_of_every_head_answers_as_the_bundle(make_head, tmp_path, head, engine):
    bundle, inputs = make_head(head), HEADS[head][1]
    folder = export(bundle, tmp_path / "export", *ENGINES[engine])
    if engine == "onnxruntime":
        plain(folder)
    subject = open_exported(spec(folder, bundle, inputs, engine=engine))
    ours = open_bundle(SubjectSpec("", str(bundle), inputs, engine=engine))
    found, wanted = subject.outputs(inputs), ours.outputs(inputs)
    np.testing.assert_allclose(found.values, wanted.values, rtol=0, atol=1e-4)
    assert (subject.engine, subject.version, subject.device) == (engine, ours.version, "cpu")
    assert subject.bytes == sum(
        (folder / name).stat().st_size for name in (*ENGINES[engine], "tokenizer.json")
    )
    for text in inputs[:1]:
        assert type(subject.answer([text])) is type(ours.answer([text]))


def test_true_tokens_of_masks_get_their_probability(make_head, tmp_path):
    bundle, inputs = make_head("masks"), HEADS["masks"][1]
    folder = export(bundle, tmp_path / "export")
    plain(folder)
    targets = [[7, 8]] * len(inputs)
    found = open_exported(spec(folder, bundle, inputs)).outputs(inputs, targets)
    wanted = open_bundle(SubjectSpec("", str(bundle), inputs, engine="onnxruntime")).outputs(inputs, targets)
    np.testing.assert_allclose(found.values, wanted.values, rtol=0, atol=1e-4)


def test_labels_in_another_order_are_turned_into_the_bundle_s(make_head, tmp_path):
    bundle = make_head("multi")
    folder = export(bundle, tmp_path / "export")
    exported_folders.permute(folder, (2, 0, 1))
    facts = manifest.read(bundle)
    model = exported.read(folder, facts)
    assert model.order == (1, 2, 0)
    found = open_exported(spec(folder, bundle, TEXTS)).outputs(TEXTS)
    wanted = open_bundle(SubjectSpec("", str(bundle), TEXTS, engine="onnxruntime")).outputs(TEXTS)
    np.testing.assert_allclose(found.values, wanted.values, rtol=0, atol=1e-5)
    (told,) = exported.differences(model, facts, TEXTS)
    assert told == "export/model.onnx has the labels in another order, which was turned into the bundle's."


def test_token_types_are_1_behind_the_separator_of_a_pair(make_bundle, tiny_bert_checkpoint, tmp_path):
    pairs = [("a film", "dull dull dull"), ("the story", "good")]
    bundle = make_bundle(tiny_bert_checkpoint, pair=True)
    folder = export(bundle, tmp_path / "export")
    names = ("input_ids", "attention_mask", "token_type_ids")
    write_graph(folder / "model.onnx", names)
    facts = manifest.read(bundle)
    model = exported.read(folder, facts)
    assert (model.inputs, model.separator_id) == (names, facts.separator_id)
    with Runtime.open(bundle) as runtime:
        encodings = runtime.encode(pairs)
    for encoding in encodings:
        ids = encoding.ids[None]
        # The graph gives its types as if they were labels.
        every = replace(model, order=tuple(range(ids.shape[1])))
        session = ExportedSession(every, lengths.choose((), model.max_length), threads=1)
        first = ids[0].tolist().index(model.separator_id) + 1
        types = session.run(ids, np.ones_like(ids))[0].tolist()
        assert types == [0.0] * first + [1.0] * (ids.shape[1] - first)


def test_int32_ids_are_given_where_the_graph_wants_them(tiny_bundle, tmp_path):
    import onnx

    folder = export(tiny_bundle, tmp_path / "export")
    model = onnx.load(folder / "model.onnx")
    for given in model.graph.input:
        given.type.tensor_type.elem_type = onnx.TensorProto.INT32
        given.name, inner = given.name, f"{given.name}.int64"
        for node in model.graph.node:
            for place, name in enumerate(node.input):
                if name == given.name:
                    node.input[place] = inner
        cast = onnx.helper.make_node("Cast", [given.name], [inner], to=onnx.TensorProto.INT64)
        model.graph.node.insert(0, cast)
    onnx.save(model, folder / "model.onnx")
    found = open_exported(spec(folder, tiny_bundle, TEXTS)).outputs(TEXTS)
    wanted = open_bundle(SubjectSpec("", str(tiny_bundle), TEXTS, engine="onnxruntime")).outputs(TEXTS)
    np.testing.assert_allclose(found.values, wanted.values, rtol=0, atol=1e-5)


def refusal(folder: Path, bundle: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        exported.read(folder, manifest.read(bundle), where="--beside here")
    assert str(caught.value.where).startswith("--beside here")
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"architectures": ["RobertaForTokenClassification"]}, "token-classification"),
        ({"architectures": ["RobertaForMultipleChoice"]}, "RobertaForMultipleChoice"),
        ({"problem_type": "multi_label_classification"}, "multi_label_classification"),
        ({"id2label": {"0": "no", "1": "yes"}, "label2id": None}, "no"),
        ({"id2label": {str(i): f"l{i}" for i in range(9)}, "label2id": None}, "and 4 more"),
        ({"model_type": "electra", "pad_token_id": -3}, "pad_token_id"),
    ],
)
def test_a_config_of_something_else_is_refused(tiny_bundle, tmp_path, fields, told):
    folder = export(tiny_bundle, tmp_path / "export")
    edit_config(folder, **fields)
    found = refusal(folder, tiny_bundle)
    assert found.code == "checkpoint.export-mismatch"
    assert told in found.what


@pytest.mark.parametrize(
    ("ports", "told"),
    [
        ((("input_ids", "attention_mask", "position_ids"), ("logits",)), "position_ids"),
        ((("input_ids",), ("logits",)), "attention_mask"),
        ((("input_ids", "attention_mask"), ("last_hidden_state",)), "last_hidden_state"),
    ],
)
def test_a_graph_that_takes_or_gives_something_else_is_refused(tiny_bundle, tmp_path, ports, told):
    folder = export(tiny_bundle, tmp_path / "export")
    write_graph(folder / "model.onnx", *ports)
    found = refusal(folder, tiny_bundle)
    assert found.code == "checkpoint.export-mismatch"
    assert told in found.what


def test_a_file_that_is_no_graph_and_a_folder_without_a_tokenizer_are_refused(tiny_bundle, tmp_path):
    folder = export(tiny_bundle, tmp_path / "export")
    (folder / "model.onnx").write_bytes(b"nothing")
    assert refusal(folder, tiny_bundle).code == "checkpoint.export-mismatch"
    (folder / "tokenizer.json").unlink()
    found = refusal(folder, tiny_bundle)
    assert (found.code, "save_pretrained" in str(found.hint)) == ("checkpoint.graph-missing", True)


def test_embeddings_that_are_made_otherwise_are_refused(make_head, make_sentence_transformer, tmp_path):
    bundle = make_head("mean")
    folder = export(bundle, tmp_path / "export")
    source = make_sentence_transformer(pooling={"pooling_mode_cls_token": True})
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        shutil.copy(source / name, folder / name)
    shutil.copytree(source / "1_Pooling", folder / "1_Pooling")
    edit_config(folder, sentence_embedding=None)
    assert "cls" in refusal(folder, bundle).what
    shutil.rmtree(folder / "1_Pooling")
    (folder / "modules.json").unlink()
    edit_config(folder, hidden_size=48)
    assert "48" in refusal(folder, bundle).what


def test_masks_of_another_vocabulary_are_refused(make_head, tmp_path, xlmr_tokenizer_folder):
    bundle = make_head("masks")
    folder = export(bundle, tmp_path / "export")
    for file in xlmr_tokenizer_folder.glob("*.json"):
        shutil.copy(file, folder / file.name)
    assert "token" in refusal(folder, bundle).what


def test_a_shorter_limit_and_other_tokens_are_told(tiny_bundle, tmp_path, xlmr_tokenizer_folder):
    folder = export(tiny_bundle, tmp_path / "export")
    for file in xlmr_tokenizer_folder.glob("*.json"):
        shutil.copy(file, folder / file.name)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "model_max_length": 64}))
    facts = manifest.read(tiny_bundle)
    model = exported.read(folder, facts)
    told = exported.differences(model, facts, [("a film", "dull")] * 3)
    assert told == (
        f"export/model.onnx reads 64 tokens, the bundle {facts.max_length}.",
        "export/model.onnx makes other tokens of 6 of 6 texts.",
    )
    found = open_exported(spec(folder, tiny_bundle, TEXTS)).outputs(TEXTS)
    assert isinstance(found, Outputs)


def test_a_model_of_another_family_is_cut_where_its_positions_end(tiny_bundle, tmp_path):
    folder = export(tiny_bundle, tmp_path / "export")
    edit_config(folder, model_type="electra", max_position_embeddings=128)
    assert exported.read(folder, manifest.read(tiny_bundle)).max_length == 128


def test_an_engine_that_refuses_the_graph_says_so(tiny_bundle, tmp_path):
    import onnx

    folder = export(tiny_bundle, tmp_path / "export")
    write_graph(
        folder / "model.onnx", node=lambda: onnx.helper.make_node("Nothing", ["input_ids"], ["logits"])
    )
    with pytest.raises(EngineError) as caught:
        open_exported(spec(folder, tiny_bundle, TEXTS))
    assert caught.value.where == "export/model.onnx"


def test_a_graph_with_more_numbers_than_labels_is_refused(tiny_bundle, tmp_path):
    folder = export(tiny_bundle, tmp_path / "export")
    names = list(json.loads((folder / "config.json").read_text())["id2label"].values())
    exported_folders.permute(folder, (0, 1, 0))
    edit_config(folder, id2label=dict(enumerate(names)), label2id=None)
    with pytest.raises(EngineError, match="the graph gives 3 numbers for the 2 labels") as caught:
        open_exported(spec(folder, tiny_bundle, TEXTS)).outputs(TEXTS)
    assert caught.value.where == "export/model.onnx"


def test_weights_beside_a_graph_belong_to_it(tiny_bundle, tmp_path):
    folder = export(tiny_bundle, tmp_path / "export")
    (folder / "model.onnx_data").write_bytes(b"x" * 99)
    (folder / "notes.txt").touch()
    model = exported.read(folder, manifest.read(tiny_bundle))
    assert {file.name for file in model.loaded} == {"model.onnx", "model.onnx_data", "tokenizer.json"}
    assert set(model.files) == {*exported_folders.FILES, "model.onnx", "model.onnx_data"}
