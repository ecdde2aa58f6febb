from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import stage_contexts
import torch
from masked import splits, task_of
from transformers import AutoModelForMaskedLM, AutoTokenizer

from edgeroberta import metrics
from edgeroberta.data.rows import Rows
from edgeroberta.measure import mask_answers, subjects
from edgeroberta.measure.protocol import SubjectSpec
from edgeroberta.measure.torch_baseline import TorchBaseline
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.graph import write_float
from edgeroberta.tasks import MaskedTokens

TEXTS = ["a <mask> film", "the story is <mask> and the plot", "a great <mask>"]
TARGETS = [[300], [301], [5]]


def wanted(model, texts):
    """Log-probabilities at the masks, by transformers alone."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    found = []
    for text in texts:
        batch = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            logits = AutoModelForMaskedLM.from_pretrained(model).eval()(**batch).logits
        found.append(logits[batch["input_ids"] == tokenizer.mask_token_id].log_softmax(-1))
    return torch.cat(found).numpy()


def test_true_tokens_are_asked_for_where_rows_are_of_masks():
    labels = MaskedTokens.pack([np.array([5]), np.array([6, 7])])
    assert mask_answers.targets_of(labels) == [[5], [6, 7]]
    assert mask_answers.targets_of(np.zeros(3, np.int64)) is None
    assert mask_answers.targets_of(None) is None


@pytest.mark.parametrize("overlap", [None, 4])
def test_the_baseline_tells_the_best_tokens_and_those_asked_for(tiny_mask_checkpoint, overlap):
    found = TorchBaseline(Checkpoint(tiny_mask_checkpoint), overlap=overlap).outputs(TEXTS, TARGETS)
    right = wanted(tiny_mask_checkpoint, TEXTS)
    assert found.values.shape == (3, 22)
    np.testing.assert_array_equal(found.values[:, 11:21], np.argsort(-right, axis=1)[:, :10])
    np.testing.assert_allclose(found.values[:, :10], -np.sort(-right, axis=1)[:, :10], atol=1e-5)
    np.testing.assert_array_equal(found.values[:, 21], [300, 301, 5])
    np.testing.assert_allclose(found.values[:, 10], right[np.arange(3), [300, 301, 5]], atol=1e-5)


def test_a_text_longer_than_the_model_is_read_in_windows(tiny_mask_checkpoint):
    text = "a great film " * 300 + "<mask>"
    baseline = TorchBaseline(Checkpoint(tiny_mask_checkpoint), overlap=16)
    assert baseline.outputs([text], [[300]]).values.shape == (1, 22)
    assert len(TorchBaseline(Checkpoint(tiny_mask_checkpoint)).outputs([text]).values) == 0


@pytest.fixture
def exported(tiny_mask_checkpoint, tmp_path):
    """A function that writes the float graph of a checkpoint, and opens it as a measured subject."""

    def open_(folder, inputs=TEXTS):
        place = tmp_path / f"graph-{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        model = Checkpoint(folder)
        write_float(model, place / "model.onnx")
        model.copy_files(place)
        return subjects.open_float_onnx(SubjectSpec("onnx", str(place), inputs))

    return open_


def test_a_graph_answers_as_the_baseline(tiny_mask_checkpoint, exported):
    ours = exported(tiny_mask_checkpoint).outputs(TEXTS, TARGETS)
    theirs = TorchBaseline(Checkpoint(tiny_mask_checkpoint)).outputs(TEXTS, TARGETS)
    np.testing.assert_array_equal(ours.values[:, 11:], theirs.values[:, 11:])
    np.testing.assert_allclose(ours.values[:, :11], theirs.values[:, :11], atol=1e-5)
    assert exported(tiny_mask_checkpoint).outputs(TEXTS).values.shape == (3, 20)


def test_a_model_with_fewer_tokens_answers_with_the_ids_of_before(tiny_mask_checkpoint, exported, tmp_path):
    data = splits(tmp_path, tiny_mask_checkpoint)
    task = task_of(tiny_mask_checkpoint)
    rows = (data.train, data.validation, data.heldout)
    context = stage_contexts.context(tmp_path / "cut", tiny_mask_checkpoint, task, rows)
    stage_contexts.run("vocabulary", context, size=400)
    inputs, targets = data.heldout.inputs(), mask_answers.targets_of(data.heldout.labels)
    whole = TorchBaseline(Checkpoint(tiny_mask_checkpoint)).outputs(inputs, targets)
    cut = exported(context.output, inputs).outputs(inputs, targets)
    np.testing.assert_array_equal(cut.values[:, -1], whole.values[:, -1])
    same = np.isclose(cut.values[:, 10], whole.values[:, 10], atol=0.5)
    assert same.mean() > 0.5  # fewer tokens share the probability
    assert set(metrics.all_metrics(task, cut, data.heldout.labels)) >= {"accuracy", "perplexity"}


def test_a_text_whose_mask_is_cut_off_has_no_answer_and_counts_as_wrong(tiny_mask_checkpoint, exported):
    texts = ["a great film " * 300 + "<mask>", "a <mask>"]
    found = exported(tiny_mask_checkpoint, texts).outputs(texts, [[300], [301]])
    assert found.lengths.tolist() == [0, 1]
    labels = MaskedTokens.pack([np.array([300]), found.values[:1, 11].astype(np.int64)])
    rows = Rows(tuple(texts), None, labels, "x")
    assert metrics.score(task_of(tiny_mask_checkpoint), found, replace(rows).labels) == 0.5
