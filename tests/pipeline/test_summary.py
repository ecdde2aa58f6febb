from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import fake_stages
import pytest

from edgeroberta.pipeline import RunResult, StageRun, summary
from edgeroberta.tasks import Problem, Task

BUDGET = "ask for less: a lower --speedup, a higher --p95 or --p99, or a larger --size"
INT8 = "take nothing out of the model, int8 alone: --recipe int8"


def lines(*stages: str, verdict: str = "FAIL", crashed: bool = False, budget: bool = False) -> list[str]:
    """The last lines of a summary after stages of these names."""
    report: dict[str, Any] = {**fake_stages.REPORT, "judgement": {"verdict": verdict, "reason": "because"}}
    if crashed:
        report["engines"] = [{**each, "metrics": None} for each in report["engines"]]
    made = [SimpleNamespace(lineage=SimpleNamespace(stage=name, seconds=1.0), tier=None) for name in stages]
    items = tuple(StageRun(cast("Any", each), False) for each in made)
    text = summary.to_text(RunResult(Path("out"), report, items), budget=budget).splitlines()
    start = next(number for number, line in enumerate(text) if line.startswith("next:"))
    assert all(line.startswith(" " * 9) for line in text[start + 1 :])
    return [line[9:] for line in text[start:]]


@pytest.mark.parametrize(
    ("stages", "budget", "wanted"),
    [
        (
            ("distill", "quantize"),
            False,
            ["train longer, or on more texts: --set distill.epochs=N, --unlabelled FILE", INT8],
        ),
        (
            ("distill", "quantize"),
            True,
            ["train longer, or on more texts: --set distill.epochs=N, --unlabelled FILE", BUDGET],
        ),
        (("prune", "quantize"), False, ["let it recover for longer: --set prune.recovery.epochs=N", INT8]),
        (("vocabulary", "quantize"), False, [INT8]),
        (("quantize",), False, ["keep floats, which are larger and slower: --recipe fp32"]),
        (("export",), False, []),
    ],
    ids=str,
)
def test_after_a_gate_that_fails_the_next_steps_are_what_may_help(stages, budget, wanted):
    found = lines(*stages, budget=budget)
    assert found == ["see what failed, and what each stage lost: out/reports/report.html", *wanted]


def test_a_cascade_that_fails_may_ask_its_last_tier_more_often():
    found = lines("distill", "quantize", "cascade")
    assert found[1:3] == [
        "ask the last tier more often: a higher --set cascade.agreement=A",
        "choose by texts like those held out: --set cascade.texts=FILE",
    ]


def test_where_no_engine_answered_no_training_is_advised():
    assert len(lines("distill", "quantize", crashed=True)) == 1


@pytest.mark.parametrize("verdict", ["PASS", "INCONCLUSIVE"])
def test_a_bundle_that_did_not_fail_is_to_be_run(verdict):
    assert lines("distill", verdict=verdict)[1:] == ["edgeroberta serve out", "edgeroberta bench out"]


@pytest.mark.parametrize(
    ("task", "wanted"),
    [
        (Task(Problem.SINGLE_LABEL, ("a", "b")), '"A film to remember."'),
        (Task(Problem.SINGLE_LABEL, ("a", "b"), pair=True), '--pair "One text." "The other."'),
        (
            Task(Problem.SPANS, ("start", "end"), pair=True),
            '"A question?" "The context that it is asked of."',
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_to_be_typed_next_is_what_the_task_takes_also_without_a_gate(task, wanted):
    text = summary.to_text(RunResult(Path("out"), None, (), task))
    assert f"next:    edgeroberta run out {wanted}\n" in text


@pytest.mark.parametrize(("folder", "mask"), [("tokenizer", "<mask>"), ("tokenizer-bert", "[MASK]")])
def test_the_text_to_try_has_the_mask_of_the_models_tokenizer(folder, mask, tokenizer_folder):
    """A text without a mask would be refused."""
    bundle = tokenizer_folder.parent / folder
    text = summary.to_text(RunResult(bundle, None, (), Task(Problem.MASKED, (), dimensions=20, mask_id=4)))
    assert f'"A film to {mask}."' in text
