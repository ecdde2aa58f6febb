"""Writes cascades: one bundle of the finished drafts of several models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta import bundle_writer
from edgeroberta.errors import EdgeRobertaError, UsageError, shown
from edgeroberta.roberta import files, token_table
from edgeroberta.runtime.manifest import MANIFEST_FILE, Manifest, read
from edgeroberta.runtime.tier_facts import NAME, TIERS, CascadeFacts, TierFacts, mismatch
from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import copy_tree, replacing
from edgeroberta.tasks import Calibration

#: Beside a tier's own tokenizer: its ids of the last tier's tokens.
TOKEN_IDS_FILE = "token_ids.npy"


@dataclass(frozen=True)
class TierDraft:
    """A model of a cascade; of the last one, nothing but name and folder is looked at."""

    name: str  # what predictions call it, and its folder below ``tiers``
    folder: Path  # a draft, see :mod:`edgeroberta.stages.build`
    threshold: float = math.inf  # least confidence with which its answer is given
    calibration: Calibration = field(default_factory=Calibration)  # what makes a confidence of its outputs
    share: float = 0.0  # part of the texts that it answered where the threshold was chosen


def write(
    output: Path,
    tiers: Sequence[TierDraft],
    *,
    agreement: float,
    confidence: float,
    rows: int,
    changes: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write a draft with several models into an empty folder.

    Args:
        output: The folder; the last model is at its top, where other programs look for one.
        tiers: At least two, in the order in which they are asked.
        agreement: Share of texts that get the last model's answer, at least.
        confidence: How sure that is.
        rows: Different texts that the thresholds were chosen by.
        changes: Fields of the manifest that differ from the last model's, such as ``lineage``.

    Returns:
        The manifest. Its engines are those that all models were built for, in the order of the last one's.

    Raises:
        UsageError: There are not several models, two have one name, a name is no folder's, or a threshold is
            not finite.
        EdgeRobertaError: The answers of one cannot stand for those of the last one, or they have no engine
            in common.
    """
    _require_names([tier.name for tier in tiers])
    drafts = [read(tier.folder) for tier in tiers]
    *first, last = drafts
    engines = [name for name in last.engines if all(name in draft.engines for draft in first)]
    if not engines:
        built = "; ".join(
            f"{tier.name}: {', '.join(draft.engines)}" for tier, draft in zip(tiers, drafts, strict=True)
        )
        raise EdgeRobertaError(
            f"no engine has all tiers ({built})", hint="give build.engines the same names in all of them"
        )
    copy_tree(last.folder, output)
    facts = CascadeFacts(
        tiers=tuple(_write_tier(output, *each, last) for each in zip(tiers, first, strict=False)),
        last=tiers[-1].name,
        agreement=agreement,
        confidence=confidence,
        rows=rows,
    )
    fields = _fields(last.folder)
    return bundle_writer.seal(
        output, {**fields, "engines": engines, "cascade": facts.to_json(), **(changes or {})}
    )


def _write_tier(output: Path, tier: TierDraft, draft: Manifest, last: Manifest) -> TierFacts:
    """Copy a draft below ``tiers``, without the tokenizer where it is the last one's."""
    shared = token_table.same_tokenizer(draft.folder, last.folder)
    if (why := mismatch(draft.task, last.task, tier.calibration, cut=not shared)) is not None:
        raise EdgeRobertaError(f"cannot be a tier: {why}", where=tier.name)
    if not math.isfinite(tier.threshold):
        raise UsageError("has no threshold", where=tier.name, hint="leave a tier out that never answers")
    name = f"{TIERS}/{tier.name}"
    folder = output / name
    copy_tree(draft.folder, folder)
    token_ids = None
    if shared:
        for file in files.TOKENIZERS:
            (folder / file).unlink(missing_ok=True)
    else:
        token_ids = f"{name}/{TOKEN_IDS_FILE}"
        with replacing(output / token_ids) as handle:
            np.save(handle, token_table.of_cut(draft.folder, last.folder), allow_pickle=False)
    sealed = bundle_writer.seal(folder, _fields(draft.folder))
    return TierFacts(tier.name, name, sealed.digest, tier.threshold, tier.calibration, tier.share, token_ids)


def _fields(draft: Path) -> dict[str, Any]:
    found: dict[str, Any] = jsontext.loads((draft / MANIFEST_FILE).read_bytes())
    return found


def _require_names(names: Sequence[str]) -> None:
    if len(names) < 2:
        raise UsageError("a cascade has two tiers at least", where="tiers")
    for name in names:
        if not NAME.fullmatch(name):
            raise UsageError(
                f"{shown(name)} is no name of a tier",
                where="tiers",
                hint="letters, digits, - and _, at most 64",
            )
    if len({name.lower() for name in names}) < len(names):
        raise UsageError(f"two tiers have one name: {', '.join(names)}", where="tiers")
