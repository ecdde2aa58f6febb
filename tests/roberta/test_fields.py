from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import checkpoint_validation, fields
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.config import EncoderConfig
from edgeroberta.roberta.loading import transformers_config
from edgeroberta.tasks import Task

GOOD: dict[str, Any] = {
    "model_type": "roberta",
    "architectures": ["RobertaForSequenceClassification"],
    "attention_probs_dropout_prob": 0.1,
    "bos_token_id": 0,
    "classifier_dropout": None,
    "eos_token_id": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 32,
    "id2label": {"0": "no", "1": "yes"},
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "label2id": {"no": 0, "yes": 1},
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 66,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "pad_token_id": 1,
    "position_embedding_type": "absolute",
    "torch_dtype": "float32",
    "type_vocab_size": 1,
    "use_cache": True,
    "vocab_size": 600,
}
AGAIN = "  next: download or save the model again"

#: A field, what is written there, and what is said of it.
BAD = [
    ("num_hidden_layers", 10_000_000, "num_hidden_layers must be at most 1,024, not 10000000\n" + AGAIN),
    ("num_hidden_layers", True, "num_hidden_layers must be a positive whole number, not True\n" + AGAIN),
    ("hidden_size", 32.0, "hidden_size must be a positive whole number, not 32.0\n" + AGAIN),
    ("vocab_size", 1 << 31, "vocab_size must be at most 16,777,216, not 2147483648\n" + AGAIN),
    ("layer_norm_eps", -1, "layer_norm_eps must be a number from 1e-30 to 1, not -1\n" + AGAIN),
    ("layer_norm_eps", "1e-5", "layer_norm_eps must be a number from 1e-30 to 1, not '1e-5'\n" + AGAIN),
    ("layer_norm_eps", float("nan"), "layer_norm_eps must be a number from 1e-30 to 1, not nan\n" + AGAIN),
    ("layer_norm_eps", 10**400, "layer_norm_eps must be a number from 1e-30 to 1, not 1000000000"),
    ("pad_token_id", 1 << 31, "pad_token_id must be an id from 0 to 62, not 2147483648\n" + AGAIN),
    ("pad_token_id", -1, "pad_token_id must be an id from 0 to 62, not -1\n" + AGAIN),
    ("pad_token_id", None, "pad_token_id must be an id from 0 to 62, not None\n" + AGAIN),
    (
        "hidden_dropout_prob",
        float("inf"),
        "hidden_dropout_prob must be a number from 0 to 1, not inf\n" + AGAIN,
    ),
    ("classifier_dropout", "a lot", "classifier_dropout must be a number from 0 to 1, not 'a lot'\n" + AGAIN),
    ("initializer_range", [], "initializer_range must be a number from 0 to 1000, not []\n" + AGAIN),
    (
        "hidden_act",
        ["gelu"],
        "hidden_act must be one of gelu, gelu_python, gelu_new, gelu_fast, gelu_pytorch_tanh, relu,",
    ),
    ("hidden_act", "silu", "gelu_fast, gelu_pytorch_tanh, relu, not 'silu'"),
    ("bos_token_id", {"id": 0}, "bos_token_id must be a token's id, not {'id': 0}\n" + AGAIN),
    ("bos_token_id", [0], "bos_token_id must be a token's id, not [0]\n" + AGAIN),
    (
        "eos_token_id",
        [2, "3"],
        "eos_token_id must be a token's id, or a list of them, not [2, '3']\n" + AGAIN,
    ),
    ("sep_token_id", 2.5, "sep_token_id must be a token's id, not 2.5\n" + AGAIN),
    ("use_cache", "yes", "use_cache must be true or false, not 'yes'\n" + AGAIN),
    (
        "torch_dtype",
        "int8",
        "torch_dtype must be one of float32, float16, bfloat16, float64, auto, not 'int8'",
    ),
    ("architectures", "RobertaModel", "architectures must be a list of class names, not 'RobertaModel'\n"),
    ("chunk_size_feed_forward", -1, "chunk_size_feed_forward must be a whole number of at least 0, not -1\n"),
    ("add_cross_attention", True, "add_cross_attention is True; only False can be compressed"),
    ("position_embedding_type", None, "position_embedding_type is None; only 'absolute' can be compressed"),
    ("quantization_config", {"bits": 8}, "quantization_config is set: the weights are quantized\n"),
    ("pruned_heads", {"0": [1]}, "pruned_heads is set: transformers 4 takes heads out as it loads the model"),
    ("per_layer_config", {"0": {}}, "per_layer_config is set: layers have settings of their own\n"),
    ("num_labels", 3, "num_labels is 3, id2label has 2 names\n"),
    (
        "num_labels",
        10**9,
        "config.json: num_labels: must be a whole number from 1 to 1,048,576, not 1000000000",
    ),
    ("id2label", {"0": "no", "2": "yes"}, "config.json: id2label: the ids must be 0 to 1 without holes"),
    ("id2label", {"0": "no", "1": ["yes"]}, "config.json: id2label: ['yes'] is no name"),
    ("label2id", {"no": 1, "yes": 0}, "config.json: label2id: 'no' is 1 here and 0 in id2label\n"),
    ("label2id", {"NO": 0, "Yes": 0}, "config.json: label2id: 'Yes' is 0 here and 1 in id2label\n"),
    ("label2id", ["no", "yes"], "config.json: label2id: must be a table of names and label ids"),
    (
        "model_type",
        {"a": 1},
        "model_type is {'a': 1}; only roberta, xlm-roberta, camembert, bert can be compressed\n",
    ),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD, ids=lambda value: str(value)[:24])
