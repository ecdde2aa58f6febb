"""The settings of the stage ``quantize``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgeroberta.settings import StageConfig
from edgeroberta.training.distill_settings import Int8DistillSettings


class QuantizeConfig(StageConfig):
    """How to quantize."""

    samples: int = Field(256, ge=8, description="Calibration texts, drawn from the training rows.")
    check_samples: int = Field(
        256,
        ge=1,
        description="Further training rows, to compare the int8 graph with the float graph.",
    )
    rows: int = Field(512, ge=64, description="Token rows kept per tensor, on which errors are measured.")
    symmetric: bool = Field(
        False,
        description="Only int8 activations with zero point 0; otherwise uint8 if that is better. Always "
        "true for targets with TensorRT.",
    )
    attention: Literal["auto", "int8", "float"] = Field(
        "auto",
        description="The two matmuls of each attention: int8 or float; auto is int8 if the target has "
        "TensorRT, which fuses them, and float otherwise, because CPUs gain nothing.",
    )
    embeddings: bool = Field(True, description="Store the word embeddings as int8 rows.")
    positions: bool = Field(
        False,
        description="Store the position embeddings in int8, too, with a scale per column: 0.6 MB less at a "
        "width of 384. Targets that run TensorRT keep them in half precision.",
    )
    min_agreement: float = Field(
        0.98, ge=0, le=1, description="Share of the checked texts that must keep the float graph's answer."
    )
    max_float: int = Field(
        2, ge=0, description="Most matmuls that may fall back to fp32 to reach min_agreement."
    )
    outlier_channels: int = Field(
        0,
        ge=0,
        description="Input channels of the matmul behind each GELU that may stay float: the few that reach"
        " furthest, where this lowers its error.",
    )
    saturation: Literal["auto", "avoid", "ignore"] = Field(
        "auto",
        description="Weights whose int8 products saturate an int16 on x86 without VNNI: avoid or ignore; "
        "auto avoids them if the target is such a processor.",
    )
    max_saturation_loss: float = Field(
        0.01,
        ge=0,
        description="Output error, relative to the output's energy, that avoiding saturation may cause in a "
        "matmul; above it, the matmul falls back to fp32, in addition to those of max_float.",
    )
    distill: Int8DistillSettings | None = Field(
        None,
        description="Distillation that follows: what is int8 learns from the baseline's answers, rounded as"
        " the engine rounds; by default none.",
    )
