"""Teachers: the baseline, or any other Hugging Face encoder with the task's labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta.context import Context
from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import heads, hftokenizer, loading, resolving, token_types
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.families import FAMILIES
from edgeroberta.roberta.heads import Head
from edgeroberta.runtime.encoding import Encoding, WordMarks
from edgeroberta.runtime.questions import ContextCutter
from edgeroberta.storage.artifact import digest_value
from edgeroberta.storage.cache import cache_dir
from edgeroberta.storage.files import TOKENIZER
from edgeroberta.tasks import Problem, Task
from edgeroberta.training.batching import Encoder

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

#: transformers writes 1e30 for a tokenizer that knows no limit.
_NO_LIMIT = 1_000_000
#: Tensors that no classifier uses: constants, and the heads that encoders are pretrained with.
_HARMLESS = re.compile(
    r"(^|\.)(position_ids|token_type_ids)$|^(cls|lm_head|(lm|mask|generator|discriminator)_predictions)\."
)


@dataclass(frozen=True, eq=False)
class Teacher:
    """A model that answers, with the tokenizer it reads with."""

    source: Checkpoint  # where it comes from
    model: PreTrainedModel  # the classifier; its logits are in the order of the task's labels
    max_length: int  # tokens that it takes, special tokens included
    family: bool  # True where its architecture is the student's, whose inside can be compared
    tokenizer: Any = None  # its own tokenizer where that is none of ours, else None

    def encoder(self, max_length: int) -> Encoder:
        """Return what tokenizes texts, or pairs of texts, as this model reads them."""
        tokenizer = self.tokenizer
        if tokenizer is None:
            return Encoder.open(self.source, max_length=max_length)

        def encode(inputs: Any) -> Any:
            pairs = isinstance(inputs[0], tuple)
            columns = [list(column) for column in zip(*inputs, strict=True)] if pairs else [list(inputs)]
            return tokenizer(*columns, truncation=True, max_length=max_length)["input_ids"]

        def locate(inputs: Any) -> Any:
            if isinstance(inputs[0], tuple):
                return self._windows(inputs, max_length)
            found = tokenizer(
                list(inputs),
                truncation=True,
                max_length=max_length,
                return_offsets_mapping=True,
                return_special_tokens_mask=True,
            )
            ids, marks = found["input_ids"], WordMarks.of(tokenizer.backend_tokenizer)
            where = map(marks.places, inputs, found["offset_mapping"], found["special_tokens_mask"], ids)
            return [Encoding(np.array(one, np.int64), False, at) for one, at in zip(ids, where, strict=True)]

        return Encoder(
            encode,
            tokenizer.pad_token_id,
            digest_value([self.source.digest, max_length]),
            locate if tokenizer.is_fast else None,
            max_length,
        )

    def _windows(self, items: Any, max_length: int) -> list[Encoding]:
        """Tokenize questions with their contexts as its tokenizer does, and cut them as ours are."""
        special = self.tokenizer.num_special_tokens_to_add(pair=True)
        cutter = ContextCutter.usual(max_length, special)
        questions, contexts = (list(column) for column in zip(*items, strict=True))
        found = self.tokenizer(questions, contexts, truncation=False, verbose=False).encodings
        return [cutter.cut(one, context) for one, context in zip(found, contexts, strict=True)]


def open_teacher(name: str | None, context: Context) -> Teacher:
    """Load the teacher of a run. ``name``: folder or Hub id of any encoder; None for the baseline."""
    if name is None:
        source = context.baseline
        source.require_head()
        model = loading.load_classifier(source, context.task)
        return Teacher(source, model, source.max_length, family=True)
    source = resolving.locate(name, cache=cache_dir())
    order = _order(source, context.task)
    # of embeddings it is the teacher's own way to make them
    task = source.task if context.task.apart else context.task
    model = _load(source, heads.of_task(task, str(source.fields.get("model_type"))))
    if order is not None:
        model.register_forward_hook(_reordering(order))
    family = source.of_family and (source.folder / TOKENIZER).is_file()
    if family:
        limit, tokenizer = source.max_length, None
        token_types.tell(model, source.separator_id if context.task.joins else None)
    else:
        tokenizer = _tokenizer(source)
        limit = _limit(tokenizer, model)
        if context.task.joins:
            _tell_segments(model, tokenizer)
    return Teacher(source, model, limit, family, tokenizer)


def check(name: str, task: Task) -> None:
    """Refuse a teacher that is no model here, or answers other labels than the task's; loads no weights."""
    _order(resolving.locate(name, cache=cache_dir()), task)


