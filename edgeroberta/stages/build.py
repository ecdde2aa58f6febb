"""The stage ``build``: make a graph into a bundle that runs, for each engine of the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.context import Context, RunOutline
from edgeroberta.errors import RecipeError, UsageError
from edgeroberta.stages import ort_format, stage
from edgeroberta.stages.build_settings import BuildConfig, has_web_layout
from edgeroberta.storage.artifact import Kind
from edgeroberta.storage.files import GRAPH
from edgeroberta.tasks import Problem, Task

if TYPE_CHECKING:
    from edgeroberta.roberta.checkpoint import Checkpoint
    from edgeroberta.runtime.goldens import Goldens
    from edgeroberta.runtime.longtexts import LongTexts
    from edgeroberta.runtime.manifest import Manifest
    from edgeroberta.runtime.tokenizer import TextTokenizer

# Texts whose lengths are counted: the share of a 16-token bin is then known to within 2 points.
_COUNTED_TEXTS = 2000


def _check_outset(config: BuildConfig, outset: RunOutline) -> RunOutline:
    """Refuse a length without room for the special tokens, and a layout without a graph for it."""
    from edgeroberta.backends import web
    from edgeroberta.runtime.embedding_texts import reader

    if has_web_layout(config, outset.target):
        web.require(outset.target.engines if config.engines == "target" else config.engines, outset.target)
    folder, limit, task = outset.model.folder, outset.model.max_length, outset.task
    try:
        tokenizer = reader(task).open(folder, min(limit, config.max_length or limit))
        tokenizer.encode_one(("a", "b") if task.pair else "a", places=task.kind.unit.located)
    except UsageError as error:
        raise RecipeError(error.what, where="build.max_length", hint=error.hint) from error
    overlap(config, outset.model, task)
    return outset


def overlap(config: BuildConfig, model: Checkpoint, task: Task) -> int | None:
    """Return by how many tokens the bundle's windows of long texts overlap; None where these are cut.

    Raises RecipeError: the stride is as long as a window, or there are none.
    """
    try:
        return _tokenizer(config, model.folder, model.max_length, task).long_texts.overlap
    except UsageError as error:
        where = f"build.{'long_text' if task.apart else 'stride'}"
        code = None if error.code == UsageError.code else error.code
        raise RecipeError(error.what, where=where, hint=error.hint, code=code) from error


def _tokenizer(config: BuildConfig, folder: Path, limit: int, task: Task) -> TextTokenizer:
    """Open the tokenizer as the bundle will, for a model of at most ``limit`` tokens."""
    from edgeroberta.runtime.embedding_texts import reader

    return reader(task).open(
        folder,
        min(limit, config.max_length or limit),
        long_text=config.long_text,
        stride=config.stride,
        pair=task.joins,
    )


@stage("build", config=BuildConfig, reads=(Kind.GRAPH,), writes=Kind.DRAFT, check=_check_outset)
def build(config: BuildConfig, context: Context) -> Mapping[str, Any]:
    """Write a bundle without a verdict.

    Returns notes: the engines, their files, how far the answers of each that runs here are from ONNX
    Runtime's, and those that can only be measured on the device; of ``ort_format`` bytes and deviation.
    """
    from edgeroberta import backends, bundle_writer
    from edgeroberta.backends import ort_format as ort_writer
    from edgeroberta.backends import web
    from edgeroberta.evaluation import answer_limits
    from edgeroberta.roberta.checkpoint import Checkpoint
    from edgeroberta.storage import publishing

    graph, output = context.inputs[Kind.GRAPH].path, context.output
    engines = config.engines
    if engines == "target":
        engines = backends.buildable(context.target.engines, graph)
    backends.require(engines)
    if config.ort_format:
        ort_format.require(engines)
    model = Checkpoint(graph)
    model.copy_files(output, max_length=config.max_length)
    publishing.strip(output)
    bundle_writer.compact_tokenizer(output)
    files = {
        engine: backends.build(engine, graph, output, share_weights=config.share_weights)
        for engine in engines
    }
    if config.ort_format:
        ort_writer.write(output)
    tokenizer = _tokenizer(config, graph, model.max_length, context.task)
    max_length = tokenizer.max_length
    precision = "int8" if context.inputs[Kind.GRAPH].lineage.stage == "quantize" else "fp32"
    links: Mapping[str, str] = {}
    if has_web_layout(config, context.target):
        links = web.write(output, precision=precision, max_length=max_length)
    goldens = _goldens(graph, max_length, engines, task=context.task, precision=precision)
    bundle_writer.write_goldens(goldens, output)
    task = answer_limits.fitted(
        context.task,
        context.data,
        context.baseline,
        overlap=tokenizer.long_texts.overlap,
        progress=context.progress,
    )
    manifest = bundle_writer.seal(
        output,
        {
            "task": task.to_json(),
            "max_length": max_length,
            "pad_token_id": model.config.pad_token_id,
            "engines": list(engines),
            "target": context.target.name,
            "threads": context.target.threads,
            "lengths": _lengths(tokenizer, context),
            "precision": precision,
            "lineage": lineage(context),
            "baseline": _baseline(context.baseline),
            "gate": None,
            "saturation": _saturation(context),
            "int8_matmuls": _int8_matmuls(output, engines),
            **_long_texts(tokenizer.long_texts),
            **_separator(model, context),
            **({"links": links} if links else {}),
        },
    )
    later = _on_the_device(engines, context)
    kernels = _check(graph, engines, context) if config.check else {}
    return {
        "engines": list(engines),
        "files": {engine: list(names) for engine, names in files.items()},
        "deviation": {
            engine: _replay(engine, goldens, manifest, context) for engine in engines if engine not in later
        },
        "measured_on_the_device": later,
        "kernels": kernels,
        **({"ort_format": ort_format.check(goldens, manifest, context)} if config.ort_format else {}),
    }


def lineage(context: Context) -> list[dict[str, Any]]:
    """Return the run's history as a manifest carries it: without paths, and without notes, which are long.

    Steps that made a tier of a cascade say which.
    """
    from edgeroberta.storage.publishing import without_folders

    steps = [(asdict(step), {} if tier is None else {"tier": tier}) for step, tier in context.told]
    return [
        {name: value for name, value in step.items() if name != "notes"}
        | {"config": without_folders(step["config"]), **whose}
        for step, whose in steps
    ]


def _goldens(graph: Path, max_length: int, engines: Sequence[str], *, task: Task, precision: str) -> Goldens:
    """Ask the common graph, and allow for what the engines' own graphs do to its answers."""
    import numpy as np

    from edgeroberta import backends, bundle_writer
    from edgeroberta.quantization import ort as engine
    from edgeroberta.runtime import mask_token
    from edgeroberta.runtime.embedding_texts import reader
    from edgeroberta.runtime.lengths import Lengths
    from edgeroberta.runtime.session import ENGINES, open_session

    session = open_session("onnxruntime", graph, threads=1, lengths=Lengths((max_length,), ()))
    try:
        tokenizer = reader(task).open(graph, max_length)
        goldens = bundle_writer.make_goldens(
            tokenizer,
            session,
            pair=task.joins,
            precision=precision,
            comparable=task.kind.comparable,
            mask=mask_token.find(graph) if task.problem is Problem.MASKED else None,
        )
    finally:
        session.close()
    if any(name in ENGINES and ENGINES[name].precision == "fp16" for name in engines):
        if precision == "fp32":  # else the stage quantize has done so, which still had the float32 graph
            texts = [np.array(ids) for ids in goldens.ids]
            engine.validate_fp16(graph / GRAPH, graph / backends.HALF_GRAPH, texts, task.kind.comparable)
        goldens = bundle_writer.with_float_outputs(goldens, graph / backends.HALF_GRAPH, task.kind.comparable)
    if backends.wants_int8_graph(engines):
        goldens = bundle_writer.allow_half_body(goldens, graph / backends.INT8_GRAPH, task.kind.comparable)
    return goldens


