"""Opens a bundle: checks its files, loads engine and tokenizer, replays its goldens."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeroberta.errors import BundleError, UsageError
from edgeroberta.runtime import (
    filling,
    goldens,
    lengths,
    longtexts,
    manifest,
    processor,
    tier_opening,
    tokenids,
)
from edgeroberta.runtime.cascade import Cascade, Tier
from edgeroberta.runtime.compiled_graphs import CompiledGraphs
from edgeroberta.runtime.embedding_texts import reader
from edgeroberta.runtime.goldens import GOLDENS_FILE, Goldens
from edgeroberta.runtime.longtexts import LongText
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.runtime.model import Model
from edgeroberta.runtime.session import ENGINES, open_session
from edgeroberta.runtime.tier_facts import TIERS
from edgeroberta.runtime.tier_opening import NestedTier
from edgeroberta.runtime.tier_reading import TierReader
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.storage import paths
from edgeroberta.storage.files import TOKENIZER
from edgeroberta.tasks import Problem, Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnswerOptions:
    """How a model that answers questions answers them; what the bundle says, or the usual, where None."""

    top_k: int | None = None
    no_answer: float | bool | None = None
    max_answer_tokens: int | None = None


@dataclass(frozen=True)
class OpeningOptions:
    """What is wanted in place of what the bundle says; see :meth:`edgeroberta.runtime.Runtime.open`."""

    engine: str | Sequence[str] | None
    tier: str | None
    threads: int | None
    max_batch: int
    aggregation: str | None
    long_text: str | None
    stride: int | None
    answers: AnswerOptions
    engine_cache: str | Path | None


@dataclass(frozen=True)
class OpenedParts:
    """What a runtime is made of."""

    facts: Manifest  # of the bundle, or of the tier that answers alone
    tokenizer: TextTokenizer
    model: Model  # of a cascade the last tier's
    cascade: Cascade | None


def open_parts(folder: Path, options: OpeningOptions) -> OpenedParts:
    """Check a bundle's files, load its tokenizer and its engine, or those of all tiers, and check goldens."""
    require_count("threads", options.threads)
    require_count("max_batch", options.max_batch)
    longtexts.parse(options.long_text)
    facts = manifest.read(folder)
    task = _answering(_aggregated(facts.task, options.aggregation), options.answers)
    nested = tier_opening.read(facts)
    engines = tier_opening.choose_engines(options.engine, facts, nested, options.tier)
    _require_files(facts, nested, engines)
    manifest.check_files(facts)
    with contextlib.ExitStack() as opened:
        opening = _Opening(facts, task, options, engines, opened)
        if options.tier in nested:
            parts = opening.tier_alone(nested[options.tier])
        else:
            parts = opening.all_tiers(nested if options.tier is None else {})
        opened.pop_all()
    return parts


@dataclass(frozen=True)
class _Opening:
    """What all models of a bundle are opened with."""

    facts: Manifest
    task: Task
    options: OpeningOptions
    engines: Mapping[str, str]  # of each model that is opened
    #: closes those that are open, which may hold memory of a GPU, should another one fail
    opened: contextlib.ExitStack

    def all_tiers(self, nested: Mapping[str, NestedTier]) -> OpenedParts:
        """Open the last tier, or the only model, and those before it."""
        tokenizer = self.tokenizer(self.facts, self.facts.folder)
        model = self.model(self.facts, tier_opening.names_of(self.facts)[-1])
        wanted = goldens.load(self.facts.folder)
        goldens.check_tokens(wanted, tokenizer, self.facts.folder)
        _check_answers(self.facts, wanted, model)
        if not nested:
            return OpenedParts(self.facts, tokenizer, model, None)
        tiers = tuple(self.tier(each, tokenizer) for each in nested.values())
        cascade = Cascade(tiers, tier_opening.names_of(self.facts)[-1], model)
        return OpenedParts(self.facts, tokenizer, model, cascade)

    def tier(self, tier: NestedTier, tokenizer: TextTokenizer) -> Tier:
        """Open one of the tiers before the last, whose tokenizer is given."""
        own = tier.manifest
        shared = tier.facts.token_ids is None and own.max_length == self.facts.max_length
        reading = TierReader(
            own.max_length,
            (lambda: tokenizer) if shared else (lambda: self.own_tokenizer(tier)),
            tier_opening.token_ids(self.facts, tier),
        )
        model = self.model(own, tier.facts.name)
        wanted = goldens.load(own.folder)
        tier_opening.check_tokens(wanted, tokenizer, reading, tier)
        _check_answers(own, wanted, model, None if shared else reading, name=tier.facts.name)
        return Tier(tier.facts.name, model, reading, tier.facts.threshold, tier.facts.calibration, own)

    def tier_alone(self, tier: NestedTier) -> OpenedParts:
        """Open one of the tiers before the last, as a bundle of its own."""
        own = tier.manifest
        tokenizer = self.own_tokenizer(tier)
        model = self.model(own, tier.facts.name)
        _check_answers(own, goldens.load(own.folder), model, name=tier.facts.name)
        return OpenedParts(own, tokenizer, model, None)

    def own_tokenizer(self, tier: NestedTier) -> TextTokenizer:
        """Open a tier's own tokenizer, and check it."""
        own = tier.manifest
        folder = self.facts.folder if tier.facts.token_ids is None else own.folder
        tokenizer = self.tokenizer(own, folder)
        goldens.check_tokens(goldens.load(own.folder), tokenizer, own.folder)
        return tokenizer

    def tokenizer(self, own: Manifest, folder: Path) -> TextTokenizer:
        """Open a tokenizer for a model; long texts are read as the bundle, or the user, says."""
        facts, way, stride = (
            self.facts,
            self.options.long_text or str(self.facts.long_text),
            self.options.stride,
        )
        if stride is None and way == facts.long_text is LongText.WINDOWS:
            stride = facts.stride
        if own.max_length != facts.max_length:
            stride = None  # which may be as long as a window here
        return reader(facts.task).open(
            folder,
            own.max_length,
            threads=self.threads,
            long_text=way,
            stride=stride,
            pair=facts.task.pair,
            separator=own.separator_id,
        )

    def model(self, own: Manifest, name: str) -> Model:
        """Load a model into its engine."""
        engine = self.engines[name]
        if (advice := processor.advise(own, engine)) is not None:
            logger.warning("%s: %s", own.folder, advice)
        compiled = None
        if self.options.engine_cache is not None:
            hashes = {file: own.files[file].sha256 for file in ENGINES[engine].files_in(own.files)}
            compiled = CompiledGraphs(paths.named(self.options.engine_cache), hashes)
        session = open_session(
            engine,
            own.folder,
            threads=self.threads,
            lengths=lengths.choose(own.lengths, own.max_length),
            compiled=compiled,
        )
        self.opened.callback(session.close)
        limits = tokenids.InputLimits(own.max_length, own.pad_token_id, tokenids.vocab_size(own))
        return Model(session, self.task, limits, max_batch=self.options.max_batch)

    @property
    def threads(self) -> int:
        """Threads of the engines; tokenizers use all cores unless it is 1."""
        return self.options.threads or self.facts.threads