def _order(teacher: Checkpoint, ours: Task) -> list[int] | None:
    """Return which of a teacher's outputs stands for each of our labels; None where they are in order."""
    theirs, where, stated = teacher.task, str(teacher.config_file), "problem_type" in teacher.fields
    if theirs.kind.head != ours.kind.head:
        raise CheckpointError(
            f"the teacher was trained for {heads.HEADS[theirs.head].title}, the task is one of"
            f" {heads.HEADS[ours.head].title}",
            where=where,
            hint="name a teacher that was trained on this task",
        )
    if len(theirs.labels) != len(ours.labels) or (stated and theirs.problem is not ours.problem):
        raise CheckpointError(
            f"the teacher answers {len(theirs.labels)} labels ({theirs.problem}), the task has"
            f" {len(ours.labels)} ({ours.problem})",
            where=where,
            hint="name a teacher that was trained on this task",
        )
    if ours.problem is Problem.REGRESSION or ours.apart:
        return None
    if set(theirs.labels) != set(ours.labels):
        raise CheckpointError(
            f"the teacher's labels are {', '.join(theirs.labels)}, the task's {', '.join(ours.labels)}",
            where=where,
            hint="where they mean the same, give id2label and label2id of this file the task's names",
        )
    order = [theirs.labels.index(label) for label in ours.labels]
    return None if order == list(range(len(order))) else order


def _reordering(order: list[int]) -> Any:
    """Make a hook that puts a model's logits into another order."""

    def reorder(module: object, arguments: object, output: Any) -> Any:
        output.logits = output.logits[..., order]
        return output

    return reorder


def _load(source: Checkpoint, head: Head) -> PreTrainedModel:
    """Load any classifier in float32; refuse one of which a tensor would be left out or random."""
    import torch

    if source.of_family:
        with loading.silence_transformers():
            return loading.load(source, loading.transformers_config(source), dtype=torch.float32)
    try:
        with loading.silence_transformers():
            loaded: Any = heads.auto_class(head).from_pretrained(
                str(source),
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            model, report = loaded
    except Exception as error:  # transformers raises many kinds, by the field that is wrong
        raise CheckpointError(
            f"transformers cannot load it as a model of {head.title} ({error})",
            where=str(source),
            hint=f"name an encoder that was fine-tuned for {head.title}",
        ) from error
    for keys, what in (
        ("missing_keys", "the weights lack {}; it would be a random number"),
        ("unexpected_keys", "transformers leaves {} out; it would answer otherwise than it was trained"),
    ):
        wrong = sorted(name for name in report[keys] if not _HARMLESS.search(name))
        if wrong:
            raise CheckpointError(
                what.format(wrong[0]),
                where=str(source),
                hint=f"name an encoder that was fine-tuned for {head.title}, saved by transformers",
            )
    return model.eval()


def _tokenizer(source: Checkpoint) -> Any:
    """Open a teacher's tokenizer; batches are padded here, on the right, whatever one of ours says."""
    tokenizer = hftokenizer.open_files(source.folder)
    if (tokenizer.padding_side != "right" and not source.of_family) or tokenizer.pad_token_id is None:
        raise CheckpointError(
            "its tokenizer pads on the left (padding_side) or not at all, which BERT's and RoBERTa's do not",
            where=str(source),
            hint="name an encoder: BERT, RoBERTa, DeBERTa, ELECTRA or the like",
        )
    return tokenizer


def _limit(tokenizer: Any, model: PreTrainedModel) -> int:
    """Return how many tokens a model takes: what its tokenizer states, or its position table has."""
    limits = [int(tokenizer.model_max_length)] if tokenizer.model_max_length < _NO_LIMIT else []
    positions = getattr(model.config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        family = FAMILIES.get(model.config.model_type)
        first = model.config.pad_token_id + 1 if family and family.positions_after_padding else 0
        limits.append(positions - first)
    return min(limits, default=512)


def _tell_segments(model: PreTrainedModel, tokenizer: Any) -> None:
    """Give a model that tells the two texts of a pair apart the segment of each token.

    As BERT has it: 0 up to and with the first separator, 1 after it. A tokenizer that has it otherwise
    is refused; one that puts all tokens into segment 0 needs nothing.
    """
    import torch

    sample = tokenizer("first text", "second one")
    wanted = sample.get("token_type_ids")
    if not wanted or not any(wanted):
        return

    def segments(ids: Tensor) -> Tensor:
        return token_types.of(ids, tokenizer.sep_token_id)

    if segments(torch.tensor([sample["input_ids"]]))[0].tolist() != list(wanted):
        raise CheckpointError(
            "its tokenizer numbers the two texts of a pair otherwise than BERT's",
            where=str(tokenizer.name_or_path),
            hint="name a teacher of the BERT, RoBERTa, DeBERTa or ELECTRA kind",
        )

    def add(module: object, arguments: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return arguments, {**named, "token_type_ids": segments(named["input_ids"])}

    model.register_forward_pre_hook(add, with_kwargs=True)
