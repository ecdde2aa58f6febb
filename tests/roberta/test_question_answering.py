"""The head that answers questions: its graph against transformers, and what other programs look for."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnxruntime
import pytest
import torch

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import heads, loading
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.graph import TENSORRT, GraphForm, build_graph, write_float
from edgeroberta.roberta.weights import load_weights
from edgeroberta.storage.files import GRAPH
from edgeroberta.tasks import Problem

FAMILIES = ("roberta", "xlm-roberta", "camembert", "bert")
LENGTHS = (512, 300, 64, 17, 2, 1)


@pytest.fixture(params=FAMILIES)
def checkpoint(request, make_checkpoint) -> Checkpoint:
    return Checkpoint(make_checkpoint(("LABEL_0", "LABEL_1"), "question_answering", model_type=request.param))


def batch(vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """Make one padded batch of texts of 1 to 512 tokens."""
    random = np.random.default_rng(0)
    ids = random.integers(5, vocabulary, (len(LENGTHS), max(LENGTHS)))
    mask = (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]).astype(np.int64)
    return ids, mask


def test_a_checkpoint_of_transformers_is_one_of_spans(checkpoint):
    assert checkpoint.task.problem is Problem.SPANS
    assert checkpoint.task.labels == ("start", "end")
    assert checkpoint.task.pair
    assert checkpoint.has_head
    assert checkpoint.head.gives == "qa_outputs"


def test_the_float_graph_answers_as_transformers_does_on_a_padded_batch_of_1_to_512_tokens(
    checkpoint, tmp_path
):
    ids, mask = batch(checkpoint.config.vocab_size)
    ids = np.where(mask, ids, checkpoint.config.pad_token_id)
    write_float(checkpoint, tmp_path / GRAPH, pair=checkpoint.task.joins)
    session = onnxruntime.InferenceSession(str(tmp_path / GRAPH), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert names == ["logits", "start_logits", "end_logits"]
    found = dict(zip(names, session.run(None, {"input_ids": ids, "attention_mask": mask}), strict=True))
    model = loading.load_classifier(checkpoint, checkpoint.task)
    with torch.inference_mode():
        wanted = heads.answers(model, torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    real = mask.astype(bool)
    assert np.abs(found["logits"] - wanted)[real].max() < 1e-5 * max(1, np.abs(wanted).max())
    for side, name in enumerate(("start_logits", "end_logits")):
        assert np.array_equal(found[name], found["logits"][..., side])


def test_graphs_for_engines_on_devices_end_with_the_logits_alone(checkpoint):
    weights = load_weights(checkpoint)
    for form in (TENSORRT, GraphForm(interchange=False)):
        outputs = (
            build_graph(weights, form=dataclasses.replace(form, body=np.float32)).builder.model().graph.output
        )
        assert [output.name for output in outputs] == ["logits"]


def test_a_head_of_three_outputs_is_refused(make_checkpoint):
    folder = make_checkpoint(("a", "b", "c"), "token_classification")
    file = folder / "config.json"
    file.write_text(file.read_text().replace("ForTokenClassification", "ForQuestionAnswering"))
    with pytest.raises(CheckpointError, match="question answering has two outputs"):
        _ = Checkpoint(folder).task
