"""Settings of slices in a recipe."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticKnownError

from edgeroberta.evaluation.slices import SlicesAsked, word_lists
from edgeroberta.evaluation.slices.asked import rising
from edgeroberta.settings import StageConfig
from edgeroberta.storage import paths


def _no_truth(value: Any) -> Any:
    """Refuse true and false, which would be the bounds 1 and 0."""
    if isinstance(value, bool):
        raise PydanticKnownError("float_type")
    return value


_Share = Annotated[float, BeforeValidator(_no_truth), Field(ge=0, le=1)]


class SliceGateConfig(StageConfig):
    """How much the compressed model may lose on each slice."""

    max_drop: _Share | None = Field(
        0.03, description="Largest loss of the metric on any slice; null where it does not count."
    )
    min_agreement: _Share | None = Field(
        None, description="Smallest share of the baseline's answers on any slice; null for none."
    )

    @model_validator(mode="after")
    def _asks_for_something(self) -> SliceGateConfig:
        if self.max_drop is None and self.min_agreement is None:
            raise ValueError("should have a max_drop or a min_agreement; leave slices out to only tell them")
        return self


class SlicesConfig(StageConfig):
    """What rows are told apart by, to measure each part of them."""

    #: so that the stage runs again when the words change
    CONTENT: ClassVar[tuple[str, ...]] = ("words",)

    columns: tuple[str, ...] = Field((), description="Columns of the data, a slice for each of their values.")
    length: bool | tuple[int, ...] = Field(
        False, description="By characters: true for quarters of the rows, or those at which slices begin."
    )
    label: bool = Field(False, description="By label; of tokens by type of entity.")
    words: str | None = Field(
        None, description="File of lists of words, a slice for each list; null for none."
    )

    @field_validator("columns")
    @classmethod
    def _are_different(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("names a column twice")
        return value

    @field_validator("length")
    @classmethod
    def _rises(cls, value: bool | tuple[int, ...]) -> bool | tuple[int, ...]:
        if not isinstance(value, bool) and not (value and rising(value)):
            raise ValueError("should be true, false or numbers from 2 on, each larger than the one before")
        return value

    def depends(self) -> tuple[str, ...]:
        """Depend on the values of columns, which are no part of the digest of rows."""
        return ("slice_columns",) if self.columns else ()

    def asked(self) -> SlicesAsked:
        """Return which slices these are; raises DataError: the file of words cannot be used."""
        return SlicesAsked(
            columns=self.columns,
            length=self.length is not False,
            edges=() if isinstance(self.length, bool) else self.length,
            label=self.label,
            words={} if self.words is None else word_lists.read(paths.named(self.words)),
        )
