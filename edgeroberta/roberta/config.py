"""The shape of an encoder of RoBERTa's or BERT's kind, read from a Hugging Face ``config.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta import tasks
from edgeroberta.errors import CheckpointError, shown
from edgeroberta.roberta import fields as table
from edgeroberta.roberta.families import FAMILIES
from edgeroberta.roberta.fields import ACTIVATIONS, DOWNLOAD
from edgeroberta.roberta.shape import EncoderShape, LayerShape
from edgeroberta.storage import jsontext
from edgeroberta.storage.files import CONFIG

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class EncoderConfig:
    """Dimensions of an encoder; all counts are of elements, not bytes."""

    family: str  # Hugging Face ``model_type``
    vocab_size: int  # rows of the word embedding table
    hidden_size: int  # width of the residual stream
    layers: int  # number of encoder layers
    heads: int  # attention heads of an unpruned layer
    intermediate_size: int  # FFN width of an unpruned layer
    max_positions: int  # rows of the position table, the offset rows included
    type_vocab_size: int  # rows of the token type table
    layer_norm_eps: float  # epsilon of every layer norm
    pad_token_id: int  # id of the padding token; RoBERTa's positions start one above it
    activation: str  # ``gelu`` (erf), ``gelu_tanh`` or ``relu``
    num_labels: int  # outputs of the head, per unit
    head: str  # name of the head, a key of :data:`edgeroberta.roberta.heads.HEADS`
    #: each layer's own dimensions, the first layer first; all alike in a model that is not pruned
    layer_shapes: tuple[LayerShape, ...]
    mask_id: int | None = None  # id of the mask token, of a model that is asked for masked words
    tied: bool = True  # whether a decoder that is not stored is the word embeddings

    @property
    def shape(self) -> EncoderShape:
        """Dimensions of the model, layer by layer."""
        return EncoderShape(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            head_size=self.head_size,
            max_positions=self.max_positions,
            type_vocab_size=self.type_vocab_size,
            labels=self.num_labels,
            layers=self.layer_shapes,
            head=self.head,
        )

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.heads

    @property
    def position_offset(self) -> int:
        """First row of the position table that a token uses (2 for RoBERTa, above pad id 1; 0 for BERT)."""
        return self.pad_token_id + 1 if FAMILIES[self.family].positions_after_padding else 0

    @property
    def prefix(self) -> str:
        """What stands before the encoder's names in a model with a head."""
        return FAMILIES[self.family].prefix

    @property
    def max_length(self) -> int:
        """Longest sequence, in tokens, special tokens included (512 for RoBERTa)."""
        return self.max_positions - self.position_offset

    @classmethod
    def from_dict(
        cls, fields: Mapping[str, Any], *, where: str = CONFIG, task: tasks.Task | None = None
    ) -> EncoderConfig:
        """Read the fields of a ``config.json``; ``task``: what the model answers, where more tells of it."""
        family = fields.get("model_type")
        if not isinstance(family, str) or family not in FAMILIES:
            raise CheckpointError(
                f"model_type is {shown(family)}; only {', '.join(FAMILIES)} can be compressed",
                where=where,
                hint="DistilRoBERTa counts as roberta; name a model of one of these families",
            )
        table.check(fields, where)
        task = tasks.Task.from_config(fields) if task is None else task
        return cls(
            family=family,
            vocab_size=fields["vocab_size"],
            hidden_size=fields["hidden_size"],
            layers=fields["num_hidden_layers"],
            heads=fields["num_attention_heads"],
            intermediate_size=fields["intermediate_size"],
            max_positions=fields["max_position_embeddings"],
            type_vocab_size=fields["type_vocab_size"],
            layer_norm_eps=float(fields.get("layer_norm_eps", 1e-12)),
            pad_token_id=fields.get("pad_token_id", FAMILIES[family].pad_token_id),
            activation=ACTIVATIONS[fields.get("hidden_act", "gelu")],
            num_labels=task.num_outputs,
            head=task.head,
            layer_shapes=layer_shapes(fields, where),
            mask_id=task.mask_id,
            tied=fields.get("tie_word_embeddings", True) is not False,
        )


def layer_shapes(fields: Mapping[str, Any], where: str) -> tuple[LayerShape, ...]:
    """Read each layer's dimensions: ``layer_shapes`` in a pruned model, the plain fields in any other.

    ``fields``: the parsed ``config.json``, its sizes checked. Returns one shape per layer. Raises
    CheckpointError: ``layer_shapes`` is no list of shapes, has another length than the model, or a layer has
    more in it than the plain fields say of an unpruned one.
    """
    plain = LayerShape(fields["num_attention_heads"], fields["intermediate_size"])
    depth, stated = fields["num_hidden_layers"], fields.get("layer_shapes")
    if stated is None:
        return (plain,) * depth
    try:
        if not isinstance(stated, list):
            raise TypeError("not a list")
        shapes = tuple(LayerShape.from_json(entry) for entry in stated)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"layer_shapes is not a list of {{heads, intermediate}} ({error})", where=where, hint=DOWNLOAD
        ) from error
    if len(shapes) != depth:
        raise CheckpointError(
            f"layer_shapes has {len(shapes)} layers, num_hidden_layers is {depth}", where=where, hint=DOWNLOAD
        )
    for index, shape in enumerate(shapes):
        if shape.heads > plain.heads or shape.intermediate > plain.intermediate:
            raise CheckpointError(
                f"layer_shapes[{index}] is larger than an unpruned layer, {plain.heads} heads and"
                f" {plain.intermediate} FFN neurons",
                where=where,
                hint=DOWNLOAD,
            )
    return shapes


def load_object(file: Path) -> dict[str, Any]:
    """Read a JSON file that must hold an object."""
    value = load_value(file)
    if not isinstance(value, dict):
        raise CheckpointError("not a JSON object", where=str(file), hint=DOWNLOAD)
    return value


def load_value(file: Path) -> Any:
    """Read a JSON file of any content."""
    try:
        text = file.read_text(encoding="utf-8")
        value = jsontext.loads(text)
        if _SURROGATE.search(text):  # half a pair cannot be written again
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise CheckpointError(
            f"not JSON ({error.msg} at column {error.colno})", where=f"{file}:{error.lineno}", hint=DOWNLOAD
        ) from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"not UTF-8 at byte {error.start}", where=str(file), hint=DOWNLOAD) from error
    except UnicodeEncodeError as error:
        raise CheckpointError("holds half of a surrogate pair", where=str(file), hint=DOWNLOAD) from error
    except ValueError as error:
        raise CheckpointError(f"not read: {error}", where=str(file), hint=DOWNLOAD) from error
    return value


def load_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json`` of a model folder."""
    file = folder / CONFIG
    if not file.is_file():
        raise CheckpointError(
            "no config.json in this folder" if folder.is_dir() else "no such model folder",
            where=str(folder),
            hint="name the folder that save_pretrained wrote, or a Hub id",
        )
    return load_object(file)
