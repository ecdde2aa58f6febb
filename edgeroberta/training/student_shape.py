"""The shape of a student that is cut from a larger model: which layers it keeps, and how wide it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from edgeroberta.errors import RecipeError, UsageError
from edgeroberta.settings import StageConfig

if TYPE_CHECKING:
    from edgeroberta.roberta.shape import EncoderShape

#: Which layers to keep: ``auto``, their number, a share of them, or their indices.
LayerChoice = Literal["auto"] | int | float | tuple[int, ...]


class StudentShape(StageConfig):
    """Which layers of a model a student keeps, and how wide they are."""

    layers: LayerChoice = Field(
        "auto",
        description="Number of layers to keep, a share of them (0.5), or their indices from 0; auto keeps two"
        " thirds.",
    )
    hidden_size: int | None = Field(
        None,
        ge=1,
        description="Width of the student, a multiple of the head size; the number of heads follows.",
    )
    intermediate_size: int | None = Field(None, ge=1, description="FFN width of the student.")

    @model_validator(mode="after")
    def _a_part_is_below_one(self) -> StudentShape:
        if isinstance(self.layers, float) and not 0 < self.layers < 1:
            raise ValueError(f"layers: {self.layers:g} is no part; give a whole number, or a part below 1")
        return self

    @property
    def narrower(self) -> bool:
        """Whether a width is asked for."""
        return self.hidden_size is not None or self.intermediate_size is not None

    def of(self, shape: EncoderShape, *, where: str) -> EncoderShape:
        """Return the shape of the student of a model.

        Layers that have fewer heads or neurons than the widths asked for keep what they have. ``where``:
        place of these settings, for errors. Raises RecipeError: there is no such student.
        """
        from edgeroberta.roberta.shape import LayerShape

        kept = with_layers(shape, layers(self.layers, len(shape.layers), where=where))
        self.check_widths(kept, where=where)
        width = self.hidden_size or kept.hidden_size
        heads = width // kept.head_size
        narrow = tuple(
            LayerShape(
                min(each.heads, heads), min(each.intermediate, self.intermediate_size or each.intermediate)
            )
            for each in kept.layers
        )
        return replace(kept, hidden_size=width, layers=narrow)

    def check_widths(self, shape: EncoderShape, *, where: str) -> None:
        """Refuse widths that a model of this shape cannot be narrowed to; RecipeError."""
        from edgeroberta.roberta import surgery

        try:
            surgery.check_widths(shape, self.hidden_size, self.intermediate_size)
        except UsageError as error:
            raise RecipeError(error.what, where=f"{where}.{error.where}", hint=error.hint) from error


def with_layers(shape: EncoderShape, kept: tuple[int, ...]) -> EncoderShape:
    """Return the shape of a model that has some layers of another."""
    return replace(shape, layers=tuple(shape.layers[index] for index in kept))


def layers(choice: LayerChoice, depth: int, *, where: str) -> tuple[int, ...]:
    """Return which layers of a model of ``depth`` layers are kept, rising; RecipeError: it has none such."""
    from edgeroberta.roberta import surgery

    try:
        if isinstance(choice, tuple):
            return surgery.check_layers(choice, depth)
        part = 2 / 3 if choice == "auto" else choice
        count = part if isinstance(part, int) else max(round(depth * part), 1)
        return surgery.choose_layers(depth, count)
    except UsageError as error:
        raise RecipeError(error.what, where=f"{where}.layers", hint=error.hint) from error
