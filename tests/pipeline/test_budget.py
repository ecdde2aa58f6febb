"""From a budget to a bundle: on a tiny model, with a table of round numbers in place of a measured one."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import latency_tables
import pytest

from edgeroberta import cli, recipe
from edgeroberta.data import DataSpec
from edgeroberta.errors import UsageError
from edgeroberta.latency import measuring
from edgeroberta.pipeline import budget, compression
from edgeroberta.pipeline.compression import Request
from edgeroberta.planning.limits import Limits
from edgeroberta.progress import Progress

WORDS = ("good", "bad", "film", "story", "dull", "bright", "long")
QUICK = ("distill.epochs=1", "quantize.samples=8", "verify.latency_rows=5")


@pytest.fixture
def ask(make_checkpoint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """A request for a tiny model of three layers; the device is a round one."""
    rows = tmp_path / "rows.csv"
    with rows.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "label"])
        for index in range(120):
            words = [WORDS[index * step % 7] for step in range(1, 5 + index % 7)]
            writer.writerow([f"{' '.join(words)} {index}", ("negative", "positive")[index % 2]])
    model = make_checkpoint(("negative", "positive"), num_hidden_layers=3)

    def measure(wanted: Any, **options: Any) -> Any:
        asked.append(options)
        return latency_tables.table(wanted.shape)

    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(measuring, "measure", measure)
    return Request(
        model=str(model),
        data=DataSpec(str(rows), eval_fraction=0.3),
        recipe="int8-distill",
        overrides=QUICK,
        target="arm",
        output=tmp_path / "out",
        work=None,
        reference=None,
    )


def test_a_loose_budget_ends_in_int8_alone_without_training(ask: Request) -> None:
    found = budget.compress(ask, Limits(speedup=1.5, keep=0.5), progress=Progress())
    assert found.result.stages[0].artifact.lineage.stage == "export"
    assert found.outcome is not None
    assert (found.outcome.chosen.name, found.outcome.probes) == ("3 layers", ())
    written = json.loads((found.result.bundle / "reports" / "budget.json").read_text())
    assert written["predicted"]["speedup"] == pytest.approx(12.1 / 3.1)
    assert written["measured"]["p50_ms"] > 0


@pytest.mark.slow
def test_a_tight_budget_compares_candidates_and_its_recipe_makes_the_same_again(ask: Request) -> None:
    lines: list[str] = []

    class Listening(Progress):
        def line(self, text: str) -> None:
            lines.append(text)

    limits = Limits(speedup=6, bytes=2_000_000, keep=0.5)
    found = budget.compress(ask, limits, progress=Listening())
    outcome = found.outcome
    assert outcome is not None
    assert len(outcome.probes) >= 2
    assert outcome.chosen == outcome.probes[0].candidate
    assert [probe.agreement for probe in outcome.probes] == sorted(
        (probe.agreement for probe in outcome.probes), reverse=True
    )
    assert sum("of the validation answers" in line for line in lines) == len(outcome.probes)
    front = json.loads((found.result.bundle / "reports" / "front.json").read_text())
    assert {"full size, float", outcome.chosen.name} <= {point["name"] for point in front["points"]}
    assert (found.result.bundle / "reports" / "front.svg").read_text().startswith("<svg")

    again = budget.compress(ask, limits, progress=Progress())
    assert all(made.reused for made in again.result.stages)
    text = found.result.bundle / "recipe.yaml"
    assert recipe.load(str(text)).text == text.read_text()
    copied = text.rename(ask.output.parent / "again.yaml") if ask.output else text
    plain = replace(ask, recipe=str(copied), overrides=())
    assert all(made.reused for made in compression.compress(plain, progress=Progress()).stages)


def test_an_impossible_budget_is_refused_before_anything_is_made(ask: Request) -> None:
    hopeless = Limits(speedup=1000, keep=1.0)
    with pytest.raises(UsageError, match="no model meets"):
        budget.compress(ask, hopeless, progress=Progress())
    assert not (ask.output or Path()).exists()


def test_another_machine_is_measured_there_and_not_taken_for_measured_here(ask: Request) -> None:
    def timer(*arguments: Any) -> Any:
        raise AssertionError("the table is a fake one")

    limits = Limits(speedup=1.5, p95=1.0, keep=0.5)
    found = budget.compress(ask, limits, progress=Progress(), host="user@board", timer=timer)
    assert found.outcome is not None
    assert found.outcome.measured["p50_ms"] is None
    assert "not measured here" in found.outcome.to_text(failed=False)
    assert "edgeroberta bench --host user@board" in found.outcome.to_text(failed=False)


def test_a_recipe_that_does_not_say_how_to_learn_is_refused(ask: Request) -> None:
    for name in ("int8", "finetune-int8"):
        with pytest.raises(UsageError, match="how a smaller model is to learn"):
            budget.compress(replace(ask, recipe=name, overrides=()), Limits(speedup=2), progress=Progress())


def test_a_budget_needs_a_model_and_rows(ask: Request) -> None:
    with pytest.raises(UsageError, match="fine-tuned MODEL"):
        budget.compress(replace(ask, model=None, data=None), Limits(speedup=2), progress=Progress())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--keep", "0.9"], "--keep is given but no budget"),
        (["--host", "user@board"], "--host is given but no budget"),
        (["--speedup", "2", "--dry-run"], "known when the device has been measured"),
        (["--p95", "soon"], "'soon' is no time"),
        (["--size", "tiny"], "'tiny' is no size"),
    ],
)
def test_options_that_make_no_budget_end_with_code_2(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["compress", "model", "--data", "rows.csv", *options])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
