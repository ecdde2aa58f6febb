"""Bundles that are asked swapped and perturbed texts: unfair and brittle ones are found, others are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_bundles
import numpy as np
import pytest
from fake_bundles import FakeWorker

from edgeroberta.data.rows import Rows
from edgeroberta.errors import UsageError
from edgeroberta.evaluation import EvaluationOptions, changed_answers, changed_reference, verify
from edgeroberta.evaluation.changed_rows import ChangeOptions, change
from edgeroberta.evaluation.limits import GateLimits, RobustnessLimits, SwapLimits
from edgeroberta.evaluation.result import GateVerdict, Report
from edgeroberta.measure.process import WorkerError
from edgeroberta.measure.protocol import RowStatus
from edgeroberta.progress import Progress
from edgeroberta.report.verification import markdown, summary
from edgeroberta.tasks import Outputs

Answer = Callable[[str], bool]
GENDER = changed_reference.options(("gender",), (), seed=0)
TYPOS = changed_reference.options((), ("typos", "case"), seed=0)
SWAPS = GateLimits(min_agreement=0.9, swaps=SwapLimits(0.02))
ROBUST = GateLimits(min_agreement=0.9, robustness=RobustnessLimits(0.03))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return fake_bundles.write(tmp_path_factory.mktemp("bundle"))


def rows_of(count: int) -> Rows:
    """Make texts about women and men by turns, of which every other pair is good."""
    who, how = ("She", "He"), ("good", "poor")
    texts = [f"{who[row % 2]} gave a {how[row // 2 % 2]} performance, number {row}" for row in range(count)]
    return Rows(
        tuple(texts), None, np.array([row // 2 % 2 == 0 for row in range(count)], np.int64), "rows.csv"
    )


def right(text: str) -> bool:
    return "good" in text


def logits(answer: Answer, texts: Any) -> np.ndarray:
    said = np.array([answer(text) for text in texts])
    return np.stack([~said, said], axis=1).astype(np.float32)


def unfair(share: int) -> Answer:
    """Answer as is right, but one in so many texts about women is poor if it is of women's."""
    return lambda text: right(text) and not ("She" in text and int(text.split("number ")[-1]) % share == 1)


def brittle(text: str) -> bool:
    """Answer as is right as long as the word is written as it should be."""
    return " good performance, " in text


def measured(
    bundle: Path,
    rows: Rows,
    options: ChangeOptions,
    gate: GateLimits,
    *,
    full: Answer,
    ours: Answer,
    **more: Any,
) -> Report:
    def start(spec: Any) -> FakeWorker:
        changed = list(spec.inputs) != list(rows.texts)
        fails = more.get("fails") if changed else None
        return FakeWorker(spec, logits(ours, spec.inputs), fails=fails)

    reference = fake_bundles.fixed_reference(rows, logits(full, rows.texts))
    changed = change(rows, options, reference.task)
    asked = Outputs.of_texts(logits(full, changed_answers.inputs(changed)))
    reference = replace(reference, changed=changed_answers.of_outputs(options, changed, asked))
    how = EvaluationOptions(gate=gate, latency_rows=5)
    return verify(bundle, rows, reference, options=how, progress=Progress(), start=start)


def test_a_bundle_that_answers_otherwise_for_women_is_found_though_its_metric_is_kept(bundle):
    """A quarter of the rows are good texts of men that it would call poor of women; the rows show none."""
    report = measured(bundle, rows_of(800), GENDER, SWAPS, full=right, ours=unfair(4))
    assert report.verdict is GateVerdict.FAIL
    (rate,) = report.engines[0].swaps
    assert (rate.name, rate.rows, rate.texts, rate.guessed) == ("gender", 800, 800, 0)
    assert (rate.baseline, rate.only_baseline) == (0.0, 0)
    assert rate.only_compressed == 200
    assert rate.compressed == rate.increase.mean == 0.25
    assert rate.increase.low > 0.2
    assert report.engines[0].drop.mean == 0.0
    assert report.engines[0].status is RowStatus.WRONG
    low, high = (f"+{100 * end:.1f}" for end in (rate.increase.low, rate.increase.high))
    assert report.judgement.reason == (
        "onnxruntime: swapping gender changes the answer of 25.0% of 800 rows, the baseline's of 0.0%: "
        f"+25.0 ({low} to {high}) points, the gate allows 2.0"
    )


def test_a_bundle_that_is_as_unfair_as_its_baseline_passes_and_the_report_tells_of_both(bundle):
    report = measured(bundle, rows_of(800), GENDER, SWAPS, full=unfair(4), ours=unfair(4))
    (rate,) = report.engines[0].swaps
    assert (rate.baseline, rate.compressed, rate.verdict) == (0.25, 0.25, GateVerdict.PASS)
    assert (rate.only_baseline, rate.only_compressed) == (0, 0)
    assert "swapping gender changes the answer of 25.0% of 800 rows" in report.judgement.reason
    assert report.verdict is GateVerdict.PASS
    told = markdown(summary(report))
    assert "## Swapped terms" in told
    assert "only the bundle" in told


def test_few_texts_with_a_term_are_inconclusive_and_say_how_many_it_takes(bundle):
    rows = rows_of(400)
    plain = tuple(f"A {'good' if row % 2 else 'poor'} film, number {row}" for row in range(600))
    more = Rows(rows.texts[:40] + plain, None, np.append(rows.labels[:40], np.arange(600) % 2), "rows.csv")
    report = measured(bundle, more, GENDER, SWAPS, full=right, ours=right)
    (rate,) = report.engines[0].swaps
    assert (rate.rows, rate.verdict) == (40, GateVerdict.INCONCLUSIVE)
    assert report.verdict is GateVerdict.INCONCLUSIVE
    # Of 184 texts without a change no more than 2 % change: 1 - 0.025 ** (1 / 184).
    needed = int(report.judgement.reason.split("more such texts (")[1].split(" ")[0])
    assert needed == pytest.approx(184, abs=6)
    assert report.judgement.rows_needed == pytest.approx(needed * 640 / 40, abs=16)


