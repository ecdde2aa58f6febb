"""The settings of the stage ``build``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgeroberta.settings import StageConfig

if TYPE_CHECKING:
    from edgeroberta.targets import Target


class BuildConfig(StageConfig):
    """What to build for."""

    engines: Literal["target"] | tuple[str, ...] = Field(
        "target", description="Engines to build for, the preferred one first: those of the target, or a list."
    )
    max_length: int | None = Field(
        None, ge=2, description="Longest input in tokens; by default the model's own limit."
    )
    long_text: Literal["truncate", "windows", "refuse"] | None = Field(
        None,
        description="What the runtime does with longer texts: cut them, read them in windows that overlap "
        "and merge what these give, or refuse them; null to cut them, and to read contexts of questions in "
        "windows.",
    )
    stride: int | None = Field(
        None,
        ge=0,
        description="Tokens that a window has in common with the next one; by default a quarter of "
        "max_length, and of contexts of questions 128, or a third of max_length where that is less.",
    )
    share_weights: bool = Field(
        False,
        description="Let OpenVINO read model.onnx, with its weights in a file beside it, instead of a copy "
        "in its own format: half the bytes. Optimum's OVModelFor… then cannot open the bundle.",
    )
    layout: Literal["target", "plain", "web"] = Field(
        "target",
        description="web: also what transformers.js (JavaScript) opens a folder by, its folder onnx and its "
        "settings in config.json; plain: without. By default the target's own.",
    )
    ort_format: bool = Field(
        False,
        description="Also write model.onnx in ONNX Runtime's own format, model.ort, and the operators that a "
        "reduced build of ONNX Runtime needs for it, required_operators.config.",
    )
    check: bool = Field(
        True,
        description="Fail if ONNX Runtime or OpenVINO computes an int8 matmul in float, or does not fuse "
        "what it should; report what only another processor does or a version does not say.",
    )


def has_web_layout(config: BuildConfig, target: Target) -> bool:
    """Tell whether a bundle is written as transformers.js opens one, too."""
    return (target.layout if config.layout == "target" else config.layout) == "web"
