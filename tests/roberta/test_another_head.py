"""How a further head is added: a class for it, a row of the table, and a kind of task that names it.

The example is multiple choice: each choice is a text, or a pair, with one output, and the largest of those
that belong together is the answer. Its head is RoBERTa's pooler and one projection, on the first token.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForMultipleChoice

from edgeroberta import tasks
from edgeroberta.roberta import checkpoint_validation, heads, loading
from edgeroberta.roberta.arrays import Linear
from edgeroberta.roberta.blocks import Blocks
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.graph import GraphForm, build_graph
from edgeroberta.roberta.weights import load_weights
from edgeroberta.tasks.regression import Regression
from edgeroberta.tasks.task import Task

from .test_graph import ENGINES, int8_plan, padded_batch, save

SIZES = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 514, "vocab_size": 600, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
    "initializer_range": 0.2,
}  # fmt: skip

# ------------------------------------------------------------------------ roberta/heads/multiple_choice.py


@dataclass(frozen=True)
class MultipleChoiceWeights:
    """Pooler and projection."""

    pooler: Linear
    projection: Linear
    outputs = 1

    def write(self, blocks: Blocks, encoder: heads.EncoderTensors) -> tuple[heads.HeadOutput, ...]:
        """Write the end of the graph; its outputs are float [batch, 1], a row for each choice."""
        token = encoder.states if encoder.first else blocks.first_token("head.first", encoder.states)
        pooled = blocks.graph.node("Tanh", (blocks.linear("head.pooler", token, self.pooler),), "head.tanh")
        result = blocks.linear("head.projection", pooled, self.projection)
        shape = blocks.graph.constant("shape.-1,1", [-1, 1], np.int64)
        result = blocks.graph.node("Reshape", (result, shape), "head.result")
        return (heads.HeadOutput(result, ("batch", 1)),)


class MultipleChoice(heads.PlainHead):
    """The head of ``RobertaForMultipleChoice``."""

    title = "multiple choice"
    suffix = "ForMultipleChoice"
    first_token_only = True
    reads = "roberta.pooler.dense"
    gives = "classifier"
    states_problem = False
    foreign: tuple[heads.ForeignTensors, ...] = ()

    def linears(self, hidden: int, outputs: int) -> Iterator[tuple[str, int, int]]:
        """List name, inputs and outputs of its linear layers; a choice has one output."""
        yield self.reads, hidden, hidden
        yield self.gives, hidden, 1

    def load(self, tensors: heads.HeadTensors) -> MultipleChoiceWeights:
        """Make its weights."""
        return MultipleChoiceWeights(tensors.linear(self.reads), tensors.linear(self.gives))


# ------------------------------------------------------------------------ tasks/multiple_choice.py, in short


class Choices(Regression):
    """A value for each choice."""

    head = "multiple-choice"
    optimum_task = "multiple-choice"


@pytest.fixture
def added(monkeypatch) -> None:
    """Both rows, and how a config tells of such a task."""
    monkeypatch.setitem(heads.HEADS, "multiple-choice", MultipleChoice())
    monkeypatch.setitem(tasks.KINDS, "multiple_choice", Choices())
    monkeypatch.setattr("edgeroberta.tasks.task.problem_of", lambda config, names: "multiple_choice")


# ------------------------------------------------------------------------ what then works


@pytest.fixture
def folder(tmp_path, tokenizer_folder) -> Path:
    """A model of transformers' own class, saved."""
    config = AutoConfig.for_model("roberta", **SIZES)
    torch.manual_seed(0)
    AutoModelForMultipleChoice.from_config(config).save_pretrained(tmp_path / "model")
    for file in tokenizer_folder.glob("*.json"):
        (tmp_path / "model" / file.name).write_bytes(file.read_bytes())
    return tmp_path / "model"


def transformers_answer(folder: Path, ids: Any, mask: Any) -> Any:
    model = AutoModelForMultipleChoice.from_pretrained(folder).eval()
    with torch.inference_mode():  # the three rows are the choices of one question
        found = model(torch.from_numpy(ids)[None], attention_mask=torch.from_numpy(mask)[None])
        return found.logits.numpy().T


@pytest.mark.usefixtures("added")
def test_a_head_that_is_added_is_checked_loaded_and_written_as_transformers_computes_it(folder, tmp_path):
    model = Checkpoint(folder)
    checkpoint_validation.check(model)
    assert model.has_head
    assert model.config.shape.parameters == model.parameters
    loaded = loading.load_classifier(model, Task.from_config(model.fields))
    assert type(loaded).__name__ == "RobertaForMultipleChoice"
    weights = load_weights(model)
    for form in (GraphForm(), GraphForm(first_token_only=False)):
        path = save(build_graph(weights, form=form), tmp_path)
        for length in (1, 7, 64, 512):
            ids, mask = padded_batch(length)
            wanted = transformers_answer(folder, ids, mask)
            for run in ENGINES.values():
                np.testing.assert_allclose(run(path, ids, mask), wanted, atol=1e-5, rtol=0)


@pytest.mark.usefixtures("added")
def test_a_head_that_is_added_is_quantized(folder, tmp_path):
    weights, (ids, mask) = load_weights(folder), padded_batch(40)
    plan = int8_plan(build_graph(weights))
    assert {"head.pooler", "head.projection"} <= set(plan.matmuls)
    path = save(build_graph(weights, plan), tmp_path)
    wanted = transformers_answer(folder, ids, mask)
    for run in ENGINES.values():
        assert 0 < np.abs(run(path, ids, mask) - wanted).max() < 0.5


def test_without_its_row_such_a_model_is_refused(folder):
    with pytest.raises(Exception, match="is a model for multiple choice; only sequence classification and"):
        checkpoint_validation.check(Checkpoint(folder))