def test_a_field_that_cannot_be_is_refused_by_name(name, value, message):
    with pytest.raises(CheckpointError) as caught:
        EncoderConfig.from_dict({**GOOD, name: value})
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("label2id", {"LABEL_0": 0, "LABEL_1": 1}),  # what save_pretrained left of the default
        ("id2label", {"0": 0, "1": 1}),
        ("torch_dtype", "torch.bfloat16"),
        ("eos_token_id", [2, 3]),
        ("eos_token_id", -1),
        ("sep_token_id", None),
        ("chunk_size_feed_forward", 7),
        ("pruned_heads", {}),
        ("summary_type", "first"),
        ("layer_norm_eps", 1),
        ("initializer_range", 1),
        ("output_attentions", True),
        ("num_labels", 2),
    ],
)
def test_a_field_that_loses_nothing_is_taken_and_transformers_can_read_it(name, value, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**GOOD, name: value}))
    assert checkpoint_validation.check_config(Checkpoint(tmp_path)).layers == 2
    assert transformers_config(tmp_path).num_labels == 2


def test_transformers_is_told_every_field_that_changes_the_answers(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**GOOD, "chunk_size_feed_forward": 7}))
    config = transformers_config(tmp_path)
    for name in (*fields.SIZES, "hidden_act", "layer_norm_eps", "pad_token_id", "classifier_dropout"):
        assert getattr(config, name) == GOOD[name]
    assert config.id2label == {0: "no", 1: "yes"}
    assert config.chunk_size_feed_forward == 0  # would refuse lengths that are no multiple of 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "not read: lists and objects are nested deeper than 64"),
        ('{"vocab_size": ' + "9" * 5_000 + "}", "not read: a whole number of 5000 digits"),
        ('{"id2label": {"0": "\\ud83d"}}', "holds half of a surrogate pair"),
    ],
    ids=["nesting", "digits", "surrogate"],
)
def test_json_that_python_cannot_hold_is_refused(text, message, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError) as caught:
        _ = Checkpoint(tmp_path).config
    assert str(caught.value) == f"{tmp_path}/config.json: {message}\n{AGAIN}"


NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([-1, 0, 1, 1 << 31, 1 << 63, 10**18, 10**400, 1e-320, 1e308])
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = sorted({*GOOD, "num_labels", "problem_type", "layer_shapes", "dtype", "auto_map", "tokenizer_class"})


@settings(max_examples=60, deadline=1000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1, max_size=3))
def test_any_value_of_any_field_is_taken_or_refused_on_purpose(changes, tmp_path):
    # NaN and Infinity are written, too: Python reads them.
    (tmp_path / "config.json").write_text(json.dumps({**GOOD, **changes}))
    try:
        config = checkpoint_validation.check_config(Checkpoint(tmp_path))
        checkpoint_validation._check_class(Checkpoint(tmp_path))
        task = Task.from_config(json.loads((tmp_path / "config.json").read_text()))
        told = transformers_config(tmp_path)
    except CheckpointError:
        return
    assert config.num_labels == task.num_outputs == told.num_labels
    assert config.hidden_size == told.hidden_size
