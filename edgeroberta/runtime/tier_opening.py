"""Opens the tiers of a cascade: reads what lies below ``tiers`` as strictly as the bundle around it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeroberta.errors import BundleError, UsageError
from edgeroberta.runtime import asking, manifest, preferences, tokenids
from edgeroberta.runtime.goldens import Goldens
from edgeroberta.runtime.manifest import MANIFEST_FILE, Manifest, damaged
from edgeroberta.runtime.session import Ids, choose_engine
from edgeroberta.runtime.tier_facts import TierFacts, mismatch
from edgeroberta.runtime.tier_reading import TierReader
from edgeroberta.runtime.tokenizer import TextTokenizer

#: How a table begins as ``numpy.save`` writes it. Read here, since ``numpy.load`` runs a parser over what a
#: foreign file has in its place, and trusts the size that it states.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '<i4', 'fortran_order': False, 'shape': \((?P<rows>\d{1,9}),\), \} *\n",
    re.DOTALL,
)


@dataclass(frozen=True)
class NestedTier:
    """A tier that lies below a bundle."""

    facts: TierFacts  # what the bundle says of it
    manifest: Manifest  # what it says itself


def read(facts: Manifest) -> dict[str, NestedTier]:
    """Read the manifests of a bundle's tiers but the last, by name; nothing of a bundle of one model.

    Files are checked with those of the bundle, which lists them all. Raises BundleError: a manifest is
    damaged, does not go with the bundle's, or is that of a model whose answers cannot stand for the last
    tier's.
    """
    if facts.cascade is None:
        return {}
    return {tier.name: NestedTier(tier, _nested(facts, tier)) for tier in facts.cascade.tiers}


def _nested(facts: Manifest, tier: TierFacts) -> Manifest:
    file = f"{tier.folder}/{MANIFEST_FILE}"
    where = facts.folder / file
    if file not in facts.files:
        raise BundleError(f"does not list {file}", where=str(facts.folder / MANIFEST_FILE))
    manifest.check_file(facts, file)
    found = manifest.read(where.parent)
    if found.digest != tier.digest:
        raise damaged(where, "not the tier that the bundle was made with")
    listed = {f"{tier.folder}/{name}": entry for name, entry in found.files.items()}
    if any(facts.files.get(name) != entry for name, entry in listed.items()):
        raise damaged(where, "lists other files than the bundle")
    if tier.token_ids is not None and tier.token_ids not in listed:
        raise damaged(where, f"does not list {tier.token_ids.rpartition('/')[2]}")
    why = mismatch(found.task, facts.task, tier.calibration, cut=tier.token_ids is not None)
    if why is None and found.cascade is not None:
        why = "it is a cascade itself"
    if why is not None:
        raise BundleError(f"cannot be a tier of this bundle: {why}", where=str(where))
    return found


def names_of(facts: Manifest) -> tuple[str, ...]:
    """Return the names of a bundle's models, the last one's last; one without a name where it is alone."""
    return ("",) if facts.cascade is None else facts.cascade.names


def choose_engines(
    wanted: str | Sequence[str] | None,
    facts: Manifest,
    nested: Mapping[str, NestedTier],
    alone: str | None = None,
) -> dict[str, str]:
    """Choose the engine of each model that is to be opened, by its name.

    Args:
        wanted: One engine for all, or one for each tier, with commas or as a list; None for what was found
            best on this device, else the first that all tiers were built for and that is installed.
        facts: The bundle's manifest.
        nested: Its tiers but the last.
        alone: Name of the tier that is to answer alone.

    Raises:
        UsageError: There is no such tier, or not one engine for each, or a tier was not built for its engine.
        UnavailableError: An engine is not installed.
    """
    names = names_of(facts)
    if alone is not None and (not nested or alone not in names):
        raise asking.unknown_tier(alone, names if nested else ())
    listed = [None] * len(names) if wanted is None else _one_each(_listed(wanted), names)
    known = _listed(preferences.preferred(facts.digest) or "") if wanted is None else []
    best = known * len(names) if len(known) == 1 else known
    chosen = {}
    for number, name in enumerate(names):
        if alone not in (None, name):
            continue
        own = nested[name].manifest.engines if name in nested else ()
        chosen[name] = choose_engine(
            listed[number],
            [*facts.engines, *(each for each in own if each not in facts.engines)],
            preferred=best[number] if len(best) == len(names) else None,
            model=f"the tier {name}" if nested else "the bundle",
        )
    return chosen


def _listed(engines: str | Sequence[str]) -> list[str]:
    return [each.strip() for each in (engines.split(",") if isinstance(engines, str) else engines)]


def _one_each(engines: list[str], names: Sequence[str]) -> list[str]:
    if len(engines) == 1:
        return engines * len(names)
    if len(engines) != len(names):
        what = f"{len(engines)} engines"
        whom = f"the tiers {', '.join(names)}" if len(names) > 1 else "one model"
        raise UsageError(f"{what} for {whom}", where="engine", hint="one for all, or one for each tier")
    return engines


def token_ids(facts: Manifest, tier: NestedTier) -> Ids | None:
    """Read a tier's own id of each of the last tier's tokens, int64 [V]; None where they have one tokenizer.

    The file's sha256 must have been checked. Raises BundleError: it is no such table.
    """
    if tier.facts.token_ids is None:
        return None
    file = facts.folder / tier.facts.token_ids
    rows, own = tokenids.vocab_size(facts), tokenids.vocab_size(tier.manifest)
    data = file.read_bytes()
    head = _HEADER.match(data)
    if head is None or int(head["rows"]) != rows or len(data) - head.end() != 4 * rows:
        raise damaged(file, f"not int32 [{rows}] in numpy's format")
    table = np.frombuffer(data, "<i4", offset=head.end()).astype(np.int64)
    low, high = table.min(initial=0), table.max(initial=-1)
    if own is None or low < -1 or high >= own:
        raise damaged(file, f"ids from {low} to {high} of {own} tokens")
    return table


def check_tokens(wanted: Goldens, tokenizer: TextTokenizer, reader: TierReader, tier: NestedTier) -> None:
    """Check that the last tier's tokens give the golden ids of a tier, where they tell them.

    Raises BundleError: they give others. Texts that the tier has to tokenize again are left to its own
    tokenizer, and so are those that fill the model, which may be cut off.
    """
    room = min(tokenizer.max_length, reader.max_length)
    encodings = tokenizer.truncated(wanted.inputs)
    for item, encoding, ids in zip(wanted.inputs, encodings, wanted.ids, strict=True):
        found = reader.through_table(encoding)
        if found is None or len(found.ids) >= room or len(ids) >= room:
            continue
        if tuple(found.ids.tolist()) != ids:
            raise BundleError(
                f"the bundle's tokenizer gives the tier {tier.facts.name} other tokens for {item!r} than "
                "where the bundle was made",
                where=str(tier.manifest.folder),
                hint="pip install --upgrade tokenizers",
            )


def tokenizers_version() -> str:
    """Return the version of the ``tokenizers`` package."""
    import tokenizers

    return f"tokenizers {tokenizers.__version__}"
