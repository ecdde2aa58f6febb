"""What a bundle knows of where it comes from: its data, its baseline and its gate."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from edgeroberta import demo
from edgeroberta.data import DataSpec, MaskReader, Rows, hub, load_heldout
from edgeroberta.data.label_format import LabelFormat
from edgeroberta.errors import BundleError, DataError, EdgeRobertaError, UsageError
from edgeroberta.evaluation import baseline_store
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.limits import GateLimits, RobustnessLimits, SliceLimits, SwapLimits
from edgeroberta.evaluation.slices import SlicesAsked
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime.manifest import MANIFEST_FILE, Manifest
from edgeroberta.storage import jsontext, paths
from edgeroberta.storage.artifact import write_json
from edgeroberta.storage.cache import cache_dir
from edgeroberta.storage.files import REFERENCE_FOLDER, REPORT, REPORTS, TOKENIZER
from edgeroberta.tasks import Problem

logger = logging.getLogger(__name__)

REPORT_FILE = REPORTS + REPORT


def stored_gate(bundle: Path) -> GateLimits:
    """Return the gate that the bundle was judged by when it was made."""
    file = bundle / REPORT_FILE
    try:
        return _gate(jsontext.loads(file.read_bytes(), finite=False)["gate"])
    except OSError as error:
        raise BundleError(
            "the bundle carries no report, so there is no gate to hold it to",
            where=str(file),
            hint="make it with a recipe that has a verify stage, such as int8",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"damaged: not a report ({error})", where=str(file), hint="copy the bundle again"
        ) from error


def stored_slices(bundle: Path) -> SlicesAsked:
    """Return which slices were asked for when the bundle was made; none where its report has none."""
    try:
        found = jsontext.loads((bundle / REPORT_FILE).read_bytes(), finite=False).get("slices")
        return SlicesAsked() if found is None else SlicesAsked.from_json(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        where = str(bundle / REPORT_FILE)
        raise BundleError(
            f"damaged: not a report ({error})", where=where, hint="copy the bundle again"
        ) from error


def _gate(gate: Any) -> GateLimits:
    """Read a gate; what goes wrong passes through."""
    if not isinstance(gate, Mapping):
        raise TypeError(f"{gate!r} is no gate")
    # Reports of version 0.2 and before have no share to keep, those of 0.3 and before no metric, those of 0.4
    # and before no recall of labels, nor a cosine; those of 0.8 and before nothing of changed texts.
    kept, metric, drop = (gate.get(name) for name in ("min_kept", "metric", "max_recall_drop"))
    cosine, slices = gate.get("min_cosine"), gate.get("slices")
    return GateLimits(
        max_drop=float(gate["max_drop"]),
        min_agreement=float(gate["min_agreement"]),
        confidence=float(gate["confidence"]),
        min_kept=None if kept is None else float(kept),
        metric=None if metric is None else str(metric),
        min_recall=_by_label(gate.get("min_recall", {})),
        max_recall_drop=drop if drop is None or isinstance(drop, float | int) else _by_label(drop),
        min_cosine=None if cosine is None else float(cosine),
        swaps=None if (swaps := gate.get("swaps")) is None else SwapLimits(**swaps),
        robustness=None if (changed := gate.get("robustness")) is None else RobustnessLimits(**changed),
        slices=None if slices is None else _slice_limits(slices),
    )


def _slice_limits(given: Any) -> SliceLimits:
    known = (given[name] for name in ("max_drop", "min_agreement"))
    return SliceLimits(*(None if each is None else float(each) for each in known))


def _by_label(given: Any) -> dict[str, float]:
    if not isinstance(given, Mapping):
        raise TypeError(f"{given!r} is no table of labels")
    return {str(label): float(share) for label, share in given.items()}


def stored_leak(bundle: Path, digest: str) -> int | None:
    """Return how many of the rows with a digest were in the training data, if the report is of these rows."""
    try:
        data = jsontext.loads((bundle / REPORT_FILE).read_bytes(), finite=False)["data"]
        leaked = data.get("leaked") if data.get("digest") == digest else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return leaked if isinstance(leaked, int) else None


def stored_reference(bundle: Path) -> BaselineAnswers | None:
    """Return the baseline the bundle carries, or None when it carries none."""
    folder = bundle / REFERENCE_FOLDER
    return baseline_store.load(folder) if (folder / baseline_store.JSON_FILE).is_file() else None


def stored_spec(manifest: Manifest) -> DataSpec | None:
    """Return where the bundle's data was when it was made, or None when that was not recorded."""
    source = load_origin(manifest)
    if source.get("model") == "packaged":
        return replace(demo.prepare(cache_dir()).data, limit=source.get("limit"))
    return _recorded(source)


def _recorded(source: Mapping[str, Any]) -> DataSpec | None:
    recorded = source.get("data")
    if not isinstance(recorded, Mapping):
        return None
    known = {each.name for each in fields(DataSpec)} - {"kept", "slice_columns"}
    kept = recorded.get("kept")  # bundles of version 0.3 and before have none
    try:
        reading = None if kept is None else LabelFormat.from_json(kept)
    except (KeyError, TypeError, ValueError) as error:
        what = f"damaged: the lineage does not say how labels were read ({error!r})"
        raise BundleError(what, where=MANIFEST_FILE, hint="copy the bundle again") from error
    return DataSpec(**{name: value for name, value in recorded.items() if name in known}, kept=reading)


