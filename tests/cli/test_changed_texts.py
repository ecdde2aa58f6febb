"""``--swaps`` and ``--perturb``: of reference and verify."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import fake_bundles
import numpy as np
import pytest

from edgeroberta import cli
from edgeroberta.data import load_heldout
from edgeroberta.data.rows import DataSpec
from edgeroberta.evaluation import baseline_store, changed_answers, changed_reference
from edgeroberta.evaluation.changed_rows import ChangeOptions, change
from edgeroberta.evaluation.limits import GateLimits, SwapLimits
from edgeroberta.runtime import Runtime
from edgeroberta.tasks import Outputs

ROWS = 240
LENIENT = GateLimits(max_drop=0.5, min_agreement=0.5)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Rows about women and men, labelled as the toy answers them."""
    toy = fake_bundles.write(tmp_path_factory.mktemp("toy"))
    rng = np.random.default_rng(0)
    texts = [
        f"{'she' if row % 2 else 'he'} and {' '.join(rng.choice(fake_bundles.WORDS, 6))} {row}"
        for row in range(ROWS)
    ]
    with Runtime.open(toy) as runtime:
        labels = [str(answer.label) for answer in runtime(texts)]
    file = tmp_path_factory.mktemp("data") / "rows.csv"
    with file.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([("text", "label"), *zip(texts, labels, strict=True)])
    return file


def bundle_of(folder: Path, data: Path, options: ChangeOptions, *, gate: GateLimits = LENIENT) -> Path:
    """Write a bundle whose reference was asked changed texts, and says of them what the bundle does."""
    bundle = fake_bundles.with_reports(folder, data, wrong=0, gate=gate)
    rows = load_heldout(DataSpec(str(data), eval_data=str(data)), fake_bundles.TASK)
    changed = change(rows, options, fake_bundles.TASK)
    with Runtime.open(bundle) as runtime:
        said = runtime.logits(changed_answers.inputs(changed))
    place = bundle / "reports" / "reference"
    asked = changed_answers.of_outputs(options, changed, Outputs.of_texts(said))
    baseline_store.save(replace(baseline_store.load(place), changed=asked), place)
    fake_bundles.seal(bundle, data=data)
    return bundle


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as leave:
        cli.main([str(word) for word in words])
    return leave.value.code if isinstance(leave.value.code, int) else 0


def test_what_a_bundle_was_asked_is_asked_again_and_its_gate_holds(data, tmp_path, capsys):
    options = changed_reference.options(("gender",), ("case",), seed=3)
    gate = replace(LENIENT, swaps=SwapLimits(0.05))
    bundle = bundle_of(tmp_path / "bundle", data, options, gate=gate)
    assert run("verify", bundle, "--json", "-o", tmp_path / "report") == 0
    found = json.loads(capsys.readouterr().out)
    (engine,) = found["engines"]
    assert found["gate"]["swaps"] == {"max_increase": 0.05}
    assert (engine["swaps"][0]["name"], engine["swaps"][0]["rows"]) == ("gender", ROWS)
    assert engine["swaps"][0]["verdict"] == "PASS"
    # The baseline's answers here are the toy's own: what it does with swaps and case, both do alike.
    assert engine["swaps"][0]["baseline"] == engine["swaps"][0]["compressed"] > 0
    assert engine["robustness"][0]["agreement"]["mean"] == 1.0
    assert engine["robustness"][0]["verdict"] is None
    assert run("verify", bundle) == 0
    said = capsys.readouterr().out
    assert "## Swapped terms" in said
    assert "## Perturbed texts" in said


