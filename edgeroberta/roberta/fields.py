"""Every field of ``config.json`` that decides what a model computes or how transformers reads it.

transformers checks few of them and computes on with the rest, or fails in the midst of training. So each is
held to a table here before anything is made of it, and transformers is given the known fields alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgeroberta.errors import CheckpointError, shown
from edgeroberta.roberta.families import FAMILIES

#: What to do about a damaged model folder.
DOWNLOAD = "download or save the model again"

#: ``hidden_act`` in ``config.json`` to the activation the graph writer knows.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}

#: Sizes that every config states, and bounds far above those of any model.
SIZES = {
    "hidden_size": 1 << 16,
    "intermediate_size": 1 << 20,
    "max_position_embeddings": 1 << 20,
    "num_attention_heads": 1 << 12,
    "num_hidden_layers": 1 << 10,
    "type_vocab_size": 1 << 16,
    "vocab_size": 1 << 24,
}

#: Fields that change the architecture, and the values that leave it RoBERTa. ``null`` for the positions is
#: none of them: transformers 4 then adds no positions, transformers 5 does.
_PLAIN: Mapping[str, tuple[Any, ...]] = {
    "position_embedding_type": ("absolute",),
    "is_decoder": (False, None),
    "is_encoder_decoder": (False, None),
    "add_cross_attention": (False, None),
}

#: Fields that must be absent or empty: what they say of the model, and what helps.
_REFUSED = {
    "quantization_config": ("the weights are quantized", "name the checkpoint from before quantization"),
    "compression_config": ("the weights are compressed", "name the checkpoint from before compression"),
    "pruned_heads": (
        "transformers 4 takes heads out as it loads the model, transformers 5 does not",
        "prune with a prune stage instead: --recipe prune-int8",
    ),
    "per_layer_config": ("layers have settings of their own", "name a model whose layers are all alike"),
}

_DTYPES = ("float32", "float16", "bfloat16", "float64", "auto")
_ID_SUFFIX = "_token_id"


@dataclass(frozen=True)
class _Rule:
    """What a field may hold, and how to say so."""

    accepts: Callable[[Any], bool]
    wanted: str


def _whole(value: Any, low: int = -(1 << 63), high: int = (1 << 63) - 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(low: float, high: float) -> Callable[[Any], bool]:
    # The comparison comes first: a whole number may be too large for a float.
    return lambda value: (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and low <= value <= high
        and math.isfinite(value)
    )


def _optional(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or accepts(value)


_PROBABILITY = _number(0, 1)
_FLAG = _Rule(_optional(lambda value: isinstance(value, bool)), "true or false")
_NAME = _Rule(_optional(lambda value: isinstance(value, str)), "a name")
_DTYPE = _Rule(
    _optional(lambda value: isinstance(value, str) and value.removeprefix("torch.") in _DTYPES),
    f"one of {', '.join(_DTYPES)}",
)
_ID = _Rule(_optional(_whole), "a token's id")
_IDS = _Rule(
    _optional(lambda value: all(map(_whole, value)) if isinstance(value, list) else _whole(value)),
    "a token's id, or a list of them",
)

#: Fields that may be absent.
_RULES: Mapping[str, _Rule] = {
    "layer_norm_eps": _Rule(_number(1e-30, 1), "a number from 1e-30 to 1"),
    "initializer_range": _Rule(_number(0, 1000), "a number from 0 to 1000"),
    "hidden_dropout_prob": _Rule(_PROBABILITY, "a number from 0 to 1"),
    "attention_probs_dropout_prob": _Rule(_PROBABILITY, "a number from 0 to 1"),
    "classifier_dropout": _Rule(_optional(_PROBABILITY), "a number from 0 to 1"),
    # Chunks give the same answer; transformers refuses lengths that are no multiple of one.
    "chunk_size_feed_forward": _Rule(
        _optional(lambda value: _whole(value, 0)), "a whole number of at least 0"
    ),
    "hidden_act": _Rule(
        lambda value: isinstance(value, str) and value in ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}"
    ),
    "architectures": _Rule(
        _optional(lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value)),
        "a list of class names",
    ),
    "auto_map": _Rule(_optional(lambda value: isinstance(value, dict)), "a table of classes"),
    "torch_dtype": _DTYPE,
    "dtype": _DTYPE,
    "eos_token_id": _IDS,
    "problem_type": _NAME,
    "tokenizer_class": _NAME,
    "use_cache": _FLAG,
    "output_attentions": _FLAG,
    "output_hidden_states": _FLAG,
    "return_dict": _FLAG,
    "torchscript": _FLAG,
    "tie_word_embeddings": _FLAG,
}

#: What transformers is told of a checked config, labels aside; it has the same defaults for the rest.
_PASSED = (
    *SIZES,
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "initializer_range",
    "layer_norm_eps",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "layer_shapes",
    "sentence_embedding",
    "tokenizer_class",
    "tie_word_embeddings",
    "original_token_ids",
)


def check(fields: Mapping[str, Any], where: str) -> None:
    """Refuse a config of another architecture or with an impossible value, naming field and value."""
    for name, accepted in _PLAIN.items():
        if name in fields and fields[name] not in accepted:
            raise CheckpointError(
                f"{name} is {shown(fields[name])}; only {accepted[0]!r} can be compressed", where=where
            )
    for name, (what, hint) in _REFUSED.items():
        if fields.get(name):
            raise CheckpointError(f"{name} is set: {what}", where=where, hint=hint)
    for name, limit in SIZES.items():
        if not _whole(fields.get(name), 1):
            raise _wrong(fields, name, "a positive whole number", where)
        if fields[name] > limit:
            raise _wrong(fields, name, f"at most {limit:,}", where)
    for name, value in fields.items():
        rule = _RULES.get(name, _ID if name.endswith(_ID_SUFFIX) else None)
        if rule is not None and not rule.accepts(value):
            raise _wrong(fields, name, rule.wanted, where)
    _check_together(fields, where)


def _check_together(fields: Mapping[str, Any], where: str) -> None:
    """Refuse sizes that are each possible but not with one another."""
    if fields["hidden_size"] % fields["num_attention_heads"]:
        raise CheckpointError(
            f"hidden_size {fields['hidden_size']} is not a multiple of"
            f" num_attention_heads {fields['num_attention_heads']}",
            where=where,
            hint=DOWNLOAD,
        )
    family, last = FAMILIES[fields["model_type"]], fields["vocab_size"] - 1
    if family.positions_after_padding:
        # Positions begin above the padding token's id, and a text has a first, a last and one more token.
        last = min(last, fields["max_position_embeddings"] - 4)
    pad = {"pad_token_id": family.pad_token_id, **fields}
    if not _whole(pad["pad_token_id"], 0, last):
        raise _wrong(pad, "pad_token_id", f"an id from 0 to {last}", where)


def _wrong(fields: Mapping[str, Any], name: str, wanted: str, where: str) -> CheckpointError:
    return CheckpointError(
        f"{name} must be {wanted}, not {shown(fields.get(name))}", where=where, hint=DOWNLOAD
    )


def transformers_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what transformers is told of a checked config: the known fields, in the types it requires."""
    told = {name: fields[name] for name in _PASSED if name in fields}
    for name in ("layer_norm_eps", "initializer_range"):
        if name in told:
            told[name] = float(told[name])
    return told
