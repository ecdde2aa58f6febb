"""A model that Optimum or another program exported, checked against the bundle that it is measured beside.

All checks read JSON, the tokenizer and the names in the graph, before any engine is started: answers that
cannot be compared are refused, and what merely differs is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeroberta.errors import BundleError, CheckpointError, shown
from edgeroberta.measure.protocol import Inputs
from edgeroberta.roberta import exported_graphs, sentence_transformers
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.config import load_object
from edgeroberta.runtime import mask_token, tokenizerfiles
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.runtime.token_numbers import TokenNumbers
from edgeroberta.storage.files import CONFIG, TOKENIZER, TOKENIZER_CONFIG
from edgeroberta.tasks import KINDS, Problem, Task, config

#: What graphs may be given, the first two always.
IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"
#: Outputs that have an embedding, or the states of tokens that it is made of, the best first.
EMBEDDINGS, STATES = "sentence_embedding", ("last_hidden_state", "token_embeddings")
#: Outputs that have what any other head gives.
LOGITS, SIDES = ("logits",), ("start_logits", "end_logits")
#: Texts that are tokenized twice to tell how much the tokenizers differ.
_COMPARED = 200


@dataclass(frozen=True)
class ExportedModel:
    """A graph of another program, and how it is read as the bundle is."""

    graph: Path
    folder: Path  # with ``config.json`` and the tokenizer
    engine: str  # what runs it: ``onnxruntime`` or ``openvino``
    task: Task  # the bundle's, asked of this model
    inputs: tuple[str, ...]  # what the graph is given
    outputs: tuple[str, ...]  # the outputs that are read
    order: tuple[int, ...]  # for each label of the bundle, its number here
    max_length: int  # longest input in tokens, special tokens included
    pad_token_id: int
    separator_id: int | None  # id of the token behind which types are 1; None where all are 0

    @property
    def name(self) -> str:
        """What its row is called: the folder's name and the graph in it."""
        # Not the place that a link leads to: in the cache of the Hub every file is one.
        return f"{self.folder.resolve().name}/{self.graph.relative_to(self.folder).as_posix()}"

    @property
    def loaded(self) -> tuple[Path, ...]:
        """The files that are loaded to answer texts: the graph, weights beside it, and the tokenizer."""
        weights = [self.graph.with_suffix(".bin")]
        if self.graph.suffix == ".onnx":  # as Optimum and as torch call what a large graph has beside it
            weights = [self.graph.with_name(f"{self.graph.name}{end}") for end in ("_data", ".data")]
        return (self.graph, *(file for file in weights if file.is_file()), self.folder / TOKENIZER)

    @property
    def files(self) -> Mapping[str, Path]:
        """Path below the folder to each file that decides what it answers."""
        found = {*self.loaded, *self.folder.glob("*.json"), *self.folder.glob(f"*_Pooling/{CONFIG}")}
        return {file.relative_to(self.folder).as_posix(): file for file in sorted(found)}


def read(place: Path, facts: Manifest, *, where: str | None = None) -> ExportedModel:
    """Read a model beside a bundle.

    ``place``: a folder with one graph, or a graph. ``where``: what errors call it.
    Raises CheckpointError: there is no such graph, or it answers something else than the bundle.
    """
    where = where or str(place)
    graph, folder = exported_graphs.choose(place, where=where)
    model = Checkpoint(folder)
    if not (folder / TOKENIZER).is_file():
        raise CheckpointError(
            f"no {TOKENIZER} beside the graph, so no text can be read for it",
            where=where,
            hint=f"AutoTokenizer.from_pretrained(MODEL).save_pretrained({str(folder)!r})",
            code="checkpoint.graph-missing",
        )
    reading = _Reading(graph, model, facts, where)
    given, made = exported_graphs.ports(graph)
    return ExportedModel(
        graph=graph,
        folder=folder,
        engine=exported_graphs.ENGINES[graph.suffix],
        task=reading.task(),
        inputs=reading.inputs(given),
        outputs=reading.outputs(made),
        order=reading.order(),
        max_length=reading.max_length(),
        pad_token_id=reading.pad_token_id(),
        separator_id=reading.separator_id() if TYPES in given else None,
    )


