"""Kinds of inputs: each writes one that is damaged, and says what reads it."""

from __future__ import annotations

import io
import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from edgeroberta.roberta.checkpoint import Checkpoint
from fuzzing.asked import questions
from fuzzing.mutation import BYTES, ODD, Verbatim, damaged, document, dumps
from fuzzing.tagged import tagged

FIXTURES = Path(__file__).parents[1] / "fixtures"
TOKENIZER = FIXTURES / "tokenizer"
RECIPES = Path(__file__).parents[2] / "recipes"
CONFIG: dict[str, Any] = {
    "model_type": "roberta",
    "architectures": ["RobertaForSequenceClassification"],
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 514,
    "vocab_size": 600,
    "type_vocab_size": 1,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "layer_norm_eps": 1e-5,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "id2label": {"0": "negative", "1": "positive"},
    "label2id": {"negative": 0, "positive": 1},
    "problem_type": "single_label_classification",
    "initializer_range": 0.02,
    "use_cache": True,
}
ROWS = [
    (f"the film number {number} is {'fine' if number % 2 else 'dull'}", number % 2) for number in range(24)
]
WORDS = (
    "0", "-1", "1", "2", "4", "0.5", "1e309", "nan", "inf", "-inf", "1e-400", "", " ", "x", "'", "\x00",
    "4ms", "4 parsecs", "12MB", "1e300GB", "-3MB", "٣", "9" * 400, "a" * 300, "a/" * 200, "#1", "#0", "#-1",
    "#" + "9" * 30, "text", "label", "a,b,c", ",", "text,label", "é", "\ud800", "\x1b[31m", "~",
    "~nobody/x", "/dev/null", "/", "..", "int8", "fp32", "cpu", "names", "multi-hot", "recipe.yaml",
    "data.csv", "none/at/all", "owner/name", "-", "--",
)  # fmt: skip
STAGES = (
    "export",
    "quantize",
    "build",
    "verify",
    "bundle",
    "distill",
    "prune",
    "finetune",
    "vocabulary",
    "tokenizer",
    "pretrain",
    "nothing",
)
KEYS = (
    "samples", "layers", "gate", "gate.min_kept", "min_kept", "seed", "epochs", "batch_size", "student",
    "lr", "", "a.b.c", "weights.hidden", "target", "precision", "heads", "gate.min_kept.x", "\x00", "é",
    "[0]", "keep",
)  # fmt: skip

OPTIONS = {
    "compress": (
        *("--speedup", "--p95", "--p99", "--size", "--keep", "--recipe", "--data", "--text", "--label"),
        "--set",
        *("--label-format", "--eval-fraction", "--limit", "--seed", "--target", "--output", "--work"),
        *("--reference", "--host", "--text-pair", "--eval-data", "--unlabelled"),
    ),
    "verify": ("--data", "--engines", "--reference", "--label", "--threads", "--text"),
    "run": ("--engine", "--threads", "--input", "--pair"),
    "recipes": ("--json", "--show"),
    "targets": ("--json",),
    "build": ("--engines", "--threads"),
    "check": ("--target",),
}


@dataclass(frozen=True)
class Base:
    """Sound inputs, made once.

    Attributes:
        model: A checkpoint's folder.
        bundle: A bundle's folder, with reports.
        weights: Bytes of the model's ``model.safetensors``.
        parquet: Bytes of a Parquet file of ``ROWS``.
    """

    model: Path
    bundle: Path
    weights: bytes
    parquet: bytes


def _maybe(rng: Random, chance: float, content: bytes) -> bytes:
    """Damage bytes, by this chance."""
    return damaged(rng, content) if rng.random() < chance else content


def _near(rng: Random, value: Any) -> bytes:
    """A document near to this one, as JSON."""
    return dumps(document(rng, value)).encode("utf-8", "replace")


Maker = Callable[[Random, Path, Base], Callable[[], object]]


