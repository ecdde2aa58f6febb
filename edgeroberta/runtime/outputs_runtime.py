"""A bundle in use, below what is made of its answers: inputs to token ids, token ids to outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from edgeroberta.errors import UsageError
from edgeroberta.runtime import asking, filling, tokenids
from edgeroberta.runtime.cascade import Cascade
from edgeroberta.runtime.embedding_texts import Prompt
from edgeroberta.runtime.encoding import Encoding, Input, merge_windows
from edgeroberta.runtime.model import Model
from edgeroberta.runtime.session import Ids, Logits, Session
from edgeroberta.tasks import Outputs, Unit

if TYPE_CHECKING:
    from edgeroberta.runtime.manifest import Manifest

Self = TypeVar("Self", bound="OutputsRuntime")


class OutputsRuntime:
    """A model, or the tiers of a cascade, and the tokenizer; see :class:`.core.Runtime`."""

    def _take(
        self, model: Model, tokenizer: Any, manifest: Manifest | None, cascade: Cascade | None = None
    ) -> None:
        self._model, self._tokenizer, self._cascade = model, tokenizer, cascade
        self.pad_token_id = model.limits.pad_token_id
        self.task = model.task
        self._unit = model.task.kind.unit
        self._located = self._unit.located
        self.max_length: int = model.limits.max_length
        models = [model] if cascade is None else [*(tier.model for tier in cascade.tiers), model]
        self._models = models
        self.engine = _joined([each.engine for each in models])
        self.engine_version = _joined([each.engine_version for each in models])
        self.tiers: tuple[str, ...] = () if cascade is None else cascade.names
        self.manifest = manifest

    @classmethod
    def _of(
        cls: type[Self],
        model: Model,
        tokenizer: Any,
        *,
        manifest: Manifest | None = None,
        cascade: Cascade | None = None,
    ) -> Self:
        """Make a runtime of a model, the last one of a cascade where there are several."""
        made = cls.__new__(cls)
        made._take(model, tokenizer, manifest, cascade)
        return made

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each output, in the order of the logits."""
        return self.task.labels

    @property
    def prompts(self) -> Mapping[str, str]:
        """What an embedding model may put in front of texts, by name; nothing of other models."""
        return dict(self._tokenizer.prompts.texts) if hasattr(self._tokenizer, "prompts") else {}

    @property
    def session(self) -> Session:
        """The engine's session, of a cascade the last tier's; an EngineError once the runtime is closed."""
        return self._model.session

    @property
    def tokenizer(self) -> Any:
        """What makes ids of texts; as long-lived as the runtime."""
        return self._tokenizer

    def outputs(
        self, inputs: Sequence[Input], targets: Sequence[Ids] | None = None, *, prompt: Prompt = None
    ) -> Outputs:
        """Return what the model gives for a list of texts or pairs, with the places of tokens.

        ``targets``: ids of the tokens at each text's masks, int64 [masks] each, whose log-probabilities are
        wanted beside those of the best, see :mod:`edgeroberta.tasks.masked`. ``prompt``: as for a call.
        """
        return self.run(self.encode(inputs, prompt=prompt), targets)

    def logits(self, inputs: Sequence[Input]) -> Logits:
        """Return the raw outputs for a list of texts or pairs, float32 [inputs, labels].

        Of an embedding model they are the embeddings, those of the two texts of a pair one after the other.
        Raises UsageError: the model labels tokens, or fills masks, of which :meth:`outputs` tells whose they
        are.
        """
        if self._unit is not Unit.TEXT:
            raise UsageError(
                f"this model gives logits for each {self._unit}, not for each text",
                hint="Runtime.outputs(texts).part(0) has those of the first text, and where they belong",
            )
        return self.outputs(inputs).values

    def encode(self, inputs: Sequence[Input], *, prompt: Prompt = None) -> list[Encoding]:
        """Tokenize texts or pairs, for :meth:`run`; refuses as a call does."""
        asking.check_all(self.task, inputs)
        encodings: list[Encoding] = self._tokenizer.encode(inputs, **self._settings(prompt))
        tokenids.refuse_padding(encodings, self.pad_token_id)
        if self._unit is Unit.MASK:
            self._require_masks(encodings, named=True)
        if self._cascade is not None:
            return self._cascade.read(inputs, encodings, places=self._located)
        return encodings

    def run(self, encodings: Sequence[Encoding], targets: Sequence[Ids] | None = None) -> Outputs:
        """Run what :meth:`encode` gave; those read in windows are merged, an entry per input.

        Of a cascade the outputs say which tier answered each. ``targets``: see :meth:`outputs`.
        """
        return (self._cascade or self._model).run(encodings, targets)

    def merge(self, outputs: Outputs, encodings: Sequence[Encoding]) -> Outputs:
        """Make outputs of inputs of those of all their windows, and add the places of tokens."""
        return merge_windows(self.task, outputs, encodings)

    def run_ids(self, ids: Sequence[Ids], targets: Sequence[Ids] | None = None) -> Outputs:
        """Run token ids, in batches of texts of one length.

        Args:
            ids: int64 [length] each, of 1 to ``max_length`` tokens.
            targets: int64 [masks] each, see :meth:`outputs`.

        Returns:
            The outputs, in the order of ``ids``.

        Raises:
            EngineError: The engine failed, or the runtime is closed.
            UsageError: An input has no tokens or too many, or one that is no token's id or the padding's.
        """
        return self._model.run_ids(ids, targets)

    def tier(self: Self, name: str) -> Self:
        """Return a runtime that answers with one tier of a cascade alone, on the same session.

        It answers as long as this one is open, and need not be closed. Raises UsageError: there is no such
        tier.
        """
        if self._cascade is None or name not in self.tiers:
            raise asking.unknown_tier(name, self.tiers)
        if name == self._cascade.last:
            return self._of(self._model, self._tokenizer, manifest=self.manifest)
        tier = self._cascade.tiers[self.tiers.index(name)]
        return self._of(tier.model, tier.reader.own, manifest=tier.manifest)

    def escalating(self: Self) -> Self:
        """Return a runtime on the same sessions that asks all tiers of a cascade, and answers with the last.

        That is the worst case, to be measured. It answers as long as this one is open, and need not be
        closed.
        """
        cascade = None if self._cascade is None else self._cascade.escalating()
        return self._of(self._model, self._tokenizer, manifest=self.manifest, cascade=cascade)

    def wrapped(self: Self, session: Callable[[Session], Session], tokenizer: Callable[[Any], Any]) -> Self:
        """Return a runtime on the same sessions and tokenizers, with something around each, such as a clock.

        ``session``, ``tokenizer``: what is put around those of all tiers.
        """
        cascade = None if self._cascade is None else self._cascade.wrapped(session, tokenizer)
        model = self._model.wrapped(session) if cascade is None else cascade.model
        return self._of(model, tokenizer(self._tokenizer), manifest=self.manifest, cascade=cascade)

    def prepare(self) -> None:
        """Let the engine compile now what it would compile when the first text of another length arrives.

        For programs that have time before their first text, such as servers. Raises EngineError: the engine
        refuses, or the runtime is closed.
        """
        for model in self._models:
            if hasattr(model.session, "prepare"):
                model.session.prepare()

    def close(self) -> None:
        """Free the engine; calls after this are refused."""
        (self._cascade or self._model).close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "fake" if self.manifest is None else str(self.manifest.folder)
        return f"<Runtime {where} on {self.engine} {self.engine_version}, {self.task.problem}>"

    def _settings(self, prompt: Prompt) -> dict[str, Any]:
        """Return what a tokenizer is told beside the inputs."""
        return {"places": self._located} if prompt is None else asking.prompted(self.task, prompt)

    def _require_masks(self, encodings: Sequence[Encoding], *, named: bool) -> None:
        for model in self._models:
            filling.require_masks(self.task, encodings, model.session, named=named)


def _joined(names: Sequence[str]) -> str:
    """Return names with commas; one where all are alike."""
    return ",".join(names if len(set(names)) > 1 else names[:1])