def differences(model: ExportedModel, facts: Manifest, inputs: Inputs) -> tuple[str, ...]:
    """Say what differs from the bundle and can still be compared, in sentences."""
    found = []
    if model.max_length != facts.max_length:
        found.append(f"reads {model.max_length:,} tokens, the bundle {facts.max_length:,}")
    if model.order != tuple(range(len(model.order))):
        found.append("has the labels in another order, which was turned into the bundle's")
    texts = [each for item in inputs[:_COMPARED] for each in ([item] if isinstance(item, str) else item)]
    ours, theirs = (tokenizerfiles.read(folder)[0] for folder in (facts.folder, model.folder))
    pairs = zip(ours.encode_batch(texts), theirs.encode_batch(texts), strict=True)
    if count := sum(mine.tokens != other.tokens for mine, other in pairs):
        found.append(f"makes other tokens of {count:,} of {len(texts):,} texts")
    return tuple(f"{model.name} {each}." for each in found)


@dataclass(frozen=True)
class _Reading:
    """A graph, the folder around it, and the bundle that it is held against."""

    graph: Path
    model: Checkpoint
    facts: Manifest
    where: str

    @property
    def fields(self) -> Mapping[str, Any]:
        return self.model.fields

    def refused(self, what: str, hint: str) -> CheckpointError:
        return CheckpointError(what, where=self.where, hint=hint, code="checkpoint.export-mismatch")

    def inputs(self, given: Sequence[str]) -> tuple[str, ...]:
        """Return what the graph is given; refuse one that wants more, or less, than a text."""
        if missing := [name for name in (IDS, MASK) if name not in given]:
            raise self.refused(
                f"the graph does not take {missing[0]}" if given else "no readable graph",
                "export it again with optimum-cli",
            )
        if more := sorted(set(given) - {IDS, MASK, TYPES}):
            raise self.refused(
                f"the graph wants {', '.join(more)}, which are not made of a text here",
                "export an encoder, with input_ids, attention_mask and, where it has any, token_type_ids",
            )
        return tuple(given)

    def outputs(self, made: Sequence[str]) -> tuple[str, ...]:
        """Return the outputs that are read; refuse a graph without them."""
        wanted: tuple[tuple[str, ...], ...] = (LOGITS,)
        if self.facts.task.problem is Problem.EMBEDDING:
            wanted = ((EMBEDDINGS,), *((name,) for name in STATES))
        elif self.facts.task.problem is Problem.SPANS:
            wanted = (SIDES,)
        for names in wanted:
            if all(name in made for name in names):
                return names
        task = self.facts.task.optimum_task
        raise self.refused(
            f"the graph gives {', '.join(made) or 'nothing'}, and {task} is read from "
            f"{' or '.join(' and '.join(names) for names in wanted)}",
            f"optimum-cli export onnx --task {'feature-extraction' if self.facts.task.apart else task} …",
        )

    def task(self) -> Task:
        """Return the bundle's task, with this model's mask token."""
        task = self.facts.task
        if task.problem is Problem.EMBEDDING:
            self._check_embedding(task)
        elif (kind := self._kind()) != task.optimum_task:
            raise self.refused(
                f"a model for {kind}, and the bundle is one for {task.optimum_task}",
                "name a model that was fine-tuned for the same task",
            )
        if task.problem is not Problem.MASKED:
            return task
        self._check_vocabulary()
        return replace(task, mask_id=mask_token.find(self.model.folder).id)

    def _kind(self) -> str:
        """Return the name of the task that its class is for."""
        stated, names = config.by_class(self.fields), self.fields.get("architectures") or ()
        if stated is not None:
            return KINDS[stated].optimum_task
        other = next((each for each in names if not str(each).endswith("ForSequenceClassification")), None)
        return KINDS[Problem.SINGLE_LABEL].optimum_task if other is None else shown(other)

    def _check_embedding(self, task: Task) -> None:
        width = self.fields.get("hidden_size")
        if width != task.dimensions:
            raise self.refused(
                f"embeddings of {width} numbers, the bundle's have {task.dimensions}",
                "name a model with embeddings of the same length",
            )
        modules = sentence_transformers.read(self.model.folder)
        stated = None if modules is None else (modules.embedding.pooling, modules.embedding.normalize)
        if stated not in (None, (task.pooling, task.normalize)):
            raise self.refused(
                f"its embeddings are made by {stated}, the bundle's by {(task.pooling, task.normalize)}",
                "name a model whose embeddings are made in the same way",
            )

    def _check_vocabulary(self) -> None:
        """Refuse a model whose ids of tokens, which are its answers, are not those of the bundle."""
        numbers = TokenNumbers.read(self.facts.folder)
        ours, theirs = (
            tokenizerfiles.read(folder)[0].get_vocab() for folder in (self.facts.folder, self.model.folder)
        )
        for token, number in ours.items():
            original = number if numbers is None else int(numbers.originals[number])
            if theirs.get(token) != original:
                raise self.refused(
                    f"{shown(token)} is token {theirs.get(token)} here and {original} for the bundle",
                    "name a model with the vocabulary of the bundle's baseline",
                )

    def order(self) -> tuple[int, ...]:
        """Return the number here of each of the bundle's labels; refuse others than these."""
        task = self.facts.task
        if task.problem in (Problem.SPANS, Problem.MASKED, Problem.EMBEDDING):
            return ()
        stated = self.fields.get("problem_type")
        if stated is not None and task.problem is not Problem.TOKENS and stated != task.problem.value:
            raise self.refused(
                f"its problem_type is {shown(stated)}, the bundle's {task.problem.value}",
                "name a model that was fine-tuned for the same task",
            )
        found = config.labels(self.fields, where=f"{self.where}/{CONFIG}")
        if task.problem is Problem.REGRESSION and len(found) == 1:
            return (0,)
        if set(found) != set(task.labels) or len(found) != len(task.labels):
            raise self.refused(
                f"its labels are {_listed(found)}, the bundle's {_listed(task.labels)}",
                f"if they mean the same, give them the bundle's names in id2label of its {CONFIG}",
            )
        return tuple(found.index(label) for label in task.labels)

    def max_length(self) -> int:
        """Return the tokens at which texts are cut."""
        if self.model.of_family:
            return self.model.max_length
        file = self.model.folder / TOKENIZER_CONFIG
        stated = load_object(file).get("model_max_length") if file.is_file() else None
        known = (self.fields.get("max_position_embeddings"), stated)
        lengths = [int(each) for each in known if isinstance(each, int | float) and 2 <= each < 1e9]
        return min([*lengths, self.facts.max_length])

    def pad_token_id(self) -> int:
        """Return the id that fills up an input."""
        stated = self.fields.get("pad_token_id")
        if not isinstance(stated, int) or isinstance(stated, bool) or stated < 0:
            raise self.refused(f"pad_token_id is {shown(stated)}", f"write its number into {CONFIG}")
        return stated

    def separator_id(self) -> int | None:
        """Return the id of the token behind which a pair's tokens are of type 1."""
        try:
            return tokenizerfiles.separator(self.model.folder) if self.facts.task.joins else None
        except BundleError as error:
            raise self.refused(error.what, "export the model with its own tokenizer") from error


def _listed(labels: Sequence[str]) -> str:
    told = ", ".join(map(shown, labels[:5]))
    return told if len(labels) <= 5 else f"{told} and {len(labels) - 5} more"
