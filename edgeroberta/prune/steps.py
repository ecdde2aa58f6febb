"""The steps of pruning: score, cut, recover; each is kept on disk when it is done."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta import metrics
from edgeroberta.context import Context
from edgeroberta.data.rows import Rows
from edgeroberta.distributed import Ranks
from edgeroberta.errors import DataError, RecipeError
from edgeroberta.progress import Progress
from edgeroberta.prune import importance
from edgeroberta.prune.goal import Goal
from edgeroberta.prune.importance import Importance, ScoringExamples
from edgeroberta.roberta import loading, surgery
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.shape import EncoderShape
from edgeroberta.roberta.surgery import KeptUnits
from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import digest_value, flush_tree, write_json
from edgeroberta.tasks import Unit
from edgeroberta.training import batching, distillation, finetuning, prediction

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgeroberta.prune.settings import PruneConfig

_NOTES = "step.json"


@dataclass(frozen=True, eq=False)
class PruningState:
    """Where pruning stands."""

    model: PreTrainedModel  # the model after the steps done
    kept: KeptUnits  # what is left, in indices of the source model
    records: list[dict[str, Any]]  # notes of each step done
    shape_of_source: EncoderShape  # shape of the model before the first step

    def kept_notes(self) -> dict[str, Any]:
        """Return what is left as JSON."""
        return {
            "layers": list(self.kept.layers),
            "heads": [list(heads) for heads in self.kept.heads],
            "neurons": [list(neurons) for neurons in self.kept.neurons],
        }


def sample(context: Context, count: int) -> Rows:
    """Draw training rows to score units on, by the run's seed."""
    rows = context.data.train
    if rows.labels is None and context.task.kind.unit is not Unit.MASK:
        raise DataError(
            "scores of units need labels; these rows have none",
            where=rows.source,
            hint="name their column: --label COLUMN",
        )
    return rows.select(np.random.default_rng(context.seed).permutation(len(rows))[:count])


def compose(first: KeptUnits, second: KeptUnits) -> KeptUnits:
    """Put a choice made in an already pruned model into indices of the model before that."""
    return KeptUnits(
        tuple(first.layers[layer] for layer in second.layers),
        tuple(
            tuple(first.heads[layer][head] for head in heads)
            for layer, heads in zip(second.layers, second.heads, strict=True)
        ),
        tuple(
            tuple(first.neurons[layer][neuron] for neuron in neurons)
            for layer, neurons in zip(second.layers, second.neurons, strict=True)
        ),
    )