def _int8_matmuls(output: Path, engines: Sequence[str]) -> int | None:
    """Count what a TensorRT int8 engine is to compute in int8, since the device cannot read the graph."""
    from edgeroberta.check import expectation
    from edgeroberta.runtime.session import ENGINES

    if "tensorrt" not in engines:
        return None
    return sum(each.int8 for each in expectation.read(output / ENGINES["tensorrt"].files[0]))


def _check(graph: Path, engines: Sequence[str], context: Context) -> dict[str, Any]:
    """Hold the engines that run here to what the graph demands of them; returns what each was found to do."""
    from edgeroberta.check import cpu
    from edgeroberta.check.kernels import READERS

    found = cpu.check(
        context.output, [engine for engine in engines if engine in READERS], graph=graph / GRAPH
    )
    cpu.require(found, where=context.output, strict=False)
    for each in found:
        for line in (*each.problems, *each.unknown):
            context.progress.line(f"{each.engine}: {line}")
    return {each.engine: each.to_json() for each in found}


def _replay(engine: str, goldens: Goldens, manifest: Manifest, context: Context) -> float | None:
    """Ask one engine the goldens and return the largest difference of a logit, for ``verify`` to judge."""
    import numpy as np

    from edgeroberta.runtime.core import Runtime
    from edgeroberta.runtime.embedding_texts import reader
    from edgeroberta.runtime.goldens import max_abs_difference
    from edgeroberta.runtime.lengths import choose
    from edgeroberta.runtime.session import open_session

    folder, longest = manifest.folder, manifest.max_length
    session = open_session(
        engine, folder, threads=manifest.threads, lengths=choose(manifest.lengths, longest)
    )
    tokenizer = reader(manifest.task).open(folder, longest)
    with Runtime(session, tokenizer, manifest.task, pad_token_id=manifest.pad_token_id) as runtime:
        ids = [np.array(each, np.int64) for each in goldens.ids]
        found = max_abs_difference(goldens, runtime.run_ids(ids), comparable=manifest.task.kind.comparable)
    if not found <= goldens.atol:
        context.progress.line(
            f"{engine}: answers differ from ONNX Runtime's by {found:.3g} (allowed: {goldens.atol:.3g}); "
            "the bundle will not open on it"
        )
    return found if np.isfinite(found) else None


