"""Times a folder of probes where it is; the device's half: standard library, numpy, tokenizers, one engine.

Probes are opened in one process and take turns on the same lengths, as rows of ``bench`` do, so that a
machine that slows down for a while slows all of them. Tokenizer and engine are told apart by ``bench``'s
stopwatch, on the user's texts where there are some.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.latency.grid import FILLED, SHALLOW, VOCABULARY, LatencyProbe, ProbePlan
from edgeroberta.measure.clock import time_calls
from edgeroberta.measure.stopwatch import Stopwatch, TimedSession, timed
from edgeroberta.measure.warmup import warm_up
from edgeroberta.progress import Progress
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.session import Ids, Session, open_session
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.storage import jsontext
from edgeroberta.tasks import KINDS, Problem, Task

TEXTS_FILE = "texts.json"
#: Calls per length in a turn, at most and at least; between them, as many as fit into the seconds of a turn.
MOST_CALLS, LEAST_CALLS, TURN_SECONDS = 10, 2, 1.0
#: Calls at the start of a turn that are left out: the probe before has filled the caches.
COLD_CALLS = 3

#: Opens a probe of a folder.
Opener = Callable[[LatencyProbe, Path], Session]


@dataclass(frozen=True)
class ProbeTimings:
    """What was timed."""

    version: str  # version of the engine
    device: str  # what it ran on, in words
    #: name of a probe to its seconds per length: the median call of its best turn
    min_of_medians: dict[str, tuple[float, ...]]
    noise: tuple[float, ...]  # percentiles (0.5 … 99.5) of deep and whole probes' calls as parts of those
    tokens: tuple[int, ...]  # token count of each text
    overheads: tuple[float, ...]  # for each text, the seconds of a call outside the engine, in its best turn
    pads: bool  # True where the engine pads to prepared lengths
    unsteady: tuple[str, ...] = ()  # names of probes whose times still moved after the warm-up


def time_probes(
    plan: ProbePlan, folder: Path, *, progress: Progress, device: str, opener: Opener | None = None
) -> ProbeTimings:
    """Time all probes of a folder that has a tokenizer and texts; ``opener`` replaces the engine."""
    found = _ProbeTimes()
    for number, batch in enumerate(plan.batches, 1):
        sessions: dict[str, Session] = {}
        try:
            with progress.bar(f"open {number}/{len(plan.batches)}", len(batch), "probes") as advance:
                for probe in batch:
                    sessions[probe.name] = (opener or _opener(plan))(probe, folder)
                    advance(1, probe.name)
            with progress.bar(
                f"measure {number}/{len(plan.batches)}", plan.rounds * len(batch), "turns"
            ) as advance:
                _take_turns(plan, sessions, folder, found, advance)
            found.version = sessions[batch[0].name].version
        finally:
            for session in sessions.values():
                session.close()
    return ProbeTimings(
        version=found.version,
        device=device,
        min_of_medians=found.min_of_medians,
        noise=tuple(np.percentile(np.concatenate(found.parts), np.arange(100) + 0.5).tolist()),
        tokens=found.tokens,
        overheads=found.overheads,
        pads=plan.pads,
        unsteady=tuple(found.unsteady),
    )


@dataclass
class _ProbeTimes:
    """What was timed so far; see :class:`ProbeTimings`."""

    version: str = ""
    min_of_medians: dict[str, tuple[float, ...]] = field(default_factory=dict)
    parts: list[np.ndarray] = field(default_factory=list)
    tokens: tuple[int, ...] = ()
    overheads: tuple[float, ...] = ()
    unsteady: list[str] = field(default_factory=list)


def _take_turns(
    plan: ProbePlan,
    sessions: dict[str, Session],
    folder: Path,
    found: _ProbeTimes,
    advance: Callable[..., None],
) -> None:
    texts, tokenizer = _texts(folder), TextTokenizer.open(folder, plan.lengths[-1], threads=1)
    repetitions = _Repetitions(plan, sessions, tokenizer, texts)
    found.unsteady += repetitions.warm_up()
    middle = plan.deep(plan.heads[len(plan.heads) // 2], plan.widths[len(plan.widths) // 2])
    overhead_timer = (
        _OverheadTimer(plan, sessions[middle.name], tokenizer, texts) if middle.name in sessions else None
    )
    for number in range(plan.rounds):
        repetitions.round(number, advance)
        if overhead_timer is not None:
            overhead_timer.round()
    min_of_medians = repetitions.min_of_medians()
    found.min_of_medians |= min_of_medians
    found.parts += repetitions.parts(min_of_medians)
    if overhead_timer is not None:
        found.tokens, found.overheads = overhead_timer.tokens, overhead_timer.overheads()


def _opener(plan: ProbePlan) -> Opener:
    def open_probe(probe: LatencyProbe, folder: Path) -> Session:
        return open_session(
            probe.engine, folder / probe.name, threads=plan.threads, lengths=Lengths(plan.lengths, ())
        )

    return open_probe


class _Repetitions:
    """Turns of all probes: calls of shuffled lengths, the same for every probe of a round."""

    def __init__(
        self, plan: ProbePlan, sessions: dict[str, Session], tokenizer: TextTokenizer, texts: Sequence[Any]
    ) -> None:
        self._plan, self._sessions = plan, sessions
        self._tokenizer, self._texts = tokenizer, texts
        self._calls = dict.fromkeys(sessions, LEAST_CALLS)
        self._times: dict[str, list[dict[int, list[float]]]] = {name: [] for name in sessions}

    def warm_up(self) -> tuple[str, ...]:
        """Call every probe until its times hold still, and see how many calls fit into a turn."""
        unsteady = []
        for name in self._sessions:

            def window(name: str = name) -> list[float]:
                return self._time(name, list(self._plan.lengths) * 2)

            if not warm_up(window).steady:
                unsteady.append(name)
            once = sum(window()) / 2
            self._calls[name] = int(np.clip(TURN_SECONDS / once, LEAST_CALLS, MOST_CALLS))
        return tuple(unsteady)

    def round(self, number: int, advance: Callable[..., None]) -> None:
        names = list(self._sessions)
        shift = number % len(names)
        for name in [*names[shift:], *names[:shift]]:
            drawn = list(self._plan.lengths) * self._calls[name]
            np.random.default_rng([number, 1]).shuffle(drawn)
            self._time(name, drawn[:COLD_CALLS])
            by_length: dict[int, list[float]] = {length: [] for length in self._plan.lengths}
            for length, seconds in zip(drawn, self._time(name, drawn), strict=True):
                by_length[length].append(seconds)
            self._times[name].append(by_length)
            advance(1, name)

    def min_of_medians(self) -> dict[str, tuple[float, ...]]:
        """Return each probe's times of its best turn, per length.

        Other programs only ever add to a time, so that the best of some medians is nearest to the truth; what
        they add is in :meth:`parts`.
        """
        return {
            name: tuple(
                min(float(np.median(repetition[length])) for repetition in repetitions)
                for length in self._plan.lengths
            )
            for name, repetitions in self._times.items()
        }

    def parts(self, min_of_medians: dict[str, tuple[float, ...]]) -> list[np.ndarray]:
        """Return all calls as parts of the quiet ones."""
        return [
            np.array(repetition[length]) / min_of_medians[name][index]
            for name, repetitions in self._times.items()
            if not name.startswith(SHALLOW)  # calls of a tenth of a millisecond jitter more than models do
            for repetition in repetitions
            for index, length in enumerate(self._plan.lengths)
        ]

    def _time(self, name: str, lengths: Sequence[int]) -> list[float]:
        """Time the engine alone, between texts that are tokenized: they fill caches as they will later."""
        watch = Stopwatch()
        session = TimedSession(self._sessions[name], watch)
        texts = self._texts

        def answer(call: tuple[int, Ids, Ids]) -> None:
            self._tokenizer.encode_one(texts[call[0] % len(texts)])
            session.run(call[1], call[2])

        rng = np.random.default_rng(0)
        # Ids below 5 are special tokens; 100 rows are in any probe's table.
        ids = [rng.integers(5, 100, (1, length), dtype=np.int64) for length in lengths]
        for each in ids:  # the token that begins texts, and is the mask of probes that fill masks
            each[0, 0] = FILLED
        calls = [(number, each, np.ones_like(each)) for number, each in enumerate(ids)]
        return time_calls(answer, calls, watch=watch).engine


class _OverheadTimer:
    """Answers texts through the runtime on a probe from the grid's middle, to time what is not engine."""

    def __init__(
        self, plan: ProbePlan, session: Session, tokenizer: TextTokenizer, texts: Sequence[Any]
    ) -> None:
        self._texts = texts
        self.tokens = tuple(len(tokenizer.encode_one(text).ids) for text in self._texts)
        names = tuple(f"label {index}" for index in range(max(2, plan.shape.labels)))
        problem = next(each for each in Problem if KINDS[each.value].head == plan.shape.head)
        task = Task(problem, names[: plan.shape.labels], isinstance(self._texts[0], tuple))
        if problem is Problem.MASKED:
            task = Task(problem, (), dimensions=plan.shape.labels, mask_id=FILLED)
        self._watch = Stopwatch()
        # No id pads: folded ids may be any.
        runtime = Runtime(session, _FoldedTokenizer(tokenizer, VOCABULARY), task, pad_token_id=-1)
        self._runtime = timed(runtime, self._watch)
        self._rounds: list[list[float]] = []

    def round(self) -> None:
        """Answer every text once, after some to fill the caches."""
        time_calls(self._runtime, self._texts[:COLD_CALLS])
        found = time_calls(self._runtime, self._texts, watch=self._watch)
        self._rounds.append([a - b for a, b in zip(found.seconds, found.engine, strict=True)])

    def overheads(self) -> tuple[float, ...]:
        """Return each text's best time outside the engine."""
        return tuple(np.min(self._rounds, axis=0).tolist())


class _FoldedTokenizer:
    """A tokenizer whose ids are folded into a probe's small table."""

    def __init__(self, tokenizer: TextTokenizer, rows: int) -> None:
        self._tokenizer, self._rows = tokenizer, rows
        self.max_length = tokenizer.max_length

    def encode_one(self, item: Any, *, places: bool = False) -> Any:
        """Encode one text; the ids are those of a table of the probe's size."""
        encoding = self._tokenizer.encode_one(item, places=places)
        np.remainder(encoding.ids, self._rows, out=encoding.ids)
        return encoding

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """Make a text of token ids."""
        return self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)


def _texts(folder: Path) -> list[Any]:
    file = folder / TEXTS_FILE
    try:
        texts = jsontext.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise EdgeRobertaError(f"cannot be read ({error})", where=str(file)) from error
    return [tuple(text) if isinstance(text, list) else text for text in texts]
