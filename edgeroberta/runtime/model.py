"""One model, loaded into an engine: token ids in, outputs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgeroberta.errors import EngineError, UsageError
from edgeroberta.runtime import filling, tokenids
from edgeroberta.runtime.encoding import Encoding, all_windows, merge_windows
from edgeroberta.runtime.session import Ids, Logits, Session
from edgeroberta.tasks import Outputs, Problem, Task, Unit


class Model:
    """A session and what it takes; safe to use from several threads at once.

    Attributes:
        task: What the outputs mean.
        limits: Which ids it takes, and how many at once.
        max_batch: Most texts in one call of the engine.
        engine: Name of the engine in use.
        engine_version: Its version.
    """

    def __init__(
        self, session: Session, task: Task, limits: tokenids.InputLimits, *, max_batch: int = 32
    ) -> None:
        if task.problem is Problem.TOKENS and task.pair:
            raise UsageError("labels of tokens are those of one text, not of a pair", where="pair")
        self._session: Session | None = session
        self.task = task
        self._unit = task.kind.unit
        self.limits = limits
        self.max_batch = max_batch
        self.engine = session.name
        self.engine_version = session.version

    @property
    def session(self) -> Session:
        """The engine's session; an EngineError once the model is closed."""
        if self._session is None:
            raise EngineError("the runtime is closed", hint="open it again with Runtime.open")
        return self._session

    def run(self, encodings: Sequence[Encoding], targets: Sequence[Ids] | None = None) -> Outputs:
        """Run inputs; those read in windows are merged, an entry per input.

        ``targets``: int64 [masks] each, the tokens asked for at the masks of each input, see
        :mod:`edgeroberta.tasks.masked`.
        """
        if targets is not None:
            targets = filling.targets_of_windows(self.task, encodings, targets)
        found = self.run_ids([one.ids for one in all_windows(encodings)], targets)
        return merge_windows(self.task, found, encodings)

    def run_ids(self, ids: Sequence[Ids], targets: Sequence[Ids] | None = None) -> Outputs:
        """Run token ids, in batches of texts of one length; see :meth:`.core.Runtime.run_ids`."""
        session = self.session
        ids = tokenids.checked(ids, self.limits)
        counts = tokenids.units(self.task, ids)
        outputs = tokenids.empty_outputs(counts, self.task.num_outputs + (0 if targets is None else 2))
        groups: dict[int, list[int]] = {}
        for index, one in enumerate(ids):
            if not counts[index]:  # without a mask, as windows may be: ONNX Runtime 1.23 ends the process
                continue
            groups.setdefault(session.padded_length(len(one)), []).append(index)
        for length, members in groups.items():
            for start in range(0, len(members), self.max_batch):
                chosen = members[start : start + self.max_batch]
                batch = tokenids.padded([ids[i] for i in chosen], length, self.limits.pad_token_id)
                if targets is None:
                    found = session.run(*batch)
                    self._require_width(found)
                else:
                    wanted = np.concatenate([targets[i] for i in chosen])
                    found = filling.run_for(session, batch, self.task.num_outputs // 2, wanted)
                if self._unit is Unit.TEXT:
                    outputs.values[chosen] = found
                    continue
                for values, text in zip(tokenids.by_text(found, counts[chosen]), chosen, strict=True):
                    rows, _ = outputs.part(text)
                    rows[:] = values[: counts[text]]
        return outputs

    def run_one(self, ids: Ids) -> Logits:
        """Run one input the shortest way, float32 [units, labels]: this is what a device does all day.

        ``ids``: int64 [length], which the model must take.
        """
        session = self.session
        length = session.padded_length(len(ids))
        if length == len(ids):
            batch = ids[np.newaxis]
            found = session.run(batch, np.ones_like(batch))
        else:
            found = session.run(*tokenids.padded([ids], length, self.limits.pad_token_id))
        if self._unit is Unit.TOKEN:
            return found[0, : len(ids)]
        return found[0, : np.count_nonzero(ids == self.task.mask_id)] if found.ndim == 3 else found

    def wrapped(self, wrap: Callable[[Session], Session]) -> Model:
        """Return the same model with something around its session."""
        return Model(wrap(self.session), self.task, self.limits, max_batch=self.max_batch)

    def close(self) -> None:
        """Free the engine; calls after this are refused."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _require_width(self, found: Logits) -> None:
        per_token, width = self._unit is Unit.TOKEN, self.task.num_outputs
        # An engine whose shapes are fixed gives masks text by text, with room for more.
        dimensions = (2, 3) if self._unit is Unit.MASK else (2 + per_token,)
        if found.ndim not in dimensions or found.shape[-1] != width:
            wanted = [*(["length"] if per_token else []), width]
            raise EngineError(
                f"the graph gives numbers of the shape {list(found.shape[1:])} for a text, "
                f"and not [{', '.join(map(str, wanted))}] as the bundle says",
                hint="the graph is of another model; copy the bundle again from where it was made",
            )
