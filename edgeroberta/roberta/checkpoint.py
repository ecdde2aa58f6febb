"""A checkpoint: a Hugging Face model folder of which each file is read once."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from edgeroberta.errors import BundleError, CheckpointError, EdgeRobertaError
from edgeroberta.roberta import families, files, heads, sentence_transformers, tensorfile
from edgeroberta.roberta.config import EncoderConfig, load_config, load_object
from edgeroberta.roberta.families import FAMILIES
from edgeroberta.roberta.fields import DOWNLOAD
from edgeroberta.roberta.heads import Head
from edgeroberta.roberta.sentence_transformers import SentenceTransformer
from edgeroberta.roberta.tensorfile import TensorEntry
from edgeroberta.runtime import mask_token, tokenizerfiles
from edgeroberta.storage.artifact import digest_file, digest_value, write_json
from edgeroberta.storage.files import CONFIG, TOKENIZER, TOKENIZER_CONFIG
from edgeroberta.tasks import Problem, SentenceEmbedding, Task, pooling


@dataclass(frozen=True)
class Checkpoint:
    """A model folder with its config, tensor headers and digest, each read when it is first asked for.

    It goes through the pipeline in place of the path. Nothing here imports torch. The folder must stay as
    it is: what was read is not read again. Every property raises CheckpointError where its file is missing or
    damaged.
    """

    folder: Path

    @classmethod
    def of(cls, model: Checkpoint | Path) -> Checkpoint:
        """Return a checkpoint as it is, and a folder as one that is yet to be read."""
        return model if isinstance(model, cls) else cls(Path(model))  # type: ignore[arg-type]

    def __str__(self) -> str:
        return str(self.folder)

    def absolute(self) -> Checkpoint:
        """Return it under a name that holds in any folder, with all that was read."""
        found = Checkpoint(self.folder.resolve())
        vars(found).update({name: value for name, value in vars(self).items() if name != "folder"})
        return found

    @property
    def config_file(self) -> Path:
        """Where ``config.json`` is, for error messages."""
        return self.folder / CONFIG

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """Content of ``config.json``, of a model of any family.

        What a sentence-transformers folder says of embeddings is in it, under ``sentence_embedding``.
        """
        fields = load_config(self.folder)
        return fields if self.modules is None else self._with_modules(fields, self.modules)

    @cached_property
    def modules(self) -> SentenceTransformer | None:
        """What a sentence-transformers folder says beside ``config.json``; None of any other."""
        return sentence_transformers.read(self.folder)

    def _with_modules(self, fields: dict[str, Any], modules: SentenceTransformer) -> dict[str, Any]:
        where, wanted = str(self.config_file), modules.embedding.to_json()
        stated = pooling.stated(fields, where=where)
        if stated is not None and stated != modules.embedding:
            raise CheckpointError(
                f"{pooling.FIELD} is {stated.to_json()}, and the files of sentence-transformers say {wanted}",
                where=where,
                hint=f"put the one right that is wrong, or take {pooling.FIELD} out of config.json",
                code="checkpoint.sentence-transformers",
            )
        if isinstance(width := fields.get("hidden_size"), int) and width != modules.dimensions:
            raise CheckpointError(
                f"states of {modules.dimensions} dimensions are pooled, and the encoder's have {width}",
                where=str(self),
                hint="config.json and the pooling are of different models; download them together",
                code="checkpoint.sentence-transformers",
            )
        return {**fields, pooling.FIELD: wanted}

    @cached_property
    def config(self) -> EncoderConfig:
        """The encoder's dimensions; refused where the model is not of this family."""
        return EncoderConfig.from_dict(self.fields, where=str(self.config_file), task=self.task)

    @property
    def of_family(self) -> bool:
        """Whether the model is of a family that can be compressed."""
        return self.fields.get("model_type") in FAMILIES

    @cached_property
    def task(self) -> Task:
        """Kind of task and labels by the folder alone; only the data can tell whether inputs are pairs."""
        task = Task.from_config(self.fields)
        return replace(task, mask_id=self._mask_id) if task.problem is Problem.MASKED else task

    @property
    def _mask_id(self) -> int | None:
        """Id of the mask token; None where the tokenizer has none, or none that is readable here."""
        try:
            return mask_token.find(self.folder).id if (self.folder / TOKENIZER).is_file() else None
        except EdgeRobertaError:
            return None  # a base model is not asked for masked words

    @cached_property
    def weight_files(self) -> tuple[Path, ...]:
        """The safetensors files; none where there are none."""
        return tensorfile.weight_files(self.folder)

    @cached_property
    def tensors(self) -> Mapping[str, TensorEntry]:
        """Where each tensor lies, by the headers of all weight files."""
        return tensorfile.read_headers(self.weight_files)

    def tensor(self, name: str) -> TensorEntry:
        """Find a tensor by its name without the encoder's prefix."""
        found = next((self.tensors[key] for key in families.named(name) if key in self.tensors), None)
        if found is None:
            raise CheckpointError(f"the weights lack {name}", where=str(self), hint=DOWNLOAD)
        return found

    @cached_property
    def separator_id(self) -> int | None:
        """Id of the token behind which the tokens of a pair are of type 1; None where all are of type 0.

        The tokenizer's files say so: the template of a pair, and whether the model is given types at all.
        """
        if not FAMILIES[self.config.family].token_types or self.config.type_vocab_size < 2:
            return None
        try:
            return tokenizerfiles.separator(self.folder)
        except BundleError as error:
            raise CheckpointError(error.what, where=error.where, hint=error.hint) from error

    @property
    def head(self) -> Head:
        """The head that its config tells of; of a base model, that of its default task."""
        return heads.of_task(self.task, str(self.fields.get("model_type")))

    @property
    def has_head(self) -> bool:
        """Whether it is fine-tuned for a task; else a base model."""
        names = heads.tensors(self.head)
        own = [name for name in names if not name.startswith(families.PREFIXES)]
        return not names or any(name in self.tensors for name in own)

    def require_head(self) -> None:
        """Refuse a base model where a fine-tuned one is needed."""
        if not self.has_head:
            raise CheckpointError(
                "a base model without a classification head; there is nothing to compress yet",
                where=str(self),
                hint="fine-tune it first: put a finetune stage at the start of the recipe",
            )

    @property
    def parameters(self) -> int:
        """Number of parameters: floating-point elements over all weight files."""
        return sum(entry.elements for entry in self.tensors.values() if entry.is_float)

    @property
    def weight_bytes(self) -> int:
        """Bytes over all weight files."""
        return sum(file.stat().st_size for file in self.weight_files)

    @cached_property
    def digest(self) -> str:
        """One sha256 (hex) over what decides the model's answers: weights, tokenizer and config.

        Other files (README, ONNX exports, an optimizer's state) differ between a download and a saved copy,
        and can be larger than the model.
        """
        found = [self.folder / name for name in (CONFIG, TOKENIZER, TOKENIZER_CONFIG)]
        if not found[1].is_file():  # a teacher of another family, with a tokenizer of other files
            found += [self.folder / name for name in (*files.TOKENIZERS, *files.OTHER_TOKENIZERS)]
        found += self.weight_files
        digests = {file.name: digest_file(file) for file in found if file.is_file()}
        if self.modules is not None or self._has_prompts:
            names = (sentence_transformers.PROMPTS_FILE,) if self.modules is None else self.modules.files
            more = {name: self.folder / name for name in names}
            digests |= {name: digest_file(file) for name, file in more.items() if file.is_file()}
        return digest_value(digests)

    @property
    def _has_prompts(self) -> bool:
        """Whether texts get a prompt in front, in a folder whose config alone tells of embeddings."""
        there = (self.folder / sentence_transformers.PROMPTS_FILE).is_file()
        return there and self.fields.get(pooling.FIELD) is not None

    @cached_property
    def max_length(self) -> int:
        """Number of tokens at which inputs are cut, special tokens included.

        It is the limit that ``tokenizer_config.json`` states (``model_max_length``), as transformers has it,
        and at most what the position table takes: RoBERTa counts positions from ``pad_token_id + 1``, so a
        table of 514 rows takes 512 tokens; BERT counts from 0. Of a sentence-transformers folder it is
        ``max_seq_length``, where that is stated.
        """
        positions, file = self.config.max_length, self.folder / TOKENIZER_CONFIG
        if self.modules is not None and self.modules.max_length is not None:
            return min(positions, self.modules.max_length)
        stated = load_object(file).get("model_max_length") if file.is_file() else None
        # transformers writes 1e30 where the tokenizer knows no limit.
        return min(positions, int(stated)) if isinstance(stated, (int, float)) and stated >= 2 else positions

    def copy_files(self, destination: Path, *, max_length: int | None = None) -> None:
        """Copy config and tokenizer files, as Hugging Face writes them, beside a graph.

        ``max_length``: tokens at which texts are cut there; None for the model's own limit.
        """
        for name in (CONFIG, TOKENIZER):
            if not (self.folder / name).is_file():
                raise CheckpointError(f"the model comes without its {name}", where=str(self))
        if self.modules is None:
            shutil.copyfile(self.config_file, destination / CONFIG)
        else:
            write_json(destination / CONFIG, dict(self.fields))
        self.copy_tokenizer(destination)
        self.copy_modules(destination, self.task.sentence_embedding, max_length=max_length)

    def copy_modules(
        self, destination: Path, how: SentenceEmbedding | None, *, max_length: int | None = None
    ) -> None:
        """Write the files of sentence-transformers into a folder with config and tokenizer; none for None.

        Prompts are kept. ``how``: how embeddings are made there.
        """
        if how is not None:
            length = min(self.max_length, max_length or self.max_length)
            sentence_transformers.write(
                destination,
                how,
                dimensions=load_config(destination)["hidden_size"],
                max_length=length,
                source=self.folder,
            )

    def copy_tokenizer(self, destination: Path) -> None:
        """Copy the files of the fast tokenizer into another folder, those that are there."""
        for name in files.FAST_TOKENIZER:
            if (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, destination / name)