def _require_files(facts: Manifest, nested: Mapping[str, NestedTier], engines: Mapping[str, str]) -> None:
    """Refuse bundles that do not list what is needed of them."""
    for name, engine in engines.items():
        own = nested[name].manifest if name in nested else facts
        needed = [GOLDENS_FILE, *ENGINES[engine].files_in(own.files)]
        if name not in nested or nested[name].facts.token_ids is not None:
            needed.insert(0, TOKENIZER)
        for file in needed:
            if file not in own.files:
                raise BundleError(
                    f"does not list {file}",
                    where=str(own.folder / manifest.MANIFEST_FILE),
                    hint=_tier_hint(own.folder) if file == TOKENIZER else None,
                )


def _tier_hint(folder: Path) -> str | None:
    """Say how a tier is opened, whose tokenizer may lie in the bundle around it; None of other folders."""
    folder = folder.resolve()
    if folder.parent.name != TIERS:
        return None
    return f"a tier of a cascade is opened with the whole: edgeroberta run BUNDLE --tier {folder.name}"


def _check_answers(
    own: Manifest,
    wanted: Goldens,
    model: Model,
    reader: TierReader | None = None,
    *,
    name: str | None = None,
) -> None:
    """Check answers against the goldens, and tokens of a tier's own tokenizer, once per machine.

    ``name``: of the tier; None of a bundle as a whole.
    """
    session = model.session
    # Engines that are built on the device: another build may give other answers.
    facts = [str(session.fingerprint)] if hasattr(session, "fingerprint") else []
    if reader is not None:
        facts.append(tier_opening.tokenizers_version())
    passed = goldens.GoldenCheckCache(own.digest, session.name, session.version, *facts)
    if passed:
        return
    if reader is not None:
        reader.load()  # which checks its tokens
    goldens.check_answers(
        wanted,
        model.run_ids,
        engine=f"{session.name} {session.version}",
        precision=ENGINES[session.name].precision,
        comparable=own.task.kind.comparable,
        where=GOLDENS_FILE if name is None else f"{name}: {GOLDENS_FILE}",
    )
    passed.remember()


def require_count(name: str, value: object) -> None:
    """Refuse what is no whole number from 1 on, nor None."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise UsageError(f"must be a whole number of at least 1, not {value!r}", where=name)


def _aggregated(task: Task, aggregation: str | None) -> Task:
    """Return a task with another aggregation; UsageError where it has none, or there is no such one."""
    if aggregation is None:
        return task
    if task.problem is not Problem.TOKENS:
        raise UsageError(
            "this model does not label tokens: there are no entities to aggregate",
            where="aggregation",
            hint="leave it out",
        )
    return replace(task, aggregation=aggregation)


def _answering(task: Task, options: AnswerOptions) -> Task:
    """Return a task that answers questions in another way; UsageError where it answers none."""
    asked = {name: value for name, value in vars(options).items() if value is not None}
    if not asked:
        return task
    if "top_k" in asked:
        task = filling.with_top_k(task, asked.pop("top_k"))
    if asked and task.problem is not Problem.SPANS:
        raise UsageError("this model answers no questions", where=next(iter(asked)), hint="leave it out")
    require_count("max_answer_tokens", asked.get("max_answer_tokens"))
    if "no_answer" in asked:
        stated = asked["no_answer"]
        if not isinstance(stated, (int, float)) or not math.isfinite(stated):
            raise UsageError(f"must be a number, true or false, not {stated!r}", where="no_answer")
        # True is as the pipeline of transformers has it: no answer where that is likelier than the best one.
        asked["no_answer"] = {True: 0.0, False: None}[stated] if isinstance(stated, bool) else float(stated)
    return replace(task, **asked)
