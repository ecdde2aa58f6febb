"""The shape of a RoBERTa encoder, read from a Hugging Face ``config.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta.errors import CheckpointError, did_you_mean

#: Model families with RoBERTa's architecture and parameter names.
FAMILIES = ("roberta", "xlm-roberta", "camembert")

#: ``hidden_act`` in ``config.json`` to the activation the graph writer knows.
ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu"}


@dataclass(frozen=True)
class EncoderConfig:
    """Dimensions of an encoder; all counts are of elements, not bytes.

    Attributes:
        family: Hugging Face ``model_type``.
        vocab_size: Rows of the word embedding table.
        hidden_size: Width of the residual stream.
        layers: Number of encoder layers.
        heads: Attention heads of an unpruned layer.
        intermediate_size: FFN width of an unpruned layer.
        max_positions: Rows of the position table, the offset rows included.
        type_vocab_size: Rows of the token type table.
        layer_norm_eps: Epsilon of every layer norm.
        pad_token_id: Id of the padding token; positions start one above it.
        activation: ``gelu`` (erf), ``gelu_tanh`` or ``relu``.
        num_labels: Outputs of the classification head.
    """

    family: str
    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    max_positions: int
    type_vocab_size: int
    layer_norm_eps: float
    pad_token_id: int
    activation: str
    num_labels: int

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.heads

    @property
    def position_offset(self) -> int:
        """First row of the position table that a token uses (2 for RoBERTa: pad id 1, plus one)."""
        return self.pad_token_id + 1

    @property
    def max_length(self) -> int:
        """Longest sequence, in tokens, special tokens included (512 for RoBERTa)."""
        return self.max_positions - self.position_offset

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], *, where: str = "config.json") -> EncoderConfig:
        """Read the fields of a ``config.json``.

        Args:
            fields: The parsed file.
            where: Its path, for error messages.

        Returns:
            The encoder's dimensions.

        Raises:
            CheckpointError: The model is not of the RoBERTa family, or a field is missing or odd.
        """
        family = fields.get("model_type")
        if family not in FAMILIES:
            raise CheckpointError(
                f"model_type is {family!r}, not of the RoBERTa family",
                where=where,
                hint=did_you_mean(str(family), FAMILIES) or f"use one of: {', '.join(FAMILIES)}",
            )
        if fields.get("position_embedding_type", "absolute") != "absolute":
            raise CheckpointError("only absolute position embeddings are known", where=where)
        activation = ACTIVATIONS.get(fields.get("hidden_act", "gelu"))
        if activation is None:
            known = ", ".join(ACTIVATIONS)
            raise CheckpointError(f"hidden_act is {fields['hidden_act']!r}, known are {known}", where=where)
        labels = fields.get("id2label")
        try:
            config = cls(
                family=family,
                vocab_size=int(fields["vocab_size"]),
                hidden_size=int(fields["hidden_size"]),
                layers=int(fields["num_hidden_layers"]),
                heads=int(fields["num_attention_heads"]),
                intermediate_size=int(fields["intermediate_size"]),
                max_positions=int(fields["max_position_embeddings"]),
                type_vocab_size=int(fields.get("type_vocab_size", 1)),
                layer_norm_eps=float(fields.get("layer_norm_eps", 1e-12)),
                pad_token_id=int(fields.get("pad_token_id", 1)),
                activation=activation,
                num_labels=len(labels) if labels else int(fields.get("num_labels", 2)),
            )
        except KeyError as error:
            raise CheckpointError(f"field {error.args[0]!r} is missing", where=where) from error
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"a field has the wrong type ({error})", where=where) from error
        if config.heads < 1 or config.hidden_size % config.heads:
            raise CheckpointError(
                f"hidden_size {config.hidden_size} is not a multiple of {config.heads} heads", where=where
            )
        return config

    @classmethod
    def from_dir(cls, path: Path) -> EncoderConfig:
        """Read ``config.json`` of a checkpoint folder.

        Raises:
            CheckpointError: The file is missing, not JSON, or not a RoBERTa.
        """
        file = path / "config.json"
        try:
            fields = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise CheckpointError(
                "there is no config.json", where=str(path), hint="name a Hugging Face model folder"
            ) from error
        except ValueError as error:
            raise CheckpointError(f"config.json is not JSON ({error})", where=str(file)) from error
        if not isinstance(fields, dict):
            raise CheckpointError("config.json is not a JSON object", where=str(file))
        return cls.from_dict(fields, where=str(file))
