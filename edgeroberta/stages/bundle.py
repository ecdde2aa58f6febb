"""The stage ``bundle``: put draft, verdict, reports, recipe and model card into the folder that ships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeroberta.context import Context
from edgeroberta.settings import StageConfig
from edgeroberta.stages import stage
from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import Kind, copy_tree, write_text
from edgeroberta.storage.files import README, RECIPE, REPORT


class BundleConfig(StageConfig):
    """Nothing to choose: a bundle is what the stages before it made."""


@stage("bundle", config=BundleConfig, reads=(Kind.DRAFT, Kind.REPORT), writes=Kind.BUNDLE)
def bundle(config: BundleConfig, context: Context) -> Mapping[str, Any]:
    """Write the bundle; one that did not pass its gate is written, too, and says so."""
    from edgeroberta.bundle_writer import seal
    from edgeroberta.report import base_card, card
    from edgeroberta.runtime.manifest import MANIFEST_FILE
    from edgeroberta.stages.build import lineage
    from edgeroberta.storage import yamltext
    from edgeroberta.storage.publishing import without_folders

    draft, report_folder = context.inputs[Kind.DRAFT].path, context.inputs[Kind.REPORT].path
    output = context.output
    copy_tree(draft, output)
    copy_tree(report_folder, output / "reports")
    report = jsontext.loads((report_folder / REPORT).read_bytes(), finite=False)
    fields = jsontext.loads((draft / MANIFEST_FILE).read_bytes())
    fields.update(gate=gate(report), lineage=lineage(context))
    recipe = yamltext.parse(context.recipe_text, where=RECIPE)
    write_text(output / RECIPE, yamltext.dump(without_folders(recipe)))
    stated = base_card.read(context.baseline.folder)
    family = context.baseline.config.family
    write_text(output / README, card.write(fields, report, base=stated, family=family))
    sealed = seal(output, fields)
    return {
        "verdict": report["judgement"]["verdict"],
        "digest": sealed.digest,
        "bytes": sum(entry.bytes for entry in sealed.files.values()),
    }


def gate(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the manifest says of the gate.

    ``report``: ``report.json``. Returns verdict and reason; the metric of the baseline and, per
    engine, metric, drop (mean, low, high) and agreement; what was allowed; and on how many rows of which
    data.
    """
    metric = report["metric"]
    return {
        **report["judgement"],
        "allowed": report["gate"],
        "metric": metric,
        "baseline": report["baseline"]["metrics"][metric],
        "engines": {
            result["engine"]: {
                "verdict": result["judgement"]["verdict"],
                metric: (result["metrics"] or {}).get(metric),
                "drop": result["drop"],
                "agreement": result["agreement"],
            }
            for result in report["engines"]
        },
        "rows": report["data"]["rows"],
        "data_digest": report["data"]["digest"],
    }
