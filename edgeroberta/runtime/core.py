"""The runtime: opens a bundle and answers texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from edgeroberta.errors import EngineError, UsageError
from edgeroberta.runtime import filling, questions, tokenids
from edgeroberta.runtime.embedding_texts import Prompt
from edgeroberta.runtime.encoding import Encoding, Input, all_windows, merge_windows
from edgeroberta.runtime.session import Ids, Logits, Session
from edgeroberta.runtime.tokenizer import explain
from edgeroberta.tasks import MaskPrediction, Outputs, Prediction, Problem, SpanPrediction, Task, Unit
from edgeroberta.tasks.outputs import Indices

if TYPE_CHECKING:
    from edgeroberta.runtime.manifest import Manifest


class Runtime:
    """A bundle, loaded and ready to answer; safe to use from several threads at once.

    ::

        with Runtime.open("out/") as runtime:
            runtime("great film").label

    Attributes:
        task: What the outputs mean.
        max_length: Longest input in tokens; what happens to longer ones is said when it is opened.
        pad_token_id: Id of the padding token, which no text may hold.
        engine: Name of the engine in use.
        engine_version: Its version.
        manifest: The bundle's manifest; None for a fake.
    """

    def __init__(
        self,
        session: Session,
        tokenizer: Any,
        task: Task,
        *,
        pad_token_id: int = 1,
        vocab_size: int | None = None,
        max_batch: int = 32,
        manifest: Manifest | None = None,
    ) -> None:
        if task.problem is Problem.TOKENS and task.pair:
            raise UsageError("labels of tokens are those of one text, not of a pair", where="pair")
        self._session: Session | None = session
        self._tokenizer = tokenizer
        self.pad_token_id = pad_token_id
        self._vocab_size = vocab_size
        self._max_batch = max_batch
        self.task = task
        self._unit = task.kind.unit
        self.max_length: int = tokenizer.max_length
        self.engine = session.name
        self.engine_version = session.version
        self.manifest = manifest

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        engine: str | None = None,
        threads: int | None = None,
        max_batch: int = 32,
        aggregation: str | None = None,
        long_text: str | None = None,
        stride: int | None = None,
        top_k: int | None = None,
        no_answer: float | bool | None = None,
        max_answer_tokens: int | None = None,
        engine_cache: str | Path | None = None,
    ) -> Runtime:
        """Open a bundle: check its files, load it, and once per machine check its answers.

        Args:
            path: The bundle's folder.
            engine: Engine to run on; when None, the one that ``edgeroberta build`` or ``bench`` found best
                on this device, else the first of the bundle's that is installed.
            threads: Threads for one call; what the bundle's target says when None. Lists are tokenized
                on all cores unless this is 1.
            max_batch: Most texts in one call of the engine.
            aggregation: How the labels of tokens become entities (``simple``, ``first``, ``average``,
                ``max``); what the bundle says when None.
            long_text: What is done with texts that are longer than the model: ``truncate``, ``windows`` or
                ``refuse``; what the bundle says when None.
            stride: Tokens that a window has in common with the next one; what the bundle says when None.
            top_k: How many answers to a question, or tokens for a mask, are told, the best first; when None,
                one answer, and five tokens.
            no_answer: By how much no answer must score more than the best one to be given; True for any
                more, False where each question has its answer; what the bundle says when None.
            max_answer_tokens: Tokens of the longest answer; what the bundle says when None, or 15.
            engine_cache: Folder in which an engine may keep what it compiles, for the next opening; nothing
                is kept when None. Of the engines OpenVINO does so, in 1 MB for each length of texts.

        Returns:
            The runtime.

        Raises:
            BundleError: The bundle is damaged, missing, foreign or of a newer version.
            EngineError: The engine refuses the graph, or gives other answers than it should.
            UnavailableError: The engine is not installed.
            UsageError: The bundle was not built for the engine, a number is not a whole one from 1 on, or
                there is no such aggregation or way with long texts.
        """
        # Imported here, since a program that starts with a fake, or not at all, need not wait for it.
        from edgeroberta.runtime import opening

        opening.require_count("max_batch", max_batch)
        answers = opening.AnswerOptions(top_k, no_answer, max_answer_tokens)
        options = opening.OpeningOptions(
            engine, threads, aggregation, long_text, stride, answers, engine_cache
        )
        parts = opening.open_parts(Path(path), options)
        runtime = cls(
            parts.session,
            parts.tokenizer,
            parts.task,
            pad_token_id=parts.facts.pad_token_id,
            vocab_size=tokenids.vocab_size(parts.facts),
            max_batch=max_batch,
            manifest=parts.facts,
        )
        try:
            opening.check_goldens(parts, runtime.run_ids)
        except BaseException:
            runtime.close()  # an engine may hold memory of a GPU
            raise
        return runtime

    @classmethod
    def fake(
        cls,
        labels: Sequence[str] = ("negative", "positive"),
        answers: Mapping[Input, Any] | None = None,
        *,
        problem: Problem = Problem.SINGLE_LABEL,
        pair: bool = False,
    ) -> Runtime:
        """Make a runtime without bundle or engine, for the tests of programs that use one.

        Args:
            labels: Names of the outputs; for labels of tokens, types of entities are enough.
            answers: Input to its answer: a label, a tuple of labels, a number, or a mapping of
                labels to logits, as the problem has it; for labels of tokens a list of entities
                ``(label, start, end)``; of a question and its context the answer, a part of the context, or
                None; of a text with masks the word for them, or a list of words; of a text its embedding, a
                list of numbers. Other inputs get the first label (none where several can apply; 0.0 for a
                regression; no entities; no answer; an embedding of their own).
            problem: Kind of task.
            pair: True when an input is two texts.

        Returns:
            The runtime.
        """
        from edgeroberta.runtime import fake

        parts = fake.parts(Problem(problem), tuple(labels), answers or {}, pair=pair)
        # No id pads: a fake's ids are the numbers of its inputs.
        return cls(parts.session, parts.tokenizer, parts.task, pad_token_id=-1)

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
        """The engine's session; an EngineError once the runtime is closed."""
        if self._session is None:
            raise EngineError("the runtime is closed", hint="open it again with Runtime.open")
        return self._session

    @property
    def tokenizer(self) -> Any:
        """What makes ids of texts; as long-lived as the runtime."""
        return self._tokenizer

    @overload
    def __call__(self, inputs: Input) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, inputs: Sequence[Input]) -> list[Prediction]: ...

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, *, question: str, context: str
    ) -> SpanPrediction: ...

    @overload
    def __call__(self, *, question: Sequence[str], context: str | Sequence[str]) -> list[SpanPrediction]: ...

    def __call__(
        self,
        inputs: Any = None,
        *,
        question: Any = None,
        context: Any = None,
        top_k: int | None = None,
        prompt: Prompt = None,
    ) -> Any:
        """Answer one text, one pair (a tuple of two texts), or a list of them.

        Args:
            inputs: The text, the pair, or the list.
            question: In place of ``inputs``: a question, or a list of them.
            context: The text that has its answer; of several questions that of each, or one of all.
            top_k: Answers to a question, or tokens for a mask, that are told, the best first; when None, as
                many as was said when it was opened.
            prompt: Of an embedding model, name of what is put in front of texts, one of
                :attr:`prompts`; of a pair, a name for each text. None for the model's default, ``""``
                for nothing.

        Returns:
            The prediction, or a list of them in the same order.

        Raises:
            UsageError: An input is not text, a pair where a text is wanted (or the reverse), has the padding
                token in it, or has no mask that could be filled; or there is no such prompt.
            EngineError: The engine failed.
        """
        task = self.task if top_k is None else filling.with_top_k(self.task, top_k)
        if question is not None or context is not None:
            if inputs is not None:
                raise UsageError("pass inputs, or a question and its context, not both")
            inputs = questions.pairs(question, context)
        if isinstance(inputs, (str, tuple)):
            self._check_input(inputs)
            encoding: Encoding = self._tokenizer.encode_one(inputs, **self._how(prompt))
            for one in (encoding, *encoding.rest):
                tokenids.refuse(one.ids, self.pad_token_id)
            if self._unit is Unit.MASK:
                filling.require_masks(task, [encoding], self.session, named=False)
            if not encoding.rest:
                return self._read(self._run_one(encoding.ids), encoding.places, encoding, inputs, task)
            return self.predictions([inputs], [encoding], self.run([encoding]), task)[0]
        encodings = self.encode(inputs, prompt=prompt)
        return self.predictions(inputs, encodings, self.run(encodings), task)

    def predictions(
        self,
        inputs: Sequence[Input],
        encodings: Sequence[Encoding],
        outputs: Outputs,
        task: Task | None = None,
    ) -> list[Prediction]:
        """Make what a user reads of inputs, their encodings, and what :meth:`run` gave for these."""
        return [
            self._read(*outputs.part(row), encoding, item, task or self.task)
            for row, (encoding, item) in enumerate(zip(encodings, inputs, strict=True))
        ]

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
        if not isinstance(inputs, Sequence) or isinstance(inputs, (str, bytes)):
            raise UsageError(f"expected a text, a pair or a list of them, not {type(inputs).__name__}")
        for number, item in enumerate(inputs):
            self._check_input(item, number)
        encodings: list[Encoding] = self._tokenizer.encode(inputs, **self._how(prompt))
        tokenids.refuse_padding(encodings, self.pad_token_id)
        if self._unit is Unit.MASK:
            filling.require_masks(self.task, encodings, self.session, named=True)
        return encodings

    def run(self, encodings: Sequence[Encoding], targets: Sequence[Ids] | None = None) -> Outputs:
        """Run what :meth:`encode` gave; those read in windows are merged, an entry per input.

        ``targets``: see :meth:`outputs`.
        """
        if targets is not None:
            targets = filling.targets_of_windows(self.task, encodings, targets)
        return self.merge(self.run_ids([one.ids for one in all_windows(encodings)], targets), encodings)

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
        session = self.session
        limits = tokenids.InputLimits(self.max_length, self.pad_token_id, self._vocab_size)
        ids = tokenids.checked(ids, limits)
        counts = tokenids.units(self.task, ids)
        outputs = tokenids.empty_outputs(counts, self.task.num_outputs + (0 if targets is None else 2))
        groups: dict[int, list[int]] = {}
        for index, one in enumerate(ids):
            if not counts[index]:  # without a mask, as windows may be: ONNX Runtime 1.23 ends the process
                continue
            groups.setdefault(session.padded_length(len(one)), []).append(index)
        for length, members in groups.items():
            for start in range(0, len(members), self._max_batch):
                chosen = members[start : start + self._max_batch]
                batch = tokenids.padded([ids[i] for i in chosen], length, self.pad_token_id)
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

    def prepare(self) -> None:
        """Let the engine compile now what it would compile when the first text of another length arrives.

        For programs that have time before their first text, such as servers. Raises EngineError: the engine
        refuses, or the runtime is closed.
        """
        session = self.session
        if hasattr(session, "prepare"):
            session.prepare()

    def close(self) -> None:
        """Free the engine; calls after this are refused."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "fake" if self.manifest is None else str(self.manifest.folder)
        return f"<Runtime {where} on {self.engine} {self.engine_version}, {self.task.problem}>"

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

    def _run_one(self, ids: Ids) -> Logits:
        """Run one input the shortest way, float32 [units, labels]: this is what a device does all day."""
        session = self.session
        length = session.padded_length(len(ids))
        if length == len(ids):
            batch = ids[np.newaxis]
            found = session.run(batch, np.ones_like(batch))
        else:
            found = session.run(*tokenids.padded([ids], length, self.pad_token_id))
        if self._unit is Unit.TOKEN:
            return found[0, : len(ids)]
        return found[0, : np.count_nonzero(ids == self.task.mask_id)] if found.ndim == 3 else found

    def _read(
        self, values: Logits, places: Indices | None, encoding: Encoding, item: Input, task: Task
    ) -> Prediction:
        """Make the prediction of one input from its outputs, float32 [units, labels], and their places."""
        found = task.kind.interpret(task, values, places, item, truncated=encoding.truncated)
        if isinstance(found, MaskPrediction):
            found = filling.written(found, task, encoding, places, self._tokenizer)
        windows = 1 if task.apart else 1 + len(encoding.rest)
        return replace(found, windows=windows) if windows > 1 else found

    def _how(self, prompt: Prompt) -> dict[str, Any]:
        """Return what a tokenizer is told beside the inputs."""
        if prompt is None:
            return {"places": self._unit.located}
        if not self.task.apart:
            raise UsageError(
                "this model makes no embeddings, and puts nothing in front of texts",
                where="prompt",
                hint="leave it out",
                code="usage.prompt-unknown",
            )
        return {"prompt": prompt}

    def _check_input(self, item: object, number: int | None = None) -> None:
        if isinstance(item, (str, tuple) if self.task.apart else tuple if self.task.pair else str):
            return
        where = None if number is None else f"input {number}"
        if not isinstance(item, (str, tuple)):
            raise UsageError(explain(item).what, where=where)
        if self.task.problem is Problem.SPANS:
            hint = "runtime(question='…', context='…'), or a tuple of the two"
            raise UsageError("this model takes a question and its context", where=where, hint=hint)
        if self.task.pair:
            raise UsageError("this model takes pairs: pass a tuple of two texts", where=where)
        raise UsageError("this model takes single texts; for several, pass a list", where=where)
