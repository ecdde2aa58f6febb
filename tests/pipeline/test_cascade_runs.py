"""A cascade from end to end: from rows and a model to a bundle that answers, is verified and told of."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import edgeroberta
from edgeroberta.progress import Progress
from edgeroberta.runtime import Runtime, manifest
from edgeroberta.storage import yamltext

RECIPE = """\
schema_version: 1
name: mine
stages:
  - cascade:
      agreement: 0.6
      tiers:
        - name: static
          stages: [static: {pairs: 64, epochs: 1}, build: {engines: [onnxruntime], check: false}]
        - name: float
          stages: [export, build: {engines: [onnxruntime], check: false}]
  - verify: {latency_rows: 3, gate: {max_drop: 1, min_agreement: 0}}
  - bundle
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_checkpoint) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("run")
    (folder / "mine.yaml").write_text(RECIPE)
    with (folder / "reviews.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "label"])
        for row in range(160):
            writer.writerow(
                [f"a {('dull', 'bright')[row % 2]} film {row}", ("negative", "positive")[row % 2]]
            )
    result = edgeroberta.compress(
        tiny_checkpoint,
        folder / "reviews.csv",
        recipe=folder / "mine.yaml",
        output=folder / "out",
        progress=Progress(),
    )
    return folder, result


def test_the_bundle_answers_with_the_tiers_that_the_report_tells(made):
    folder, _ = made
    facts = manifest.read(folder / "out")
    told = json.loads((folder / "out" / "reports" / "report.json").read_text())["cascade"]
    assert told["rows_of"]["rows"] == 27
    assert told["choice"]["agreement"] == 0.6
    assert [row["name"] for row in told["choice"]["tiers"]] == ["static", "float"]
    if not told["choice"]["kept"]:  # the toy is as fast as what it stands for
        assert facts.cascade is None
        return
    assert facts.cascade is not None
    assert facts.cascade.names == ("static", "float")
    with Runtime.open(folder / "out") as runtime:
        assert {each.tier for each in runtime(["a dull film", "a bright film"])} <= {"static", "float"}
    heldout = told["heldout"]["onnxruntime"]
    assert sum(tier["texts"] for tier in heldout["tiers"]) == heldout["rows"] == 16


def test_every_stage_of_every_tier_is_told(made):
    _, result = made
    stages = [(each.get("tier"), each["stage"]) for each in result.to_json()["stages"]]
    assert stages == [
        ("static", "static"), ("static", "build"), ("float", "export"), ("float", "build"),
        (None, "cascade"), (None, "verify"), (None, "bundle"),
    ]  # fmt: skip
    text = str(result)
    assert "static: build" in text
    assert "tiers: of 27 training rows set aside" in text or "no cascade: " in text


def test_the_recipe_in_the_bundle_runs_again_and_finds_all_done(made, tiny_checkpoint):
    folder, _ = made
    shipped = folder / "out" / "recipe.yaml"
    assert (
        yamltext.parse(shipped.read_text(), where="")["stages"][0]["cascade"]["tiers"][0]["name"] == "static"
    )
    again = edgeroberta.preview(
        tiny_checkpoint,
        folder / "reviews.csv",
        recipe=shipped,
        output=folder / "again",
        work=folder / "out.work",
    )
    assert again.reused[:6] == (True,) * 6
