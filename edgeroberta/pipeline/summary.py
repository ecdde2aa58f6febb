"""What ``edgeroberta compress`` tells at its end: sizes, accuracy, speed, the verdict, what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeroberta.evaluation.per_stage import PerStageMetrics
from edgeroberta.evaluation.result import to_come
from edgeroberta.latency.int8 import Int8Speedup
from edgeroberta.pipeline import RunResult
from edgeroberta.pipeline.execution import StageRun
from edgeroberta.progress import duration
from edgeroberta.report import cascade_lines, engines_table, stage_metrics
from edgeroberta.runtime import mask_token
from edgeroberta.storage import artifact
from edgeroberta.tasks import Problem

SCHEMA_VERSION = 1


def to_json(result: RunResult) -> dict[str, Any]:
    """Return the outcome of a run for machines; ``verdict`` is None when the recipe does not verify."""
    report = result.report
    return {
        "schema_version": SCHEMA_VERSION,
        "bundle": str(result.bundle),
        "bytes": artifact.tree_bytes(result.bundle),
        "verdict": result.verdict,
        "report": report,
        "notes": list(result.notes),
        "stages": [
            {
                "stage": made.artifact.lineage.stage,
                **({"tier": made.artifact.tier} if made.artifact.tier else {}),
                "reused": made.reused,
                "seconds": made.artifact.lineage.seconds,
            }
            for made in result.stages
        ],
    }


def to_text(result: RunResult, *, program: str = "edgeroberta", budget: bool = False) -> str:
    """Return the outcome of a run for people: sizes, accuracy, speed, the verdict, the next commands."""
    bundle = shlex.quote(shown(result.bundle))
    call = f"{program} {{}} {bundle}".format
    lines = ["", spent(result.stages)]
    if result.notes:
        lines += ["", *result.notes]
    if result.report:
        lines += [*_stage_metrics(result.report), "", engines_table.table(result.report).text(), ""]
        cascade = list(cascade_lines.lines(result.report.get("cascade")))
        lines += [*cascade, ""] if cascade else []
        lines += _verdict(result.report)
    lines += ["", f"bundle:  {bundle}"]
    if result.report:
        lines.append(f"report:  {bundle}/reports/report.html")
    if result.verdict == "FAIL":
        steps = [f"see what failed, and what each stage lost: {bundle}/reports/report.html"]
        steps += _remedies(result, budget=budget)
    else:
        steps = [f"{call('run')} {_example(result)}", call("serve"), call("bench")]
    lines += [f"{'' if number else 'next:':<9}{step}" for number, step in enumerate(steps)]
    if result.report and any(to_come(each["engine"], each["status"]) for each in result.report["engines"]):
        lines += [
            f"before it is there: {call('check')}",
            f"on the device: edgeroberta build {bundle}, or from here: {call('bench')} --host user@device",
        ]
    return "\n".join(lines)


def _example(result: RunResult) -> str:
    """Return an input that the bundle answers, as it is typed."""
    if result.task is not None and result.task.problem is Problem.SPANS:
        return '"A question?" "The context that it is asked of."'
    if result.task is not None and result.task.problem is Problem.MASKED:
        return f'"A film to {mask_token.find(result.bundle).text}."'
    return '--pair "One text." "The other."' if result.task and result.task.pair else '"A film to remember."'


def _remedies(result: RunResult, *, budget: bool) -> list[str]:
    """Say what may lose less; nothing where an engine failed of which no answers are known."""
    engines = (result.report or {}).get("engines", ())
    if not any(each["metrics"] for each in engines):
        return []
    made = [each.artifact.lineage.stage for each in result.stages]
    lines = []
    if "cascade" in made:
        lines.append("ask the last tier more often: a higher --set cascade.agreement=A")
        lines.append("choose by texts like those held out: --set cascade.texts=FILE")
    if "distill" in made:
        lines.append("train longer, or on more texts: --set distill.epochs=N, --unlabelled FILE")
    elif "prune" in made:
        lines.append("let it recover for longer: --set prune.recovery.epochs=N")
    if budget:
        lines.append("ask for less: a lower --speedup, a higher --p95 or --p99, or a larger --size")
    elif {"distill", "prune", "vocabulary"} & set(made):
        lines.append("take nothing out of the model, int8 alone: --recipe int8")
    elif "quantize" in made:
        lines.append("keep floats, which are larger and slower: --recipe fp32")
    return lines


def _stage_metrics(report: Mapping[str, Any]) -> list[str]:
    """Lay out the metrics of the model after every stage; nothing for a report of an older version."""
    if report.get("per_stage") is None:
        return []
    per_stage = PerStageMetrics.from_json(report["per_stage"])
    lines = [stage_metrics.table(per_stage).text()] if per_stage.rows else []
    return ["", *lines, *stage_metrics.notes(per_stage)[0 if per_stage.missing else 1 :]]


def _verdict(report: Mapping[str, Any]) -> list[str]:
    judgement = report["judgement"]
    warnings = [f"WARNING: {warning}" for warning in report.get("warnings", ())]
    gains = [(each["engine"], Int8Speedup(**each["gain"])) for each in report["engines"] if each.get("gain")]
    warnings += [str(gain.sentence(engine)) for engine, gain in gains if gain.low]
    return [*warnings, f"{judgement['verdict']}: {judgement['reason']}"]


def spent(stages: Sequence[StageRun]) -> str:
    """Say how long the stages of a run took, and how many were there."""
    fresh = [made.artifact.lineage.seconds for made in stages if not made.reused]
    reused = len(stages) - len(fresh)
    if not fresh:
        return f"all {reused} stages reused"
    took = f"{len(fresh)} {'stage' if len(fresh) == 1 else 'stages'} in {duration(sum(fresh))}"
    return f"{took}, {reused} reused" if reused else took


def shown(path: Path) -> str:
    """Return a path relative to the current folder where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
