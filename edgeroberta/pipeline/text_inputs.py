"""What recipes that pre-train on unlabelled text ask of a run, and that text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgeroberta import recipe
from edgeroberta.data import DataSpec, hub
from edgeroberta.errors import RecipeError, UsageError
from edgeroberta.recipe import Recipe, walk
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import mask_token
from edgeroberta.storage import paths
from edgeroberta.storage.artifact import Kind
from edgeroberta.tasks import Problem, Task, masked

#: What the setting ``vocabulary`` of a stage says where tokens get other ids.
_NEW = "train"
#: Stages that read unlabelled texts one by one.
_READERS = ("distill", "prune", "static", "vocabulary")
#: The task that pre-training itself prepares for.
_MASKS = "fill-mask"


def masked_task(model: Checkpoint) -> Task:
    """Return the task of masked words, with a model's tokens. Raises CheckpointError: it has no mask."""
    width, token = masked.width(model.config.vocab_size), mask_token.find(model.folder)
    return Task(Problem.MASKED, (), dimensions=width, mask_id=token.id)


def require_bundle(chosen: Recipe) -> None:
    """Refuse a recipe that ends in a checkpoint where a bundle is to be made."""
    if chosen.makes is Kind.CHECKPOINT:
        raise UsageError(
            f"the recipe {chosen.name!r} ends in a checkpoint, not in a bundle",
            where="--recipe",
            hint=f"edgeroberta pretrain MODEL --unlabelled TEXT --recipe {_typed(chosen)} -o out/",
        )


def require_checkpoint(chosen: Recipe) -> None:
    """Refuse a recipe that learns from rows where there is text alone."""
    if chosen.makes is not Kind.CHECKPOINT:
        ending = [name for name in recipe.names() if recipe.load(name).makes is Kind.CHECKPOINT]
        raise UsageError(
            f"the recipe {chosen.name!r} makes a bundle, for which rows are needed",
            where="--recipe",
            hint=f"edgeroberta compress MODEL --data ROWS --unlabelled TEXT --recipe {_typed(chosen)} -o out/"
            f"; these end in a checkpoint: {', '.join(ending)}",
        )


def require_learning(chosen: Recipe, task: str | None) -> None:
    """Refuse to compress for a task what no stage has taught it. ``task``: as the user named it."""
    if not chosen.of_text:
        return
    names = [step.stage.name for step in chosen.stages]
    file = Path(chosen.source).name
    if "finetune" not in names and task != _MASKS:
        raise RecipeError(
            "pre-training makes a model of masked words, and no stage teaches it a task",
            where=f"{file}: stages",
            hint=f"put '- finetune: {{}}' behind pretrain, or ask for masked words: --task {_MASKS}",
        )
    changed = [getattr(step.config, "vocabulary", None) == _NEW for step in chosen.stages]
    if task == _MASKS and any(changed):
        raise RecipeError(
            "rows are masked with the tokens of MODEL, and this stage makes others",
            where=f"{file}: stages[{changed.index(True)}].{names[changed.index(True)]}",
            hint="edgeroberta pretrain first, and then compress with its result as MODEL",
        )


def require_text(chosen: Recipe, unlabelled: str | None) -> None:
    """Refuse a recipe that pre-trains where no text is given; words from a list need none."""
    reads = any(step.stage.of_text and not getattr(step.config, "words", None) for step in chosen.stages)
    if reads and unlabelled is None:
        raise UsageError(
            f"the recipe {chosen.name!r} pre-trains on unlabelled text, and none is given",
            where="--unlabelled",
            hint="add --unlabelled texts.txt, a document on each line",
        )


def told(chosen: Recipe) -> tuple[str, ...]:
    """Say what pre-training takes of the model, where that is not all of it."""
    found = [step.config for step in chosen.stages if step.stage.of_text]
    trained = any(getattr(config, "vocabulary", None) == _NEW for config in found)
    starts = [getattr(config, "initialization", None) for config in found]
    if "random" in starts:
        whose = "family" if trained else "family and tokens"
        return (f"weights are random: of MODEL the {whose} and what the recipe does not set are taken",)
    if trained:
        return (
            "MODEL's weights with another vocabulary: a token that both have keeps its embedding, another one"
            " starts from its pieces",
        )
    return ()


def for_readers(chosen: Recipe, spec: DataSpec, task: Task) -> tuple[DataSpec, tuple[str, ...]]:
    """Return what stages behind pre-training read of the unlabelled text, and what to say of that.

    They read rows: a document is one, of which they read the beginning. Where rows are pairs they read none.
    """
    if not chosen.of_text or spec.unlabelled is None:
        return spec, ()
    found = {placed.step.stage.name: placed.step.config for placed in walk(chosen.stages)}
    readers = [name for name in _READERS if name in found]
    none, names = replace(spec, unlabelled=None), " and ".join(readers)
    if not readers:
        return none, ()
    if task.joins:
        return none, (f"{names}: rows are pairs of texts, so documents are pre-trained on and nothing else",)
    if not paths.named(spec.unlabelled).exists() and hub.is_id(spec.unlabelled):
        return none, (f"{names}: documents of the Hub are pre-trained on and nothing else",)
    configs = [getattr(found[name], "recovery", None) or found[name] for name in readers]
    length = max(getattr(config, "max_length", 0) or 0 for config in configs)
    return spec, (
        f"{names}: of each unlabelled document the first {length} tokens are read",
    ) if length else ()


def _typed(chosen: Recipe) -> str:
    """Return how the user names a recipe: by its name where it is shipped, else by its file."""
    return chosen.name if Path(chosen.source).parent == recipe.folder() else chosen.source