def test_a_gate_without_a_bound_on_swaps_reports_them_and_passes(bundle):
    report = measured(bundle, rows_of(800), GENDER, GateLimits(min_agreement=0.9), full=right, ours=unfair(4))
    (rate,) = report.engines[0].swaps
    assert (rate.most, rate.verdict) == (None, None)
    assert report.verdict is GateVerdict.PASS
    assert "not judged" in markdown(summary(report))


def test_copies_of_a_text_count_once(bundle):
    rows = rows_of(80)
    copies = Rows(rows.texts * 10, None, np.tile(rows.labels, 10), "rows.csv")
    one, ten = (
        measured(bundle, each, GENDER, SWAPS, full=right, ours=unfair(4)).engines[0].swaps[0]
        for each in (rows, copies)
    )
    assert (ten.rows, ten.texts) == (800, 80)
    assert ten.increase.low == pytest.approx(one.increase.low, abs=0.01)
    assert ten.increase.high == pytest.approx(one.increase.high, abs=0.01)


def test_a_bundle_that_a_typo_throws_off_is_found(bundle):
    report = measured(bundle, rows_of(800), TYPOS, ROBUST, full=right, ours=brittle)
    assert report.verdict is GateVerdict.FAIL
    typos, case = report.engines[0].robustness
    assert (typos.name, typos.changed) == ("typos", 800)
    # Both lose the texts in which "good" is mistyped; the bundle those of "performance", too.
    assert 0 < typos.baseline_loss < typos.compressed_loss
    assert typos.drop.mean == pytest.approx(typos.baseline - typos.compressed)
    assert typos.verdict is GateVerdict.FAIL
    assert (case.drop.mean, case.verdict) == (0.0, GateVerdict.PASS)
    assert report.engines[0].drop.mean == 0.0
    assert report.judgement.reason.startswith("onnxruntime: with typos the drop of accuracy is +")
    assert report.judgement.reason.endswith(" points, the gate allows 3.0")
    assert "## Perturbed texts" in markdown(summary(report))


def test_a_bundle_that_loses_as_much_as_its_baseline_passes(bundle):
    report = measured(bundle, rows_of(800), TYPOS, ROBUST, full=brittle, ours=brittle)
    assert report.verdict is GateVerdict.PASS
    for found in report.engines[0].robustness:
        assert found.baseline_loss == found.compressed_loss > 0
        assert (found.drop.mean, found.agreement.mean, found.verdict) == (0.0, 1.0, GateVerdict.PASS)


def test_few_perturbed_rows_are_inconclusive_and_say_how_many_it_takes(bundle):
    gate = replace(ROBUST, max_drop=0.2, min_agreement=0.5)
    report = measured(bundle, rows_of(60), TYPOS, gate, full=right, ours=right)
    assert report.verdict is GateVerdict.INCONCLUSIVE
    # 3.7 / 0.03, as for texts that are not perturbed.
    assert report.judgement.rows_needed == pytest.approx(123, abs=4)


def test_agreement_on_perturbed_texts_may_be_bounded_too(bundle):
    gate = replace(ROBUST, robustness=RobustnessLimits(max_drop=1.0, min_agreement=0.95))
    report = measured(bundle, rows_of(800), TYPOS, gate, full=right, ours=brittle)
    assert report.verdict is GateVerdict.FAIL
    assert "the gate asks for 95.0%" in report.judgement.reason


def test_an_engine_that_dies_of_changed_texts_fails(bundle):
    crash = {"outputs": WorkerError(RowStatus.CRASHED, "killed by SIGSEGV")}
    report = measured(bundle, rows_of(400), GENDER, SWAPS, full=right, ours=right, fails=crash)
    assert report.verdict is GateVerdict.FAIL
    assert report.judgement.reason == "onnxruntime: on changed texts crashed: killed by SIGSEGV"


@pytest.mark.parametrize(
    ("gate", "options", "what"),
    [
        (SWAPS, TYPOS, "the gate bounds swaps, and the baseline was not asked such texts"),
        (ROBUST, GENDER, "the gate bounds robustness, and the baseline was not asked such texts"),
    ],
)
def test_a_gate_about_texts_that_were_not_asked_is_refused_before_any_engine_starts(
    bundle, gate, options, what
):
    with pytest.raises(UsageError) as refused:
        measured(bundle, rows_of(40), options, gate, full=right, ours=right)
    assert (refused.value.what, refused.value.code) == (what, "usage.changed-texts")
    assert "edgeroberta reference MODEL --data … --" in refused.value.hint


def test_answers_to_other_changed_texts_are_refused(bundle):
    rows = rows_of(40)
    reference = fake_bundles.fixed_reference(rows, logits(right, rows.texts))
    changed = change(rows_of(38), GENDER, reference.task)
    asked = Outputs.of_texts(logits(right, changed_answers.inputs(changed)))
    reference = replace(reference, changed=changed_answers.of_outputs(GENDER, changed, asked))
    with pytest.raises(UsageError, match="the baseline was asked other changed texts") as refused:
        verify(bundle, rows, reference, options=EvaluationOptions(gate=SWAPS), progress=Progress())
    assert refused.value.code == "usage.changed-texts"
