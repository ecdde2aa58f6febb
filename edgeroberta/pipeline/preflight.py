"""What a run could read wrongly, checked before it begins: files, tokens, and the answers of the float graph.

What was found of a model and its rows is kept in the cache, so that a run taken up again, or begun after
``--dry-run``, does not look twice.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from edgeroberta.context import RunOutline
from edgeroberta.errors import RecipeError
from edgeroberta.hardware import versions
from edgeroberta.measure.protocol import Inputs
from edgeroberta.parity import tokens
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.recipe import RecipeStep, Tier, walk
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.weights import has_own_decoder
from edgeroberta.runtime import token_numbers
from edgeroberta.runtime.tokenizer import Input
from edgeroberta.stages.build_settings import BuildConfig, has_web_layout
from edgeroberta.storage import codedigest, jsontext
from edgeroberta.storage.artifact import digest_value, write_json
from edgeroberta.storage.cache import cache_dir, writing
from edgeroberta.targets import Target
from edgeroberta.tasks import Problem, Task

#: Held-out and validation rows that are tokenized twice, at most: some seconds.
MOST_ROWS = 20_000
#: Rows that the baseline and its graph answer.
ANSWERED = 32
#: Packages that the answers come from, and those that each check needs.
_PACKAGES = ("torch", "transformers", "tokenizers", "onnx", "onnxruntime")
_FOR_TOKENS, _FOR_LOGITS = ("transformers",), ("transformers", "torch", "onnx", "onnxruntime")


def check(steps: Sequence[RecipeStep], job: PipelineJob, *, partly: bool = False) -> tuple[str, ...]:
    """Refuse what a run would stumble over later, or read wrongly without a word.

    ``partly``: leave out what needs a package that is not installed, and say so. Returns what the user should
    know, a paragraph each; ``WARNING:`` in front of what may change answers. Raises EdgeRobertaError: as the
    stage or the reading of the model would raise it.
    """
    check_stages(steps, job)
    rows = (("validation", job.data.validation), ("held-out", job.data.heldout))
    tokens.check_rows(job.model, [(name, part.read(), part.units) for name, part in rows])
    if job.task.problem is Problem.SPANS:
        configs = [placed.step.config for placed in walk(steps)]
        lengths = [getattr(config, "max_length", None) or job.model.max_length for config in configs]
        parts = (("training", job.data.train), *rows)
        tokens.check_questions(job.model, [(name, part.inputs()) for name, part in parts], min(lengths))
    return check_reading(
        job.model,
        job.task,
        [*job.data.heldout.read(), *job.data.validation.read()],
        partly=partly,
    )


def check_stages(steps: Sequence[RecipeStep], job: PipelineJob) -> None:
    """Ask every stage whether the files let it do its part."""
    tokens.open_ours(job.model)
    cut = token_numbers.FIELD in job.model.fields  # in a run before this one
    outset = RunOutline(job.model, job.model.config.shape, job.task, job.target, cut)
    for step in steps:
        ends = {tier.name: _tier_end(tier, outset) for tier in step.tiers}
        _require_one_vocabulary(ends, outset)
        _require_one_reading(step.tiers, outset.model.max_length)
        _require_plain_layout(step.tiers, outset.target)
        outset = _checked(step, outset)


def _require_one_vocabulary(ends: Mapping[str, RunOutline], outset: RunOutline) -> None:
    """Refuse tiers of other tokens where answers are tokens."""
    for name, end in ends.items():
        if end.task.problem is Problem.MASKED and end.cut_vocabulary and not outset.cut_vocabulary:
            raise RecipeError(
                "tiers that fill masks must have one vocabulary, and this one is to lose tokens",
                where=f"{name}.vocabulary",
                hint="leave the stage out of the tier, or put it before the cascade",
            )


def _require_one_reading(tiers: Sequence[Tier], limit: int) -> None:
    """Refuse tiers that would read long texts otherwise where thresholds are chosen than in the cascade.

    There a tier gets what the last one reads, in its windows. What is shorter, passes longer texts on.
    ``limit``: tokens that the model before the cascade takes.
    """
    built = {tier.name: _build(tier) for tier in tiers}
    for name, config in built.items():
        last = built[tiers[-1].name]
        for key in ("long_text", "stride"):
            if getattr(config, key) != getattr(last, key):
                raise RecipeError(
                    f"tiers read long texts in one way, and this one has {getattr(config, key)!r} where the"
                    f" last tier has {getattr(last, key)!r}",
                    where=f"{name}.build.{key}",
                    hint="give both the same",
                )
        if min(config.max_length or limit, limit) > min(last.max_length or limit, limit):
            raise RecipeError(
                "a tier gets no more of a text than the last tier reads, and this one would take more",
                where=f"{name}.build.max_length",
                hint=f"at most {last.max_length}, as in the last tier",
            )


def _require_plain_layout(tiers: Sequence[Tier], target: Target) -> None:
    """Refuse the web layout of a cascade, of which JavaScript would ask the last tier alone."""
    for tier in tiers:
        if has_web_layout(_build(tier), target):
            raise RecipeError(
                "transformers.js opens one model, and would ask the last tier of a cascade alone",
                where=f"{tier.name}.build.layout",
                hint="compress one model for the web: --recipe int8 --target web",
            )


def _build(tier: Tier) -> BuildConfig:
    return next(step.config for step in tier.steps if isinstance(step.config, BuildConfig))


def _tier_end(tier: Tier, outset: RunOutline) -> RunOutline:
    try:
        for step in tier.steps:
            outset = _checked(step, outset)
        return outset
    except RecipeError as error:
        where = tier.name if error.where is None else f"{tier.name}.{error.where}"
        raise RecipeError(error.what, where=where, hint=error.hint, code=error.code) from error


def _checked(step: RecipeStep, outset: RunOutline) -> RunOutline:
    return outset if step.stage.check is None else step.stage.check(step.config, outset)


def check_reading(
    model: Checkpoint, task: Task, inputs: Sequence[Input], *, partly: bool = False
) -> tuple[str, ...]:
    """Hold the runtime's tokens, and the float graph's answers, to those of transformers.

    ``partly``: leave out what needs a package that is not installed, and say so. Returns what the user should
    know, a paragraph each; ``WARNING:`` in front of what may change answers.
    """
    chosen = list(inputs[:: -(-len(inputs) // MOST_ROWS) or 1])
    told: list[str] = []
    missing = _missing(_FOR_TOKENS) if partly else ()
    if missing:
        return (f"tokens and answers were not compared with transformers': {missing[0]} is not installed",)
    kept = _file(model, task, chosen)
    if (known := _recalled(kept)) is not None:
        return known
    if (found := tokens.check(model, chosen)) is not None:
        told.append(f"WARNING: {found}")
    if has_own_decoder(model):
        told.append(
            "the decoder differs from the word embeddings, so it is one of its own, as transformers 5.24 "
            "loads it whatever tie_word_embeddings says; the bundle is larger by it"
        )
    missing = _missing(_FOR_LOGITS) if partly else ()
    if missing:
        return (*told, f"answers were not compared with transformers': {missing[0]} is not installed")
    from edgeroberta.parity import logits

    ordered = cast("Inputs", sorted(chosen, key=lambda item: len(str(item))))
    logits.check(model, task, ordered[:: -(-len(ordered) // ANSWERED)])
    with writing(kept.parent):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_json(kept, told)
    return tuple(told)


def check_tokens(model: Checkpoint, texts: Sequence[str], *, partly: bool = False) -> tuple[str, ...]:
    """Hold the runtime's tokens of some texts to those of transformers; else as :func:`check_reading`."""
    missing = _missing(_FOR_TOKENS) if partly else ()
    if missing:
        return (f"tokens were not compared with transformers': {missing[0]} is not installed",)
    found = tokens.check(model, texts)
    return () if found is None else (f"WARNING: {found}",)


def _missing(packages: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in packages if importlib.util.find_spec(name) is None)


def _recalled(kept: Path) -> tuple[str, ...] | None:
    """Return what was found before; None where nothing is kept, or nothing that can be read."""
    try:
        told = jsontext.loads(kept.read_bytes())
    except (OSError, ValueError):
        return None
    readable = isinstance(told, list) and all(isinstance(line, str) for line in told)
    return tuple(told) if readable else None


def _file(model: Checkpoint, task: Task, inputs: Sequence[Input]) -> Path:
    """Return where it is kept that a model is read right on these texts."""
    facts = {
        "model": model.digest,
        "task": [task.problem.value, list(task.labels)],
        "texts": [list(item) if isinstance(item, tuple) else item for item in inputs],
        "versions": versions(_PACKAGES),
        "sources": codedigest.of("edgeroberta.pipeline.preflight", "edgeroberta.parity.logits"),
    }
    return cache_dir() / "preflight" / f"{digest_value(facts)}.json"
