"""Reads what a bundle is and holds, of a cascade each of its models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeroberta.errors import BundleError, CheckpointError
from edgeroberta.roberta import graph_parts
from edgeroberta.roberta.config import EncoderConfig
from edgeroberta.roberta.graph_parts import GraphPart
from edgeroberta.runtime import manifest
from edgeroberta.runtime.goldens import GOLDENS_FILE
from edgeroberta.runtime.manifest import MANIFEST_FILE, Manifest
from edgeroberta.runtime.tier_facts import TIERS
from edgeroberta.storage import files, jsontext

SCHEMA_VERSION = 1
#: What files of a bundle are for; of others their folder says it.
_ROLES = {
    files.README: "card",
    files.RECIPE: "recipe it was made by",
    files.CONFIG: "configuration",
    files.TOKENIZER: "tokenizer",
    files.TOKENIZER_CONFIG: "tokenizer, for other programs",
    files.SPECIAL_TOKENS: "tokenizer, for other programs",
    files.PROMPTS_FILE: "prompts",
    files.MODULES_FILE: "modules, for sentence-transformers",
    files.GRAPH: "graph of ONNX Runtime",
    files.ORT_FORMAT: "graph in ONNX Runtime's own format",
    files.OPERATORS: "operators that a build of ONNX Runtime needs",
    files.FP16_GRAPH: "graph in fp16",
    files.TENSORRT_GRAPH: "graph of TensorRT",
    files.OPENVINO[0]: "graph of OpenVINO",
    files.OPENVINO[1]: "weights of OpenVINO",
    GOLDENS_FILE: "answers that every engine must give",
    MANIFEST_FILE: "manifest",
}
#: Files of the bundle that its manifest does not list; the card is one of them on the Hub alone.
_UNLISTED = (MANIFEST_FILE, files.README)
#: Graphs of ours, the first of which that a bundle has is read.
_GRAPHS = (files.GRAPH, files.FP16_GRAPH, files.TENSORRT_GRAPH)


@dataclass(frozen=True)
class FileFacts:
    """A file of the bundle."""

    name: str  # path below the folder
    bytes: int
    role: str  # what it is for


@dataclass(frozen=True)
class LayerWidths:
    """What is left of a layer."""

    heads: int
    intermediate: int  # FFN neurons


@dataclass(frozen=True)
class Inspection:
    """What is in a bundle; ``parts`` are empty where it has no ONNX graph."""

    folder: Path
    digest: str  # sha256 of all that its answers hang on
    created_by: str  # version of this package that made it
    intact: bool  # whether every file is as it was written
    damage: str | None  # what is not
    task: str
    labels: tuple[str, ...]
    pair: bool
    max_length: int
    long_text: str  # what is done with longer texts
    target: str
    threads: int
    engines: tuple[str, ...]
    precision: str  # ``int8`` or ``fp32``
    tokenizer: str | None  # kind of its model, such as BPE
    vocabulary: int | None  # tokens that it knows
    hidden_size: int | None
    layers: tuple[LayerWidths, ...]
    parameters: int  # of all parts; of the configuration where there is no graph
    graph: str | None  # the file that the parts are read from
    parts: tuple[GraphPart, ...]
    files: tuple[FileFacts, ...]
    unknown_files: tuple[str, ...]  # files in the folder that are not the bundle's
    lineage: tuple[Mapping[str, Any], ...]  # ``stage``, ``seconds`` and ``config`` of each stage
    baseline: Mapping[str, Any]
    verdict: str | None
    reason: str | None
    choices: Mapping[str, str]  # matmul to how it was quantized, or why not, as the report says
    tiers: tuple[tuple[str, Inspection], ...] = ()  # of a cascade, all models but the last, which this is

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        fields = asdict(self)
        tiers = [{"name": name, **tier.to_json()} for name, tier in self.tiers]
        return {
            "schema_version": SCHEMA_VERSION, "kind": "edgeroberta-inspection", **fields,
            "folder": str(self.folder), "tiers": tiers,
        }  # fmt: skip


def inspect(folder: Path) -> Inspection:
    """Look into a bundle. Raises BundleError: there is none, or its manifest is damaged or too new."""
    facts = manifest.read(folder)
    damage = _damage(facts)
    config = _config(folder)
    graph = next((name for name in _GRAPHS if name in facts.files), None)
    parts = () if graph is None else graph_parts.read(folder / graph)
    kind, vocabulary = _tokenizer(folder)
    gate = facts.gate or {}
    parameters = sum(part.parameters for part in parts)
    if not parts and config is not None:
        parameters = config.shape.parameters
    return Inspection(
        folder=folder,
        digest=facts.digest,
        created_by=facts.created_by,
        intact=damage is None,
        damage=damage,
        task=str(facts.task.problem),
        labels=facts.task.labels,
        pair=facts.task.pair,
        max_length=facts.max_length,
        long_text=str(facts.long_text),
        target=facts.target,
        threads=facts.threads,
        engines=facts.engines,
        precision=facts.precision,
        tokenizer=kind,
        vocabulary=vocabulary,
        hidden_size=None if config is None else config.hidden_size,
        layers=_widths(config),
        parameters=parameters,
        graph=graph if parts else None,
        parts=parts,
        files=_files(facts),
        unknown_files=_unknown(facts),
        lineage=tuple(map(_stage, facts.lineage)),
        baseline=facts.baseline,
        verdict=gate.get("verdict"),
        reason=gate.get("reason"),
        choices=_choices(folder),
        tiers=_tiers(facts),
    )


def _stage(lineage: Mapping[str, Any]) -> dict[str, Any]:
    return {name: lineage.get(name) for name in ("stage", "seconds", "config")}


def _tiers(facts: Manifest) -> tuple[tuple[str, Inspection], ...]:
    tiers = () if facts.cascade is None else facts.cascade.tiers
    return tuple((tier.name, inspect(facts.folder / tier.folder)) for tier in tiers)


def _damage(facts: Manifest) -> str | None:
    try:
        manifest.check_files(facts)
    except BundleError as error:
        return f"{error.where}: {error.what}"
    return None


def _config(folder: Path) -> EncoderConfig | None:
    """Read the configuration; None of a model that is no encoder of ours, such as a static one."""
    try:
        return EncoderConfig.from_dict(jsontext.loads((folder / files.CONFIG).read_bytes(), finite=False))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, CheckpointError):
        return None


def _widths(config: EncoderConfig | None) -> tuple[LayerWidths, ...]:
    return () if config is None else tuple(LayerWidths(*vars(each).values()) for each in config.layer_shapes)


def _tokenizer(folder: Path) -> tuple[str | None, int | None]:
    try:
        fields = jsontext.loads((folder / files.TOKENIZER).read_bytes())
        model = fields["model"]
        known = {*model["vocab"]} if isinstance(model["vocab"], dict) else {one[0] for one in model["vocab"]}
        added = {each["content"] for each in fields.get("added_tokens") or ()}
        return str(model["type"]), len(known | added)
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _files(facts: Manifest) -> tuple[FileFacts, ...]:
    sizes = {name: entry.bytes for name, entry in facts.files.items()}
    for name in _UNLISTED:
        if (file := facts.folder / name).is_file():
            sizes[name] = file.stat().st_size
    return tuple(FileFacts(name, size, _role(name)) for name, size in sorted(sizes.items()))


def _role(name: str) -> str:
    if name.startswith(f"{TIERS}/"):
        return "tier of the cascade"
    if name.startswith(files.REPORTS):
        return "the baseline's answers" if name.startswith(files.REFERENCE_FOLDER) else "what was measured"
    return _ROLES.get(name) or _ROLES.get(Path(name).name) or "other"


def _unknown(facts: Manifest) -> tuple[str, ...]:
    own = {*facts.files, *facts.links, *_UNLISTED}
    found = (file.relative_to(facts.folder).as_posix() for file in facts.folder.rglob("*") if file.is_file())
    return tuple(sorted(name for name in found if name not in own))


def _choices(folder: Path) -> dict[str, str]:
    """Read how each matmul was quantized of the bundle's report, where it has one."""
    try:
        told = jsontext.loads((folder / files.REPORTS / files.REPORT).read_bytes(), finite=False)[
            "linear_ops"
        ]
        return {str(each["linear_op"]): str(each["choice"]) for each in told}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
