"""Folders of sentence-transformers: which modules stand behind the encoder, read and written.

What a module computes is decided by files that transformers does not read. Each is read here in full, and
what is not known is refused: an embedding that lacks a step looks like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta.errors import BundleError, CheckpointError, shown
from edgeroberta.roberta.config import load_value
from edgeroberta.roberta.pooling_config import read_pooling
from edgeroberta.runtime import prompts
from edgeroberta.storage.artifact import write_json
from edgeroberta.storage.files import CONFIG, MODULES_FILE, PROMPTS_FILE
from edgeroberta.tasks import SentenceEmbedding
from edgeroberta.tasks.pooling import checked_similarity

POOLING_FILE = f"1_Pooling/{CONFIG}"
#: What says how texts are read, under the names that the package has given it.
TRANSFORMER_FILES = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
CODE = "checkpoint.sentence-transformers"

_PACKAGE = "sentence_transformers."
#: Fields of a Transformer's file, and the values that leave it an encoder of plain texts.
_PLAIN: Mapping[str, tuple[Any, ...]] = {
    "transformer_task": ("feature-extraction",),
    "module_output_name": ("token_embeddings",),
    "modality_config": ({"text": {"method": "forward", "method_output_name": "last_hidden_state"}},),
    **dict.fromkeys(
        ("processing_kwargs", "model_args", "model_kwargs", "tokenizer_args", "processor_kwargs"), ({},)
    ),
    **dict.fromkeys(("config_args", "config_kwargs"), ({},)),
    "tokenizer_name_or_path": (),
    "unpad_inputs": (True, False),
}


@dataclass(frozen=True)
class SentenceTransformer:
    """What a folder says of an embedding model beside its encoder."""

    embedding: SentenceEmbedding
    dimensions: int  # of the pooled states
    pooling: str = "1_Pooling"  # folder of the pooling's file
    encoder: str = ""  # folder of the encoder below this one; empty where it is this one
    max_length: int | None = None  # tokens at which texts are cut; None where the tokenizer says
    lowercase: bool = False  # whether letters are made small before anything else

    @property
    def files(self) -> tuple[str, ...]:
        """Files beside config and tokenizer that decide what an embedding is."""
        return MODULES_FILE, PROMPTS_FILE, *TRANSFORMER_FILES, f"{self.pooling}/{CONFIG}"


def read(folder: Path) -> SentenceTransformer | None:
    """Read a folder; None where it is none of sentence-transformers, or one of its cross-encoders.

    Raises CheckpointError: a file is missing or damaged, or a module or setting is not known here.
    """
    file = folder / MODULES_FILE
    if not file.is_file():
        return None
    settings = _settings(folder)
    kind = settings.get("model_type", "SentenceTransformer")
    if kind == "CrossEncoder":
        return None
    if kind != "SentenceTransformer":
        raise _error(f"a {shown(kind)}, which makes no embeddings of sentences", folder / PROMPTS_FILE)
    encoder, pooling, normalize = _modules(file)
    front = any(_prompts(folder).texts.values())
    how, dimensions = read_pooling(folder / pooling / CONFIG, prompts=front)
    similarity = checked_similarity(
        settings.get("similarity_fn_name"), where=f"{folder / PROMPTS_FILE}: similarity_fn_name"
    )
    if settings.get("truncate_dim") is not None:
        raise _error(
            f"truncate_dim is {shown(settings['truncate_dim'])}: embeddings are cut to fewer dimensions",
            folder / PROMPTS_FILE,
            hint="take it out to have all of them; they can be cut where they are used",
        )
    length, lowercase = _reading(folder / encoder)
    return SentenceTransformer(
        SentenceEmbedding(how, normalize, similarity), dimensions, pooling, encoder, length, lowercase
    )


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / PROMPTS_FILE
    return _object(file) if file.is_file() else {}


def _prompts(folder: Path) -> prompts.Prompts:
    try:
        return prompts.read(folder)
    except BundleError as error:
        raise CheckpointError(error.what, where=error.where, hint=error.hint, code=CODE) from error


def _modules(file: Path) -> tuple[str, str, bool]:
    """Return the folders of encoder and pooling, and whether embeddings are normalized."""
    listed = load_value(file)
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed) or not listed:
        raise _error("must be a list of modules", file)
    names = [_name(each, file) for each in listed]
    paths = [_path(each, file) for each in listed]
    if names[0] != "Transformer":
        raise _error(f"begins with a module {names[0]!r}, not with a Transformer", file)
    for name in names[1:]:
        if name not in ("Pooling", "Normalize"):
            what = f"there is a module {name!r}"
            if name == "Dense":
                what = "there is a module 'Dense': a layer of its own behind the pooling"
            raise _error(what, file)
    if names.count("Pooling") != 1 or names[1] != "Pooling":
        raise _error("the Transformer must be followed by one Pooling", file)
    return paths[0], paths[1], "Normalize" in names


def _name(module: Mapping[str, Any], file: Path) -> str:
    kind = module.get("type")
    if not isinstance(kind, str):
        raise _error(f"a module's type is {shown(kind)}, not a name", file)
    if not kind.startswith(_PACKAGE):
        raise _error(
            f"the module {shown(kind)} is code of the model's own, which is not run here",
            file,
            hint="name a model of sentence-transformers' own modules",
        )
    return kind.rpartition(".")[2]


def _path(module: Mapping[str, Any], file: Path) -> str:
    path = module.get("path", "")
    if not isinstance(path, str) or Path(path).is_absolute() or ".." in Path(path).parts:
        raise _error(f"a module's path is {shown(path)}, which is no folder in this one", file)
    return path


def _reading(folder: Path) -> tuple[int | None, bool]:
    """Return the length at which texts are cut, and whether letters are made small."""
    file = next((folder / name for name in TRANSFORMER_FILES if (folder / name).is_file()), None)
    if file is None:
        return None, False
    fields = _object(file)
    length, lowercase = fields.pop("max_seq_length", None), fields.pop("do_lower_case", None) or False
    if length is not None and (not isinstance(length, int) or isinstance(length, bool) or length < 2):
        raise _error(f"max_seq_length is {shown(length)}, not a whole number above 1", file)
    if not isinstance(lowercase, bool):
        raise _error(f"do_lower_case is {shown(lowercase)}, not true or false", file)
    for name, value in fields.items():
        if name not in _PLAIN:
            raise _error(f"has an unknown field {shown(name)}", file)
        if value is not None and value not in _PLAIN[name]:
            raise _error(f"{name} is {shown(value)}, which is not known here", file)
    return length, lowercase


def _object(file: Path) -> dict[str, Any]:
    found = load_value(file)
    if not isinstance(found, dict):
        raise _error("not a JSON object", file)
    return found


def _error(what: str, file: Path, *, hint: str | None = None) -> CheckpointError:
    return CheckpointError(
        what,
        where=str(file),
        hint=hint or "only Transformer, Pooling and Normalize can be compressed",
        code=CODE,
    )


def write(
    folder: Path, how: SentenceEmbedding, *, dimensions: int, max_length: int, source: Path | None = None
) -> None:
    """Write what makes a folder with config and tokenizer one that sentence-transformers opens.

    In the form that its versions 2 to 5 read. ``source``: a folder whose prompts are kept.
    """
    kinds = ["Transformer", "Pooling", *(["Normalize"] if how.normalize else [])]
    modules = [
        {
            "idx": number,
            "name": str(number),
            "path": f"{number}_{kind}" if number else "",
            "type": f"{_PACKAGE}models.{kind}",
        }
        for number, kind in enumerate(kinds)
    ]
    write_json(folder / MODULES_FILE, modules)
    (folder / POOLING_FILE).parent.mkdir(exist_ok=True)
    others = ("mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    pooling = {
        "word_embedding_dimension": dimensions,
        "pooling_mode_cls_token": how.pooling == "cls",
        "pooling_mode_mean_tokens": how.pooling == "mean",
        "pooling_mode_max_tokens": how.pooling == "max",
        **{f"pooling_mode_{name}": False for name in others},
    }
    write_json(folder / POOLING_FILE, pooling)
    write_json(folder / TRANSFORMER_FILES[0], {"max_seq_length": max_length, "do_lower_case": False})
    kept = prompts.Prompts() if source is None else prompts.read(source)
    settings = {
        "prompts": dict(kept.texts),
        "default_prompt_name": kept.default,
        "similarity_fn_name": how.similarity or "cosine",
    }
    write_json(folder / PROMPTS_FILE, settings)
