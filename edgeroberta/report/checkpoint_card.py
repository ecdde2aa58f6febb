"""README.md of a checkpoint that was made of text alone: a model card that the Hugging Face Hub reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from edgeroberta.escaping import one_line
from edgeroberta.report import pretraining, rendering
from edgeroberta.report.table import Table
from edgeroberta.runtime.mask_token import USUAL


def write(facts: Mapping[str, Any]) -> str:
    """Write the card. ``facts``: what ``pretraining.json`` says, see ``pipeline/checkpoint_files.py``."""
    model, found = facts["model"], facts["pretraining"]
    base = model["base"]
    distilled = any(each.get("student") for each in found)
    stages = [(each["stage"], f"{each['seconds']:.1f}") for each in facts["stages"][1:]]
    return rendering.render(
        "checkpoint.md.j2",
        front_matter=_front_matter(model),
        name="A small encoder of its own"
        if base is None
        else f"{_name(base)}, {'distilled' if distilled else 'adapted'}",
        distilled=distilled,
        base=base,
        model=model,
        facts=facts,
        runs=[
            {"sentences": list(pretraining.sentences(each)), "table": pretraining.table(each)}
            for each in found
            if each.get("history")
        ],
        mask=USUAL[model["family"] == "bert"],
        stages=Table.of(("stage", "seconds"), stages),
    )


def _name(base: str) -> str:
    return one_line(PurePath(base).name)


def _front_matter(model: Mapping[str, Any]) -> str:
    import yaml

    fields: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "fill-mask",
        "tags": ["edgeroberta", model["family"], "fill-mask"],
    }
    if model["license"]:
        fields["license"] = model["license"]
    if model["base"] is not None and "/" in model["base"]:  # an id on the Hub
        fields["base_model"] = model["base"]
    written: str = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
    return written
