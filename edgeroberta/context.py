"""What a stage, and all that works for it, may use of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING

from edgeroberta.errors import RecipeError
from edgeroberta.storage.artifact import Artifact, Kind, Lineage
from edgeroberta.tasks import Problem

if TYPE_CHECKING:
    from edgeroberta.data import Splits
    from edgeroberta.data.documents import Documents
    from edgeroberta.progress import Progress
    from edgeroberta.roberta.checkpoint import Checkpoint
    from edgeroberta.roberta.shape import EncoderShape
    from edgeroberta.targets import Target
    from edgeroberta.tasks import Task


@dataclass(frozen=True)
class Context:
    """What a stage may use; it reads nothing else."""

    output: Path  # empty folder to write the new artifact into; the pipeline renames it when done
    scratch: Path  # folder that survives a kill (training checkpoints, teacher outputs)
    inputs: Mapping[Kind, Artifact]  # the newest artifact of each kind made so far in this run
    checkpoint: Checkpoint  # the newest model in transformers' form
    baseline: Checkpoint  # the baseline, the teacher
    task: Task  # kind of task, labels, single texts or pairs
    data: Splits  # the user's rows, split
    target: Target  # the device class the result is for
    seed: int  # seed of everything random
    reference: Path | None  # folder of a stored baseline, if one was given
    progress: Progress  # where to report progress
    corpus: Documents | None = None  # unlabelled text to pre-train on; None where none was given
    recipe_text: str = ""  # the resolved recipe as YAML, every default written out
    history: tuple[Lineage, ...] = ()  # lineage of every artifact of this run so far, the source's first
    artifacts: tuple[Artifact, ...] = ()  # those artifacts
    #: folder for what a teacher says of all texts, shared by the stages of a run; None where each has its own
    teacher_outputs: Path | None = None
    #: folder for what was measured of artifacts; it outlives the run, and is only to be believed of the same
    #: content
    per_stage: Path | None = None

    @property
    def told(self) -> tuple[tuple[Lineage, str | None], ...]:
        """The history, with the tier that each step made; None for the run's own steps."""
        tiers = chain((made.tier for made in self.artifacts), repeat(None))
        return tuple(zip(self.history, tiers, strict=False))

    @property
    def tiers(self) -> Mapping[str, Artifact]:
        """The drafts that a cascade is made of, by the names of its tiers, in their order."""
        found = [made for made in self.artifacts if made.tier is not None and made.kind is Kind.DRAFT]
        return {str(made.tier): made for made in found}


@dataclass(frozen=True)
class RunOutline:
    """What is known of a run before any stage of it runs; each stage's check hands on what it changes."""

    model: Checkpoint  # the one whose tokenizer the stage will read; the weights may be others by then
    shape: EncoderShape | None  # dimensions that its model will have; None where only the run will tell
    task: Task  # kind of task, labels, single texts or pairs
    target: Target  # the device class the result is for
    cut_vocabulary: bool = False  # whether a stage has taken tokens out by then
    without_layers: bool = False  # whether its graph is that of a static model
    masked_words: bool = False  # whether a stage has given it a head for masked words by then

    def require_all_tokens(self, label: str) -> None:
        """Refuse to learn masked words with fewer tokens than validation rows and teacher have.

        ``label``: name of the stage. Raises RecipeError.
        """
        if self.cut_vocabulary and self.task.problem is Problem.MASKED:
            raise RecipeError(
                "masked words cannot be learnt after the vocabulary was cut: rows and teacher name tokens"
                " that are gone",
                where=label,
                hint="put the stage vocabulary after all that train",
            )

    def require_layers(self, label: str) -> None:
        """Refuse to write the graph of a model in place of that of a static one; RecipeError.

        ``label``: name of the stage.
        """
        if self.without_layers:
            raise RecipeError(
                f"{label} would put the graph of the whole model in the place of the static one",
                where=label,
                hint=f"leave out {label} where the recipe has static",
            )