def heldout_rows(
    manifest: Manifest,
    spec: DataSpec | None,
    *,
    digest: str | None = None,
    slice_columns: tuple[str, ...] = (),
) -> Rows:
    """Load the rows to measure a bundle on.

    A bundle may come from anyone, so a Hub data set that only its manifest names is not downloaded. ``spec``:
    what the user named; None for the data that the bundle was made with. If it is that data, it is split as
    it was then; any other file is taken whole. ``digest``: digest of the rows that the bundle was judged on,
    where that is known. A file that gives these rows, split as it was then, is the bundle's own, whatever its
    name is here. ``slice_columns``: columns whose values are kept with the rows. Raises DataError: the data
    cannot be used; UsageError: None was named, and the bundle's own is not here.
    """
    if spec is not None:
        return _named_rows(manifest, replace(spec, slice_columns=slice_columns), digest)
    stored = stored_spec(manifest)
    hint = "name it: --data FILE (with --text and --label where the columns need naming)"
    if stored is None:
        raise UsageError("the bundle does not say which data it was made with", hint=hint)
    if stored.eval_data is None and _on_the_hub(stored.data):
        raise UsageError(
            f"the bundle was made with {stored.data!r}, which is not here; it is not downloaded unasked",
            hint=f"name it: --data {stored.data} (with --text and --label where the columns need naming)",
        )
    try:
        return _load(replace(stored, slice_columns=slice_columns), manifest)
    except DataError as error:
        if error.code == "data.slices":
            raise
        raise UsageError(
            f"the data that the bundle was made with cannot be read here ({error.what})",
            where=error.where,
            hint=hint,
        ) from error


def _load(spec: DataSpec, manifest: Manifest) -> Rows:
    """Load held-out rows; masks are drawn by the tokenizer of the baseline, where that is here.

    The bundle's own gives the same ones, unless its vocabulary was cut.
    """
    folder, longest = manifest.folder, manifest.max_length
    named = load_origin(manifest).get(BASELINE) if manifest.task.problem is Problem.MASKED else None
    if named:
        baseline = Checkpoint(Path(str(named)))
        if (baseline.folder / TOKENIZER).is_file():
            folder, longest = baseline.folder, baseline.max_length
    return load_heldout(spec, manifest.task, masks=MaskReader.of(manifest.task, folder, longest))


def _on_the_hub(name: str) -> bool:
    return not paths.named(name).exists() and hub.is_id(name)


def _named_rows(manifest: Manifest, spec: DataSpec, digest: str | None) -> Rows:
    """Load the data that the user named; only its held-out part where the rest has been trained on."""
    stored = _recorded(load_origin(manifest))
    if stored is not None:
        columns = spec if spec.text or spec.text_pair or spec.label else stored
        spec = replace(spec, kept=stored.kept)
        split = replace(
            stored,
            data=spec.data,
            eval_data=spec.eval_data or stored.eval_data,
            text=columns.text,
            text_pair=columns.text_pair,
            label=columns.label,
            label_format=spec.label_format or columns.label_format,
            unlabelled=None,
            slice_columns=spec.slice_columns,
        )
        if _same(spec.data, stored.data) and _same(split.eval_data, stored.eval_data):
            return _load(split, manifest)
        named = split.eval_data == spec.eval_data
        if digest is not None and named and (rows := _rows_of(split, manifest, digest)) is not None:
            return rows
    # A folder or a data set on the Hub has its own held-out part.
    whole = spec.eval_data or (spec.data if paths.named(spec.data).is_file() else None)
    return _load(replace(spec, eval_data=whole), manifest)


def _rows_of(split: DataSpec, manifest: Manifest, digest: str) -> Rows | None:
    """Return the held-out rows if they are the ones with this digest."""
    try:
        rows = _load(split, manifest)
    except DataError as error:  # other data: what is wrong with it shows when it is read as the user said
        logger.debug("not split as the bundle's own data: %s", error)
        return None
    return rows if rows.digest == digest else None


def _same(name: str | None, other: str | None) -> bool:
    if name is None or other is None:
        return name is other
    return name == other or paths.named(name).resolve() == paths.named(other).resolve()


SCHEMA_VERSION = 2
BASELINE = "baseline"
_FORMER_BASELINE = "full_size"


def store_origin(manifest: Manifest, source: Mapping[str, Any], baseline: Path) -> None:
    """Keep where a bundle comes from; where there is no cache to write to, the user has to name it later."""
    try:
        file = _file(manifest)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {**source, BASELINE: str(baseline), "schema_version": SCHEMA_VERSION})
    except (OSError, EdgeRobertaError) as error:
        logger.info("where the bundle comes from is not kept (%s)", error)


def load_origin(manifest: Manifest) -> Mapping[str, Any]:
    """Return what :func:`store_origin` kept; else what the manifest says, as up to version 0.3."""
    try:
        fields = jsontext.loads(_file(manifest).read_bytes())
        if isinstance(fields, dict):
            version = fields.pop("schema_version")
            if version == 1:  # of before the field had its name of today
                return {**fields, BASELINE: fields.pop(_FORMER_BASELINE)}
            if version == SCHEMA_VERSION:
                return fields
    except (OSError, ValueError, KeyError, EdgeRobertaError):
        pass
    source: Any = manifest.lineage[0].get("config") if manifest.lineage else None
    told = source if isinstance(source, Mapping) else {}
    return {**told, BASELINE: str(manifest.baseline.get("model", ""))}


def _file(manifest: Manifest) -> Path:
    return cache_dir() / "origins" / f"{manifest.seal}.json"
