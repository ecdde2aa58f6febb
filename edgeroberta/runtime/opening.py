"""Opens a bundle: checks its files, loads engine and tokenizer, replays its goldens."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeroberta.errors import BundleError, UsageError
from edgeroberta.runtime import filling, goldens, lengths, longtexts, manifest, preferences, processor
from edgeroberta.runtime.compiled_graphs import CompiledGraphs
from edgeroberta.runtime.embedding_texts import reader
from edgeroberta.runtime.longtexts import LongText
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.runtime.session import ENGINES, Ids, Session, choose_engine, open_session
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.storage import paths
from edgeroberta.storage.files import TOKENIZER
from edgeroberta.tasks import Outputs, Problem, Task

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

    engine: str | None
    threads: int | None
    aggregation: str | None
    long_text: str | None
    stride: int | None
    answers: AnswerOptions
    engine_cache: str | Path | None = None


@dataclass(frozen=True)
class OpenedParts:
    """What a runtime is made of."""

    facts: Manifest
    task: Task
    tokenizer: TextTokenizer
    session: Session


def open_parts(folder: Path, options: OpeningOptions) -> OpenedParts:
    """Check a bundle's files, and load its tokenizer and its engine."""
    require_count("threads", options.threads)
    longtexts.parse(options.long_text)
    facts = manifest.read(folder)
    task = _answering(_aggregated(facts.task, options.aggregation), options.answers)
    preferred = preferences.preferred(facts.digest) if options.engine is None else None
    engine = choose_engine(options.engine, facts.engines, preferred=preferred)
    graph = ENGINES[engine].files_in(facts.files)
    for needed in (TOKENIZER, goldens.GOLDENS_FILE, *graph):
        if needed not in facts.files:
            raise BundleError(f"does not list {needed}", where=str(facts.folder / manifest.MANIFEST_FILE))
    manifest.check_files(facts)
    threads = options.threads or facts.threads
    tokenizer = _tokenizer(facts, options, threads)
    if (advice := processor.advise(facts, engine)) is not None:
        logger.warning("%s: %s", facts.folder, advice)
    compiled = None
    if options.engine_cache is not None:
        hashes = {name: facts.files[name].sha256 for name in graph}
        compiled = CompiledGraphs(paths.named(options.engine_cache), hashes)
    session = open_session(
        engine,
        facts.folder,
        threads=threads,
        lengths=lengths.choose(facts.lengths, facts.max_length),
        compiled=compiled,
    )
    return OpenedParts(facts, task, tokenizer, session)


def check_goldens(parts: OpenedParts, run_ids: Callable[[Sequence[Ids]], Outputs]) -> None:
    """Check tokens, and once per machine answers, against the goldens; ``run_ids``: the runtime's."""
    facts, session = parts.facts, parts.session
    wanted = goldens.load(facts.folder)
    goldens.check_tokens(wanted, parts.tokenizer, facts.folder)
    # Engines that are built on the device: another build may give other answers.
    build = [str(session.fingerprint)] if hasattr(session, "fingerprint") else []
    passed = goldens.GoldenCheckCache(facts.digest, session.name, session.version, *build)
    if not passed:
        goldens.check_answers(
            wanted,
            run_ids,
            engine=f"{session.name} {session.version}",
            precision=ENGINES[session.name].precision,
            comparable=facts.task.kind.comparable,
        )
        passed.remember()


def require_count(name: str, value: object) -> None:
    """Refuse what is no whole number from 1 on, nor None."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise UsageError(f"must be a whole number of at least 1, not {value!r}", where=name)


def _tokenizer(facts: Manifest, options: OpeningOptions, threads: int) -> TextTokenizer:
    way, stride = options.long_text or str(facts.long_text), options.stride
    if stride is None and way == facts.long_text is LongText.WINDOWS:
        stride = facts.stride
    return reader(facts.task).open(
        facts.folder,
        facts.max_length,
        threads=threads,
        long_text=way,
        stride=stride,
        pair=facts.task.pair,
        separator=facts.separator_id,
    )


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