def _lengths(tokenizer: TextTokenizer, context: Context) -> dict[str, Any]:
    from edgeroberta.runtime.encoding import all_windows
    from edgeroberta.runtime.lengths import BIN, histogram

    inputs = context.data.train.read()
    chosen = inputs[:: -(-len(inputs) // _COUNTED_TEXTS)]
    questions = context.task.problem is Problem.SPANS
    encodings = all_windows(tokenizer.encode(chosen)) if questions else tokenizer.truncated(chosen)
    counts = histogram((len(one.ids) for one in encodings), tokenizer.max_length)
    return {"bin": BIN, "counts": list(counts)}


def _on_the_device(engines: Sequence[str], context: Context) -> list[str]:
    """Return the engines that only the device can measure, and say so."""
    from edgeroberta.runtime.session import ENGINES

    later = [engine for engine in engines if ENGINES[engine].on_device]
    if later:
        context.progress.line(
            f"{', '.join(later)}: built, checked and measured on the device, with: "
            "edgeroberta build and edgeroberta bench"
        )
    return later


def _long_texts(chosen: LongTexts) -> dict[str, Any]:
    """Return what the manifest says of long texts; nothing where they are cut, as always before."""
    from edgeroberta.runtime.longtexts import LongText

    if chosen.way is LongText.TRUNCATE:
        return {}
    return {"long_text": chosen.way.value, "stride": chosen.stride}


def _separator(model: Checkpoint, context: Context) -> dict[str, int]:
    """Return what the manifest says of token types; nothing where all tokens are of one type."""
    found = model.separator_id if context.task.joins else None
    return {} if found is None else {"separator_id": found}


def _saturation(context: Context) -> dict[str, Any] | None:
    """Return what the manifest says of int16 saturation: only int8 weights can cause it."""
    made_by = context.inputs[Kind.GRAPH].lineage
    if made_by.stage != "quantize":
        return {"safe": True, "linear_ops": []}
    found: dict[str, Any] | None = made_by.notes.get("saturation")
    return found


def _baseline(model: Checkpoint) -> dict[str, Any]:
    from edgeroberta.storage.publishing import name_of

    return {
        "model": name_of(str(model)),
        "digest": model.digest,
        "parameters": model.parameters,
        "bytes": model.weight_bytes,
    }