class PruningSteps:
    """The steps of one run of the stage."""

    def __init__(self, config: PruneConfig, context: Context, examples: ScoringExamples) -> None:
        self.config, self.context = config, context
        self.source = context.checkpoint
        self.examples = examples
        self.process = prediction.accelerator()
        self.ranks = Ranks(self.process.process_index, self.process.num_processes)
        self.progress = context.progress if self.process.is_main_process else Progress()
        rest = context.data.validation
        self.validation = batching.tokenize(
            self.source,
            rest.read(),
            max_length=config.max_length,
            places=context.task.kind.unit.located,
            units=rest.units,
        )
        self.labels = finetuning.labels_of(rest)
        settings = config.model_dump(mode="json")
        self.key = digest_value([self.source.digest, settings, context.data.train.digest])

    def begin(self) -> PruningState:
        """Return the state before the first step."""
        model = self._load(self.source)
        shape = surgery.shape_of(model)
        return PruningState(model, KeptUnits.everything(shape), [], shape)

    def restore(self) -> PruningState | None:
        """Return the state after the last step that an earlier process has kept; None when there is none."""
        done = [number for number in range(1, self.config.steps + 1) if self._place(number).is_dir()]
        number = self.ranks.share(max(done, default=0))
        if not number:
            return None
        fields = jsontext.loads((self._place(number) / _NOTES).read_bytes(), finite=False)
        kept = KeptUnits(
            tuple(fields["kept"]["layers"]),
            tuple(tuple(heads) for heads in fields["kept"]["heads"]),
            tuple(tuple(neurons) for neurons in fields["kept"]["neurons"]),
        )
        shape = surgery.shape_of(self._load(self.source))
        return PruningState(self._load(Checkpoint(self._place(number))), kept, fields["records"], shape)

    def step(self, state: PruningState, goal: Goal) -> PruningState:
        """Score, cut and recover once; the state that it returns is kept on disk."""
        number = len(state.records) + 1
        model = state.model.to(self.process.device)
        scores = importance.score(
            model,
            self.examples,
            method=self.config.score,
            seed=self.context.seed + number,
            progress=self.progress,
        )
        if number == 1:
            self._check(goal, scores)
        done = self.config.schedule.after(number, self.config.steps)
        chosen = goal.choose(scores, done, None if number == 1 else state.kept.layers)
        kept = compose(state.kept, chosen)
        model = surgery.prune(model, chosen).to(self.process.device)
        cut = self._score(model)
        self.progress.line(f"prune: step {number} of {self.config.steps}: {_told(kept)}")
        recovery = self._recover(model, kept, number, state.shape_of_source)
        record = {
            "layers": [shape.to_json() for shape in kept.shapes],
            "parameters": model.num_parameters(),
            "score_cut": cut,
            "score": self._score(model) if recovery else cut,
            "importance": _summary(scores, chosen),
            **({"recovery": dict(recovery)} if recovery else {}),
        }
        state = PruningState(model, kept, [*state.records, record], state.shape_of_source)
        self._keep(state)
        return state

    def _recover(self, model: PreTrainedModel, kept: KeptUnits, number: int, source: EncoderShape) -> Any:
        settings = self.config.recovery
        if settings is None:
            return None
        if number < self.config.steps:
            settings = settings.model_copy(update={"epochs": self.config.step_epochs})
        teacher = self.context.baseline.config.layers
        paired = settings.teacher is None and teacher == len(source.layers)
        return distillation.train_student(
            distillation.DistillationPlan(
                model,
                self.source,
                layers=kept.layers if paired else None,
                settings=settings,
                context=self.context,
                label="prune",
                scratch=self.context.scratch / f"recovery-{number}",
                # With what is left: scored again after a kill, a GPU may choose other units in a near tie.
                key=digest_value([self.key, number, kept.layers, kept.heads, kept.neurons]),
            )
        )

    def _check(self, goal: Goal, scores: Importance) -> None:
        least = goal.least(scores)
        if least is not None and self.config.budget is not None and self.config.budget.part < least:
            up = -(-least * 1000 // 1) / 1000  # rounded up: the number named must be one that works
            raise RecipeError(
                f"the budget of {self.config.budget.part:g} is below the least that these layers reach,"
                f" {up:g}",
                where="prune.budget",
                hint=f"raise it to {up:g} or more, keep fewer layers, or lower prune.granularity",
                code="recipe.budget-too-small",
            )

    def _score(self, model: PreTrainedModel) -> float:
        return metrics.score(self.context.task, prediction.predict(model, self.validation), self.labels)

    def _load(self, model: Checkpoint) -> PreTrainedModel:
        recovery = self.config.recovery
        return loading.load_classifier(
            model,
            self.context.task,
            seed=self.context.seed,
            dropout=recovery.dropout if recovery else None,
            attention_dropout=recovery.attention_dropout if recovery else None,
        )

    def _place(self, number: int) -> Path:
        return self.context.scratch / "steps" / f"{self.key[:12]}-{number:03d}"

    def _keep(self, state: PruningState) -> None:
        """Write a state under a temporary name, flush it to disk and rename it."""
        final = self._place(len(state.records))
        if self.process.is_main_process:
            partial = final.with_name(f".partial-{final.name}")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            loading.save_classifier(state.model, partial, tokenizer=self.source)
            write_json(partial / _NOTES, {"kept": state.kept_notes(), "records": state.records})
            flush_tree(partial)
            partial.replace(final)
        self.process.wait_for_everyone()


def _told(kept: KeptUnits) -> str:
    heads, neurons = (sum(map(len, units)) for units in (kept.heads, kept.neurons))
    return f"{len(kept.layers)} layers, {heads} heads and {neurons:,} FFN neurons are left"


def _summary(scores: Importance, kept: KeptUnits) -> dict[str, Any]:
    """Return how much importance each layer had, and which part of it all stays."""
    result: dict[str, Any] = {}
    for name, values, chosen in (("heads", scores.heads, kept.heads), ("ffn", scores.neurons, kept.neurons)):
        total = float(sum(layer.sum() for layer in values))
        left = sum(
            float(values[layer][list(units)].sum()) for layer, units in zip(kept.layers, chosen, strict=True)
        )
        result[name] = {
            "layers": [float(layer.sum()) for layer in values],
            "kept": left / total if total else 1.0,
        }
    return result
