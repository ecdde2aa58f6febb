"""The settings of a student of unlabelled text: its shape, and what it learns of its teacher."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from edgeroberta.errors import RecipeError
from edgeroberta.settings import StageConfig
from edgeroberta.tasks import Problem
from edgeroberta.training.student_shape import StudentShape

if TYPE_CHECKING:
    from edgeroberta.context import RunOutline


class AgnosticWeights(StageConfig):
    """How much each loss counts; a loss of weight 0 is not computed."""

    masked: float = Field(default=1.0, ge=0, description="The words that stood where masks are.")
    logits: float | None = Field(
        default=None,
        ge=0,
        description="The teacher's logits where masks are, softened by the temperature; by default 1, and 0"
        " of a teacher without a head for masked words.",
    )
    hidden: float = Field(
        default=1.0,
        ge=0,
        description="Hidden states of the teacher's layers that the student's stand for, token by token;"
        " projected if the widths differ.",
    )
    attention: float = Field(
        default=1.0,
        ge=0,
        description="Query, key and value relations of the teacher's last layer, token by token.",
    )

    @model_validator(mode="after")
    def _the_head_learns(self) -> AgnosticWeights:
        if not self.masked and self.logits == 0:
            raise ValueError("the student's head would learn nothing: masked or logits must be above 0")
        return self

    def of(self, *, headed: bool) -> AgnosticWeights:
        """Return the weights with a number for each. ``headed``: whether the teacher guesses masked words."""
        return self if self.logits is not None else self.model_copy(update={"logits": float(headed)})


class AgnosticSettings(StudentShape):
    """A student that is cut from the newest checkpoint, and learns from it whatever its tasks will be."""

    weights: AgnosticWeights = Field(default=AgnosticWeights(), description="How much each loss counts.")
    temperature: float = Field(2.0, gt=0, description="Softens the teacher's logits; 1 does not.")

    def check(self, outset: RunOutline, *, where: str) -> RunOutline:
        """Refuse a student that cannot be cut from the model, or what that one cannot teach.

        ``where``: place of the settings, for errors. Raises RecipeError.
        """
        model, shape = outset.model, outset.shape
        headed = outset.masked_words or (model.task.problem is Problem.MASKED and model.has_head)
        self.require_answers(headed=headed, where=where)
        return outset if shape is None else replace(outset, shape=self.of(shape, where=where))

    def require_answers(self, *, headed: bool, where: str) -> None:
        """Refuse to learn the answers of a teacher that has no head for masked words; RecipeError."""
        weights = self.weights
        if headed or (not weights.logits and weights.masked):
            return
        if weights.logits:
            raise RecipeError(
                "the teacher has no head for masked words, so it has no answers to learn",
                where=f"{where}.weights.logits",
                hint="leave it out; hidden states and relations are learnt without a head",
            )
        raise RecipeError(
            "the teacher has no head for masked words, and the student's would learn nothing",
            where=f"{where}.weights.masked",
            hint="leave it out, or set it above 0",
        )
