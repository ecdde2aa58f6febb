"""The baseline reads long texts as a bundle does."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from edgeroberta.measure.protocol import SubjectSpec
from edgeroberta.measure.subjects import open_bundle, open_float_onnx
from edgeroberta.measure.torch_baseline import TorchBaseline
from edgeroberta.roberta.graph import write_float
from edgeroberta.stages.build import BuildConfig, build

LONG = "The story is dull, but the music, café and 😀 all, was great. "
TEXTS = ["", "A film.", LONG * 9, LONG * 30, "film " * 22, "x" * 300]
PAIRS = [("a", "b"), ("Short.", LONG * 6), (LONG * 6, "Short."), (LONG * 5, LONG * 7), ("", LONG * 9)]


@pytest.fixture(scope="module")
def short(make_checkpoint):
    """A function that makes a model of 32 tokens."""
    made = {}

    def make(problem="single_label_classification", model_type="roberta"):
        key = (problem, model_type)
        if key not in made:
            tokens = problem == "token_classification"
            labels = ("O", "B-X", "I-X") if tokens else ("no", "yes")
            made[key] = make_checkpoint(labels, problem, model_type=model_type, max_position_embeddings=34)
        return made[key]

    return make


def graph(checkpoint, tmp_path):
    write_float(checkpoint, tmp_path / "model.onnx")
    for file in checkpoint.glob("*.json"):
        shutil.copyfile(file, tmp_path / file.name)
    return tmp_path


@pytest.mark.parametrize("model_type", ["roberta", "xlm-roberta"])
@pytest.mark.parametrize("problem", ["single_label_classification", "token_classification"])
@pytest.mark.parametrize("overlap", [0, 8, 25])
def test_windows_of_the_baseline_are_those_of_a_bundle(short, problem, model_type, overlap, tmp_path):
    checkpoint = short(problem, model_type)
    full = TorchBaseline(checkpoint, overlap=overlap)
    subject = open_float_onnx(SubjectSpec("", str(graph(checkpoint, tmp_path)), TEXTS, overlap=overlap))
    theirs, ours = full.outputs(TEXTS), subject.outputs(TEXTS)
    assert (theirs.offsets == ours.offsets).all()
    np.testing.assert_allclose(theirs.values, ours.values, atol=1e-5)
    assert (theirs.places is None) == (ours.places is None)
    if theirs.places is not None and ours.places is not None:
        assert (theirs.places == ours.places).all()
    one = full.outputs(TEXTS[3:4])
    np.testing.assert_allclose(one.values, theirs[3:4].values, atol=1e-5)
    assert full.answer(TEXTS[:3]) == theirs[:3].values.argmax(-1).tolist()


def test_the_longer_text_of_a_pair_is_read_in_windows_and_two_long_ones_are_cut(short, tmp_path):
    checkpoint = short()
    full = TorchBaseline(checkpoint, overlap=4)
    subject = open_float_onnx(SubjectSpec("", str(graph(checkpoint, tmp_path)), PAIRS, overlap=4))
    np.testing.assert_allclose(full.outputs(PAIRS).values, subject.outputs(PAIRS).values, atol=1e-5)
    cut = TorchBaseline(checkpoint).outputs(PAIRS).values
    windows = full.outputs(PAIRS).values
    assert np.abs(cut - windows).max(axis=1)[[0, 3]] == pytest.approx(0, abs=1e-5)
    assert (np.abs(cut - windows).max(axis=1)[[1, 2, 4]] > 1e-3).all()


def test_texts_cut_on_the_left_have_the_same_windows(short, tmp_path):
    import json

    checkpoint = shutil.copytree(short("token_classification"), tmp_path / "left")
    file = checkpoint / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "truncation_side": "left"}))
    (tmp_path / "graph").mkdir()
    theirs = TorchBaseline(checkpoint, overlap=6).outputs(TEXTS)
    folder = graph(checkpoint, tmp_path / "graph")
    ours = open_float_onnx(SubjectSpec("", str(folder), TEXTS, overlap=6)).outputs(TEXTS)
    np.testing.assert_allclose(theirs.values, ours.values, atol=1e-5)
    assert (theirs.places == ours.places).all()


@pytest.mark.parametrize("problem", ["single_label_classification", "token_classification"])
def test_a_bundle_that_reads_windows_answers_alike_with_padding_and_as_the_baseline(
    make_build_context, short, problem
):
    checkpoint = short(problem)
    context = make_build_context(checkpoint)
    build(BuildConfig(long_text="windows", stride=6, check=False), context)
    spec = SubjectSpec("", str(context.output), TEXTS, engine="onnxruntime")
    subject = open_bundle(spec)
    outputs, padded = subject.outputs(TEXTS), subject.padded(TEXTS, 32)
    baseline = TorchBaseline(checkpoint, overlap=6).outputs(TEXTS)
    for other in (padded, baseline):
        assert (other.offsets == outputs.offsets).all()
        np.testing.assert_allclose(other.values, outputs.values, atol=1e-5)
        assert (other.places is None) == (outputs.places is None)


def test_rows_that_a_bundle_refuses_are_cut_to_be_compared(make_build_context, short):
    context = make_build_context(short())
    build(BuildConfig(long_text="refuse", check=False), context)
    subject = open_bundle(SubjectSpec("", str(context.output), TEXTS, engine="onnxruntime"))
    cut = TorchBaseline(short()).outputs(TEXTS)
    np.testing.assert_allclose(subject.outputs(TEXTS).values, cut.values, atol=1e-5)


CONTEXT = "It was shot in Paris, caf\u00e9 and \U0001f600 all; \u5f71\u7247\u5f88\u597d\u3002 "
QUESTIONS = [
    ("Where?", "Paris."),
    ("Where?", CONTEXT * 9),
    ("Who was it?", CONTEXT * 20),
    ("Why?", "x" * 300),
]


@pytest.mark.parametrize("model_type", ["roberta", "xlm-roberta", "bert"])
@pytest.mark.parametrize("overlap", [None, 0, 8, 14])
def test_contexts_of_questions_are_read_by_the_baseline_as_by_a_bundle(
    make_checkpoint, model_type, overlap, tmp_path
):
    checkpoint = make_checkpoint(
        ("LABEL_0", "LABEL_1"), "question_answering", model_type=model_type, max_position_embeddings=48
    )
    full = TorchBaseline(checkpoint, overlap=overlap)
    write_float(checkpoint, tmp_path / "model.onnx", pair=True)
    for file in checkpoint.glob("*.json"):
        shutil.copyfile(file, tmp_path / file.name)
    subject = open_float_onnx(SubjectSpec("", str(tmp_path), QUESTIONS, overlap=overlap))
    theirs, ours = full.outputs(QUESTIONS), subject.outputs(QUESTIONS)
    assert (theirs.offsets == ours.offsets).all()
    assert (theirs.places == ours.places).all()
    np.testing.assert_allclose(theirs.values, ours.values, atol=1e-5 * np.abs(theirs.values).max())
    assert (theirs.lengths > 48).any() == (overlap is not None)
    assert full.answer(QUESTIONS[1:2]) == theirs[1:2].values.argmax(-1).tolist()
