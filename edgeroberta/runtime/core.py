"""The runtime: opens a bundle and answers texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from edgeroberta.errors import UsageError
from edgeroberta.runtime import asking, filling, questions, tokenids
from edgeroberta.runtime.embedding_texts import Prompt
from edgeroberta.runtime.encoding import Encoding, Input
from edgeroberta.runtime.model import Model
from edgeroberta.runtime.outputs_runtime import OutputsRuntime
from edgeroberta.runtime.session import Logits, Session
from edgeroberta.tasks import MaskPrediction, Outputs, Prediction, Problem, SpanPrediction, Task, Unit
from edgeroberta.tasks.outputs import Indices

if TYPE_CHECKING:
    from edgeroberta.runtime.manifest import Manifest


class Runtime(OutputsRuntime):
    """A bundle, loaded and ready to answer; safe to use from several threads at once.

    ::

        with Runtime.open("out/") as runtime:
            runtime("great film").label

    Attributes:
        task: What the outputs mean.
        max_length: Longest input in tokens; what happens to longer ones is said when it is opened.
        pad_token_id: Id of the padding token, which no text may hold.
        engine: Name of the engine in use; of a cascade on several, those of all tiers, with commas.
        engine_version: Its version.
        manifest: The bundle's manifest; None for a fake.
        tiers: Names of the models of a cascade, in the order in which they are asked; empty where there is
            one model.
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
        limits = tokenids.InputLimits(tokenizer.max_length, pad_token_id, vocab_size)
        self._take(Model(session, task, limits, max_batch=max_batch), tokenizer, manifest)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        engine: str | Sequence[str] | None = None,
        tier: str | None = None,
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
            engine: Engine to run on, or one for each tier of a cascade, the first tier's first, as a list or
                with commas; when None, what ``edgeroberta build`` or ``bench`` found best on this device,
                else the first of the bundle's that is installed.
            tier: Name of the tier of a cascade that is to answer alone; all of them when None.
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
                there is no such tier, aggregation or way with long texts.
        """
        # Imported here, since a program that starts with a fake, or not at all, need not wait for it.
        from edgeroberta.runtime import opening

        answers = opening.AnswerOptions(top_k, no_answer, max_answer_tokens)
        options = opening.OpeningOptions(
            engine, tier, threads, max_batch, aggregation, long_text, stride, answers, engine_cache
        )
        parts = opening.open_parts(Path(path), options)
        return cls._of(parts.model, parts.tokenizer, manifest=parts.facts, cascade=parts.cascade)

    @classmethod
    def fake(
        cls,
        labels: Sequence[str] = ("negative", "positive"),
        answers: Mapping[Input, Any] | None = None,
        *,
        problem: Problem = Problem.SINGLE_LABEL,
        pair: bool = False,
        tiers: Mapping[str, Collection[Input]] | None = None,
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
            tiers: Of a cascade, name of each tier to the inputs that it is sure of, in the order in which
                they are asked; the last one answers all others.

        Returns:
            The runtime.

        Raises:
            UsageError: An answer is none of the task's, or there is but one tier.
        """
        from edgeroberta.runtime import fake

        parts = fake.parts(Problem(problem), tuple(labels), answers or {}, pair=pair)
        model = parts.model
        cascade = None if tiers is None else fake.cascade(parts, model, tiers)
        return cls._of(model, parts.tokenizer, cascade=cascade)

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
            prompt: Of an embedding model, name of what is put in front of texts, one of ``prompts``; of a
                pair, a name for each text. None for the model's default, ``""`` for nothing.

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
            asking.check(self.task, inputs)
            encoding: Encoding = self._tokenizer.encode_one(inputs, **self._settings(prompt))
            for one in (encoding, *encoding.rest):
                tokenids.refuse(one.ids, self.pad_token_id)
            if self._unit is Unit.MASK:
                self._require_masks([encoding], named=False)
            if self._cascade is not None:
                said = self._cascade.answer(inputs, encoding, places=self._located)
                return self._read(*said[:3], inputs, task, said.tier)
            if not encoding.rest:
                found = self._model.run_one(encoding.ids)
                return self._read(found, encoding.places, encoding, inputs, task)
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
        """Make what a user reads of inputs, their encodings, and what ``run`` gave for these."""
        task, cascade, tiers = task or self.task, self._cascade, outputs.tiers
        found = []
        for row, (encoding, item) in enumerate(zip(encodings, inputs, strict=True)):
            name = None
            if cascade is not None and tiers is not None:
                name = cascade.names[tiers[row]]
                encoding = cascade.encoding(encoding, int(tiers[row])) or encoding
            found.append(self._read(*outputs.part(row), encoding, item, task, name))
        return found

    def _read(
        self,
        values: Logits,
        places: Indices | None,
        encoding: Encoding,
        item: Input,
        task: Task,
        tier: str | None = None,
    ) -> Prediction:
        """Make the prediction of one input from its outputs, float32 [units, labels], and their places."""
        found = task.kind.interpret(task, values, places, item, truncated=encoding.truncated)
        if isinstance(found, MaskPrediction):
            found = filling.written(found, task, encoding, places, self._tokenizer)
        windows = 1 if task.apart else 1 + len(encoding.rest)
        return replace(found, windows=windows, tier=tier) if windows > 1 or tier is not None else found