def make_base(folder: Path) -> Base:
    """Write the sound inputs into an empty folder."""
    import fake_bundles
    import pyarrow
    import pyarrow.parquet
    from safetensors.numpy import save_file

    from edgeroberta.roberta.checkpoint_validation import model_shapes
    from edgeroberta.roberta.config import EncoderConfig

    model = folder / "model"
    shutil.copytree(TOKENIZER, model)
    (model / "config.json").write_text(json.dumps(CONFIG))
    shapes = dict(model_shapes(EncoderConfig.from_dict(CONFIG)))
    random = np.random.default_rng(0)
    tensors = {name: random.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    (folder / "data.csv").write_text(_delimited(",", header=True))
    bundle = fake_bundles.write(folder / "bundle")
    data = fake_bundles.write_data(folder / "rows.csv", 12, bundle)
    shutil.rmtree(bundle)
    fake_bundles.with_reports(bundle, data, wrong=1)
    texts, labels = zip(*ROWS, strict=True)
    table = pyarrow.table({"text": texts, "label": labels})
    features = {"info": {"features": {"label": {"names": ["dull", "fine"], "_type": "ClassLabel"}}}}
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pyarrow.parquet.write_table(table, sink := io.BytesIO())
    return Base(model, bundle, (model / "model.safetensors").read_bytes(), sink.getvalue())


def _delimited(mark: str, *, header: bool) -> str:
    lines = [f"text{mark}label"] * header + [f"{text}{mark}{label}" for text, label in ROWS]
    return "\n".join(lines) + "\n"


def _command(*words: str) -> object:
    from edgeroberta.cli import main

    return main([word.replace("\x00", "") for word in words])


# Recipes and targets ----------------------------------------------------------------------------------


def recipe(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    import yaml

    from edgeroberta import recipe as recipes

    text = rng.choice(sorted(RECIPES.glob("*.yaml"))).read_text()
    if rng.random() < 0.5:
        plain = document(rng, yaml.safe_load(text))
        text = dumps(plain) if rng.random() < 0.5 else _yaml(plain)
    file = folder / "recipe.yaml"
    file.write_bytes(
        damaged(rng, text.encode("utf-8", "replace"))
        if rng.random() < 0.6
        else text.encode("utf-8", "replace")
    )
    if rng.random() < 0.1:
        return lambda: _command(
            "compress",
            str(base.model),
            "--recipe",
            str(file),
            "--data",
            str(base.model.parent / "data.csv"),
            "--dry-run",
        )
    return lambda: recipes.load(str(file))


def _yaml(value: Any) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    Dumper.add_representer(
        Verbatim, lambda dumper, each: dumper.represent_scalar("tag:yaml.org,2002:str", each.text)
    )
    return str(yaml.dump(value, Dumper=Dumper, allow_unicode=True))


def bomb(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    """Aliases that multiply: a kB of YAML that stands for gigabytes."""
    from edgeroberta import recipe as recipes

    depth, width = rng.choice((3, 6, 9, 12)), rng.choice((2, 9, 10))
    lines = [f"a0: &a0 [{', '.join(['x'] * width)}]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]" for level in range(1, depth)]
    place = rng.choice(("name", "stages", "description", "schema_version", "odd"))
    merge = "<<: " if rng.random() < 0.2 else ""
    lines.append(f"{place}: {{{merge}*a{depth - 1}}}" if merge else f"{place}: *a{depth - 1}")
    if place != "stages" and rng.random() < 0.5:
        lines.append("stages:\n- export: {}\n- quantize: {samples: *a" + str(depth - 1) + "}\n- bundle: {}")
    (folder / "bomb.yaml").write_text("schema_version: 1\n" + "\n".join(lines) + "\n")
    return lambda: recipes.load(str(folder / "bomb.yaml"))


def override(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    from edgeroberta import recipe as recipes

    def value() -> str:
        odd = rng.choice(ODD)
        text = odd.text if isinstance(odd, Verbatim) else dumps(odd) if rng.random() < 0.5 else str(odd)
        return rng.choice((text, rng.choice(WORDS), rng.choice(BYTES).decode("utf-8", "replace")))

    index = rng.choice(("", "", "[0]", "[9]", "[" + "9" * 5_000 + "]"))
    words = [f"{rng.choice(STAGES)}{index}.{rng.choice(KEYS)}={value()}"]
    if rng.random() < 0.2:
        words = [damaged(rng, words[0].encode("utf-8", "replace")).decode("utf-8", "replace")]
    name = rng.choice(("int8", "int8-distill", "fp32", *WORDS))
    return lambda: recipes.load(name, words)


def hosts(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    from edgeroberta.remote import hosts as configured

    text = b'[hosts.kitchen]\nssh = "me@kitchen"\npython = "python3"\nkeep = true\noptions = ["-p", "22"]\n'
    (folder / "hosts.toml").write_bytes(damaged(rng, text))
    return lambda: [host.destination for host in configured.read(folder / "hosts.toml").values()]


# Checkpoints ------------------------------------------------------------------------------------------


def _model(folder: Path, base: Base, *copied: str) -> Path:
    model = folder / "model"
    model.mkdir()
    for name in {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "model.safetensors",
    } - set(copied):
        if (base.model / name).is_file():
            (model / name).symlink_to(base.model / name)
    return model


def _dry(model: Path, base: Base) -> object:
    return _command(
        "compress", str(model), "--data", str(base.model.parent / "data.csv"), "--recipe", "int8", "--dry-run"
    )


def config(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    from edgeroberta.roberta import checkpoint_validation

    model = _model(folder, base, "config.json")
    text = _near(rng, CONFIG)
    (model / "config.json").write_bytes(_maybe(rng, 0.3, text))
    if rng.random() < 0.15:
        return lambda: _dry(model, base)

    def read() -> None:
        found = Checkpoint(model)
        checkpoint_validation.check_config(found)
        assert found.task
        assert found.max_length
        checkpoint_validation.check(found)

    return read


def tokenizer(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    from edgeroberta.roberta import checkpoint_validation
    from edgeroberta.roberta.tokenizerfile import TokenizerFile
    from edgeroberta.runtime.tokenizer import TextTokenizer

    name = rng.choice(
        ("tokenizer.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
    )
    source = FIXTURES / rng.choice(("tokenizer", "tokenizer-xlm-roberta"))
    model = _model(folder, base, *(file.name for file in source.glob("*.json")))
    for file in source.glob("*.json"):
        shutil.copy(file, model / file.name)
    text = (source / name).read_bytes() if (source / name).is_file() else b"{}"
    if rng.random() < 0.7:
        text = _near(rng, json.loads(text))
    if rng.random() < 0.4:
        text = damaged(rng, text)
    (model / name).write_bytes(text)

    def read() -> None:
        found = TextTokenizer.open(model, 16)
        for item in ("a film <mask>", ("one", "two"), "é \x00 😀" * 200):
            found.encode_one(item)

    def cut() -> None:
        found = TokenizerFile.read(model / "tokenizer.json")
        found.only(sorted(found.named | set(sorted(found.pieces)[:300])))

    def check() -> None:
        checkpoint_validation.check_tokenizer(Checkpoint(model))

    return rng.choice((read, read, cut, check))


def weights(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    from edgeroberta.roberta import checkpoint_validation, tensorfile

    model = _model(folder, base, "model.safetensors")
    length = struct.unpack("<Q", base.weights[:8])[0]
    header, rest = base.weights[8 : 8 + length], base.weights[8 + length :]
    change = rng.random()
    if change < 0.5:
        header = _near(rng, json.loads(header))
    elif change < 0.8:
        header = damaged(rng, header)
    stated = (
        len(header)
        if rng.random() < 0.8
        else rng.choice((0, 1, 2, len(header) - 1, len(header) + 1, 2**40, 2**64 - 1))
    )
    data = struct.pack("<Q", max(stated, 0)) + header + rest[: rng.choice((len(rest), len(rest), 100, 0))]
    if rng.random() < 0.2:
        index = {
            "metadata": {},
            "weight_map": dict.fromkeys(json.loads(base.weights[8 : 8 + length]), "a.safetensors"),
        }
        (model / "a.safetensors").write_bytes(base.weights)
        (model / "model.safetensors.index.json").write_text(dumps(document(rng, index)), "utf-8", "replace")
    else:
        (model / "model.safetensors").write_bytes(data)

    def read() -> None:
        found = Checkpoint(model)
        list(tensorfile.not_finite(found.tensors))
        checkpoint_validation.check(found)

    return read


def pack(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    from edgeroberta.roberta import hmsemb

    arch = {
        "vocab": 4,
        "hidden": 4,
        "layers": 1,
        "heads": 1,
        "intermediate": 4,
        "max_positions": 6,
        "type_vocab": 2,
    }
    meta = {"model": "m", "revision": "r", "max_length": 4}
    tensors = [
        {"name": name, "shape": list(shape), "dtype": "f32", "group": 4, "len": 4 * int(np.prod(shape))}
        for name, shape in hmsemb._shapes(arch, 1).items()
    ]
    header = {
        "format": 1,
        "meta": meta,
        "arch": arch,
        "quantization": "int8",
        "tokenizer_len": 2,
        "tensors": tensors,
    }
    text = _near(rng, header)
    data = (
        b"HMSEMB01"
        + struct.pack("<Q", len(text))
        + text
        + b"{}"
        + bytes(sum(tensor["len"] for tensor in tensors))
    )
    (folder / "p.hmsemb").write_bytes(_maybe(rng, 0.3, data))
    return lambda: hmsemb.read(folder / "p.hmsemb")


# Data -------------------------------------------------------------------------------------------------


def _cell(rng: Random) -> Any:
    return (
        rng.choice(ODD)
        if rng.random() < 0.5
        else rng.choice((0, 1, "1", "fine", "dull", [0, 1], [1], 0.5, True, "a;b"))
    )


def _rows(rng: Random) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"text": text, "label": label} for text, label in ROWS]
    for _ in range(rng.choice((1, 2, 30))):
        row = rng.choice(rows)
        row[rng.choice(("text", "label", "label", "", "a" * 300))] = _cell(rng)
    if rng.random() < 0.3:
        kind = rng.choice(
            ([0, 1], [1], "1", 0.5, True, None, "x", -1, 2**40, {"a": 1}, [None], ["fine"], [0.0, 1.0], 1e308)
        )
        for row in rows:
            row["label"] = kind if rng.random() < 0.9 else _cell(rng)
    return rows


def data(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    from edgeroberta import data as users
    from edgeroberta.data.rows import DataSpec

    extension = rng.choice((".csv", ".tsv", ".jsonl", ".json", ".txt", ".parquet", ".parquet", ".ndjson"))
    file = folder / ("train" + extension)
    if extension == ".parquet":
        content = _parquet(rng, base)
    elif extension in (".csv", ".tsv", ".txt"):
        content = _delimited("\t" if extension == ".tsv" else ",", header=True).encode()
        for _ in range(rng.choice((0, 1, 3))):
            content = content.replace(
                rng.choice((b",1\n", b",0\n", b"film", b"\n", b"label", b"text")),
                rng.choice(BYTES),
                rng.choice((1, 5, -1)),
            )
    else:
        rows = _rows(rng)
        content = ("\n".join(map(dumps, rows)) if extension != ".json" else dumps(rows)).encode(
            "utf-8", "replace"
        )
    file.write_bytes(_maybe(rng, 0.6, content))
    spec: dict[str, Any] = {}
    for field in (
        "text",
        "text_pair",
        "label",
        "label_format",
        "eval_fraction",
        "limit",
        "eval_data",
        "unlabelled",
    ):
        if rng.random() < 0.12:
            spec[field] = {
                "eval_fraction": rng.choice((0.5, 1e-300, 0.999999, float("nan"))),
                "limit": rng.choice((1, 2, 5, 10**18)),
            }.get(
                field,
                rng.choice((str(file), *WORDS))
                if field in ("eval_data", "unlabelled")
                else rng.choice(WORDS),
            )

    def read() -> None:
        asked = DataSpec(str(folder if rng.random() < 0.1 else file), **spec)
        users.load_splits(asked, task=None)

    return read


def _parquet(rng: Random, base: Base) -> bytes:
    import pyarrow
    import pyarrow.parquet

    if rng.random() < 0.4:
        return base.parquet
    labels: list[Any] = rng.choice(
        (
            [n % 2 for n in range(24)],
            [[n % 2] for n in range(24)],
            [None] * 24,
            [b"\xff"] * 24,
            [{"a": n} for n in range(24)],
            [0.5] * 24,
            [float("nan")] * 24,
            [2**62] * 24,
        )
    )
    table = pyarrow.table({"text": [text for text, _ in ROWS], "label": labels})
    if rng.random() < 0.3:
        table = table.append_column(
            "when", pyarrow.array([0] * 24).cast(pyarrow.timestamp(rng.choice(("s", "us", "ns"))))
        )
    feature = {
        "label": {"names": ["dull", "fine"], "_type": "ClassLabel"},
        "text": {"dtype": "string", "_type": "Value"},
    }
    stored = dumps(document(rng, {"info": {"features": feature}}))
    table = table.replace_schema_metadata(
        {
            "huggingface": damaged(rng, stored.encode("utf-8", "replace"))
            if rng.random() < 0.4
            else stored.encode("utf-8", "replace")
        }
    )
    pyarrow.parquet.write_table(table, sink := io.BytesIO())
    return sink.getvalue()


def answered(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    from edgeroberta.annotation import sources
    from edgeroberta.annotation.pacing import Pace
    from edgeroberta.tasks import Problem, Task

    file = folder / rng.choice(("in.txt", "in.jsonl", "in.tsv", "in.csv"))
    file.write_bytes(damaged(rng, "\n".join(dumps(row) for row in _rows(rng)).encode("utf-8", "replace")))
    task = Task(Problem.SINGLE_LABEL, ("no", "yes"), pair=rng.random() < 0.3)

    def read() -> object:
        with sources.opened(str(file), task, sources.Wanted()) as found:
            return [block.names() for block in found.blocks(Pace())]

    return read


# Bundles, and what runs store -------------------------------------------------------------------------


def bundle(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    from edgeroberta.runtime import Runtime, goldens, manifest

    copied = folder / "bundle"
    shutil.copytree(base.bundle, copied)
    name = rng.choice(
        (
            "manifest.json",
            "manifest.json",
            "goldens.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "config.json",
        )
    )
    fields = document(rng, json.loads((copied / name).read_bytes()))
    text = dumps(fields).encode("utf-8", "replace")
    if name != "manifest.json" or rng.random() < 0.2:
        (copied / name).write_bytes(_maybe(rng, 0.3, text))
    if rng.random() < 0.8:
        try:  # signed again, so that more than the digest is looked at
            whole = fields if name == "manifest.json" else json.loads((copied / "manifest.json").read_bytes())
            if name != "manifest.json":
                from edgeroberta import bundle_writer as making

                whole["files"][name] = making._entry(copied / name)
            whole["digest"] = manifest.content_digest(whole)
            whole["seal"] = manifest.seal_of(whole)
            (copied / "manifest.json").write_bytes(manifest.canonical(whole))
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
            pass

    def read() -> None:
        found = manifest.read(copied)
        manifest.check_files(found)
        goldens.load(copied)
        if rng.random() < 0.3:
            Runtime.open(copied, engine="onnxruntime").close()

    return read


def reference(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    from edgeroberta.evaluation import baseline_store as references
    from edgeroberta.evaluation import provenance

    copied = folder / "bundle"
    shutil.copytree(base.bundle, copied)
    name = rng.choice(
        ("reports/reference/reference.json", "reports/reference/reference.json", "reports/report.json")
    )
    text = _near(rng, json.loads((copied / name).read_bytes()))
    (copied / name).write_bytes(_maybe(rng, 0.4, text))
    if rng.random() < 0.2:
        file = copied / "reports/reference/outputs.npz"
        file.write_bytes(damaged(rng, file.read_bytes()))

    def read() -> None:
        provenance.stored_gate(copied)
        str(references.load(copied / "reports" / "reference"))

    return read


def stored(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    """Files of the work folder and the caches."""
    import fake_latency

    from edgeroberta.latency.table import LatencyTable
    from edgeroberta.pipeline import workspace
    from edgeroberta.roberta.config import EncoderConfig
    from edgeroberta.storage import artifact

    shape = EncoderConfig.from_dict(CONFIG).shape
    made = fake_latency.round_table(shape)
    kinds: dict[str, tuple[Any, Callable[[], object]]] = {
        "table.json": (
            made.to_json(),
            lambda: LatencyTable.load(folder / "table.json").predict(shape, [3, 5]),
        ),
        "artifact.json": (
            {
                "schema_version": 1,
                "kind": "checkpoint",
                "stage": "x",
                "config": {},
                "seed": 0,
                "inputs": [],
                "key": "k",
            },
            lambda: artifact.load(folder),
        ),
        workspace.MARKER: ({"schema_version": 1, "kind": "work"}, lambda: workspace.check(folder)),
    }
    name = rng.choice(sorted(kinds))
    fields, read = kinds[name]
    text = _near(rng, json.loads(json.dumps(fields)))
    (folder / name).write_bytes(_maybe(rng, 0.4, text))
    return read


# The command line and the server ----------------------------------------------------------------------


def words(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    model, rows = str(base.model), str(base.model.parent / "data.csv")

    def word() -> str:
        return rng.choice((*WORDS, model, rows, str(base.bundle))).encode("utf-8", "replace").decode()

    command = rng.choice(("compress", "compress", "compress", *OPTIONS))
    given = [command]
    if command == "compress":
        given += ["--dry-run", *rng.choice(([], [model], [model, "--data", rows], [word()]))]
    elif command in ("verify", "run", "build", "check"):
        given += [rng.choice((word(), str(folder)))]
    for _ in range(rng.choice((1, 1, 2, 3))):
        option = rng.choice(OPTIONS[command])
        given += [
            option,
            f"{rng.choice(STAGES)}.{rng.choice(KEYS)}={word()}" if option == "--set" else word(),
        ]
    if command in ("build", "check", "run") and str(base.bundle) in given:
        given = ["recipes"]
    return lambda: _command(*given)


def body(rng: Random, folder: Path, base: Base) -> Callable[[], object]:
    from edgeroberta.serve import body as bodies
    from edgeroberta.serve.refusal import Refusal

    form = rng.choice((bodies.SINGLE, bodies.SINGLE, bodies.PAIR, bodies.QUESTION))
    asked = {"question": "how?", "context": "so"}
    value = rng.choice(
        (
            {"text": "a film"},
            {"texts": ["a", "b"]},
            {"texts": [["a", "b"]]},
            {"text": "a", "text_pair": "b"},
            asked,
            {"questions": [asked, asked]},
        )
    )
    content = _near(rng, value)
    if rng.random() < 0.4:
        content = damaged(rng, content)

    def read() -> None:
        try:
            bodies.read(content, form=form, max_batch=32)
        except Refusal as refusal:
            if len(refusal.body()) > 4_000:
                raise ValueError("an answer of more than 4 kB to a request that is refused") from refusal

    return read


#: Name of a kind to what makes one; the more often a kind is here, the more of it there is.
KINDS: tuple[Maker, ...] = (
    recipe, recipe, recipe, bomb, override, override, hosts, config, config, config, tokenizer, tokenizer,
    weights, weights, pack, data, data, data, data, tagged, tagged, answered, bundle, bundle, reference,
    stored, stored, words, body, body, questions,
)  # fmt: skip