def test_a_bundle_that_changes_more_answers_than_its_baseline_fails_with_exit_3(data, tmp_path, capsys):
    """Its baseline says of swapped texts what it says of the texts."""
    options = changed_reference.options(("gender",), (), seed=0)
    bundle = bundle_of(tmp_path / "bundle", data, options, gate=replace(LENIENT, swaps=SwapLimits(0.02)))
    place = bundle / "reports" / "reference"
    stored = baseline_store.load(place)
    assert stored.changed is not None
    baseline_store.save(replace(stored, changed=replace(stored.changed, outputs=stored.outputs)), place)
    fake_bundles.seal(bundle, data=data)
    assert run("verify", bundle, "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert found["engines"][0]["swaps"][0]["baseline"] == 0.0
    assert found["engines"][0]["swaps"][0]["only_baseline"] == 0
    assert found["judgement"]["reason"].startswith("onnxruntime: swapping gender changes the answer of ")


def test_options_choose_of_what_was_asked(data, tmp_path, capsys):
    options = changed_reference.options(("gender",), ("case", "typos"), seed=0)
    bundle = bundle_of(tmp_path / "bundle", data, options)
    assert run("verify", bundle, "--perturb", "typos", "--json") == 0
    (engine,) = json.loads(capsys.readouterr().out)["engines"]
    assert [each["name"] for each in engine["robustness"]] == ["typos"]
    assert [each["name"] for each in engine["swaps"]] == ["gender"]


def test_options_bound_what_the_gate_of_the_bundle_does_not(data, tmp_path, capsys):
    options = changed_reference.options(("gender",), ("case",), seed=0)
    bundle = bundle_of(tmp_path / "bundle", data, options)
    assert run("verify", bundle, "--max-swap-increase", 0.05, "--max-perturbed-drop", 0.04, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["gate"]["swaps"] == {"max_increase": 0.05}
    assert found["gate"]["robustness"] == {"max_drop": 0.04, "min_agreement": None}
    (engine,) = found["engines"]
    assert [each["verdict"] for each in (*engine["swaps"], *engine["robustness"])] == ["PASS", "PASS"]
    # Of 240 texts none changes more, and that rules out 1.5 points, but not half of one.
    assert run("verify", bundle, "--max-swap-increase", 0.005, "--json") == 0
    judgement = json.loads(capsys.readouterr().out)["judgement"]
    assert judgement["verdict"] == "INCONCLUSIVE"
    assert judgement["reason"].startswith("onnxruntime: swapping gender changes the answer of")


@pytest.mark.parametrize("option", ["--max-swap-increase", "--max-perturbed-drop"])
def test_bounds_that_make_no_sense_are_refused(data, tmp_path, capsys, option):
    bundle = fake_bundles.with_reports(tmp_path / "bundle", data, wrong=0, gate=LENIENT)
    assert run("verify", bundle, option, 3) == 2
    assert f"error: {option}: must be from 0 to 1, not 3" in capsys.readouterr().err
    assert run("verify", bundle, option, "nan") == 2
    assert run("verify", bundle, option, 0.1) == 2
    assert "and the baseline was not asked such texts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--swaps", "gender,age"), "the baseline was not asked these changed texts (--swaps gender,age)"),
        (("--perturb", "width"), "was not asked these changed texts (--swaps gender --perturb width)"),
        (("--swaps", "gendre"), "no list of terms is called 'gendre'\n  next: did you mean 'gender'?"),
        (("--perturb", "upper"), "no perturbation is called 'upper'"),
        (("--swaps", "gender,gender"), "two lists are called 'gender'"),
    ],
)
def test_what_the_baseline_was_not_asked_is_refused_with_what_to_run(data, tmp_path, capsys, words, what):
    bundle = bundle_of(tmp_path / "bundle", data, changed_reference.options(("gender",), (), seed=0))
    assert run("verify", bundle, *words) == 2
    assert what in capsys.readouterr().err


def test_a_gate_about_swaps_is_not_forgotten_where_a_reference_was_not_asked(data, tmp_path, capsys):
    options = changed_reference.options(("gender",), (), seed=0)
    bundle = bundle_of(tmp_path / "bundle", data, options, gate=replace(LENIENT, swaps=SwapLimits(0.02)))
    stored = baseline_store.load(bundle / "reports" / "reference")
    baseline_store.save(replace(stored, changed=None), tmp_path / "ref")
    assert run("verify", bundle, "--reference", tmp_path / "ref") == 2
    said = capsys.readouterr().err
    assert "the baseline was not asked these changed texts (--swaps gender)" in said
    assert (
        "next: edgeroberta reference MODEL --data … --swaps gender -o ref/, then add --reference ref/" in said
    )


def test_a_file_of_the_user_s_must_be_the_one_that_was_asked(data, tmp_path, capsys):
    mine = tmp_path / "mine.toml"
    mine.write_text('pairs = [["he", "she"]]', encoding="utf-8")
    bundle = bundle_of(tmp_path / "bundle", data, changed_reference.options((str(mine),), (), seed=0))
    assert run("verify", bundle, "--swaps", mine, "--json") == 0
    (engine,) = json.loads(capsys.readouterr().out)["engines"]
    assert engine["swaps"][0]["name"] == "mine"
    mine.write_text('pairs = [["he", "it"]]', encoding="utf-8")
    assert run("verify", bundle, "--swaps", mine) == 2
    assert "was not asked these changed texts (--swaps mine)" in capsys.readouterr().err


def test_damaged_answers_are_refused(data, tmp_path, capsys):
    bundle = bundle_of(tmp_path / "bundle", data, changed_reference.options(("gender",), (), seed=0))
    (bundle / "reports" / "reference" / "changed.npz").write_bytes(b"nothing")
    assert run("verify", bundle) == 2
    assert "damaged answers to changed texts (changed.npz has another sha256)" in capsys.readouterr().err


def test_a_reference_is_asked_changed_texts(tiny_checkpoint, data, tmp_path, capsys):
    words = (
        "--eval-data",
        data,
        "--device",
        "cpu",
        "--swaps",
        "gender",
        "--perturb",
        "case,typos",
        "--seed",
        4,
    )
    assert run("reference", tiny_checkpoint, "--data", data, "-o", tmp_path / "ref", *words) == 0
    assert f"also asked: {ROWS} texts with swapped terms (gender), " in capsys.readouterr().out
    found = baseline_store.load(tmp_path / "ref").changed
    assert found is not None
    assert [each.name for each in found.options.swaps] == ["gender"]
    assert (found.options.perturb, found.options.seed) == (("case", "typos"), 4)
    assert len(found.outputs) == 3 * ROWS
    assert set(baseline_store.files(tmp_path / "ref")) == set((tmp_path / "ref").iterdir())


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--swaps", "religion"), "none of 240 texts has a term of the list 'religion'"),
        (("--swaps", "dialect"), "no list of terms is called 'dialect'"),
        (("--perturb", "noise"), "no perturbation is called 'noise'"),
    ],
)
def test_a_reference_that_cannot_be_asked_is_refused(tiny_checkpoint, data, tmp_path, capsys, words, what):
    output = tmp_path / "ref"
    assert run("reference", tiny_checkpoint, "--data", data, "--eval-data", data, "-o", output, *words) == 2
    assert what in capsys.readouterr().err
    assert not output.exists()
