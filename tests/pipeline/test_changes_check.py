from __future__ import annotations

from dataclasses import replace

import fake_bundles
import numpy as np
import pytest

from edgeroberta import recipe
from edgeroberta.data.rows import Rows
from edgeroberta.errors import DataError, RecipeError, UsageError
from edgeroberta.evaluation import baseline_store
from edgeroberta.pipeline import changes_check

ROWS = Rows(("he is", "很好"), None, np.array([0, 1]), "rows.csv")


def check(*settings: str, rows: Rows = ROWS, reference=None) -> None:
    changes_check.check(recipe.load("int8", settings), fake_bundles.TASK, rows, reference=reference, seed=0)


def test_what_can_be_asked_passes():
    check()
    check("verify.swaps=[gender]", "verify.gate.swaps.max_increase=0.02")
    check("verify.perturb=[case]", "verify.gate.robustness={max_drop: 0.03}")


@pytest.mark.parametrize(
    ("settings", "error", "what"),
    [
        (
            ("verify.gate.swaps={max_increase: 0.02}",),
            RecipeError,
            "the gate bounds swaps, and no changed texts",
        ),
        (("verify.gate.robustness={}",), RecipeError, "the gate bounds robustness, and no changed texts"),
        (("verify.swaps=[gendre]",), UsageError, "no list of terms is called 'gendre'"),
        (("verify.swaps=[none.toml]",), UsageError, "cannot be read"),
        (("verify.swaps=[religion]",), DataError, "none of 2 texts has a term of the list 'religion'"),
        (("verify.perturb=[noise]",), UsageError, "no perturbation is called 'noise'"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_made(settings, error, what):
    with pytest.raises(error) as refused:
        check(*settings)
    assert refused.value.what.startswith(what)
    assert refused.value.hint


def test_a_perturbation_that_changes_nothing_is_refused_before_anything_is_made():
    with pytest.raises(DataError, match="'case' changes none of 1 texts"):
        check("verify.perturb=[case]", rows=ROWS.select([1]))


def test_a_reference_in_half_precision_without_the_answers_is_refused_before_anything_is_made(tmp_path):
    made = fake_bundles.fixed_reference(ROWS, np.eye(2, dtype=np.float32))
    baseline_store.save(made, tmp_path / "float")
    baseline_store.save(replace(made, dtype="float16"), tmp_path / "half")
    check("verify.swaps=[gender]", reference=tmp_path / "float")
    check(reference=tmp_path / "half")
    with pytest.raises(UsageError, match="the baseline ran in float16 and was not asked"):
        check("verify.swaps=[gender]", reference=tmp_path / "half")
