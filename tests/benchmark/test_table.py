from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import fake_bundles
import pytest

from edgeroberta.benchmark import notes, table
from edgeroberta.benchmark.comparison import Comparison, fastest
from edgeroberta.benchmark.hosts import comparison_from
from edgeroberta.benchmark.row import BenchmarkRow, with_speed_up
from edgeroberta.latency.int8 import Int8Speedup
from edgeroberta.measure.clock import Breakdown, CallShape, summarise
from edgeroberta.measure.offline import Throughput
from edgeroberta.measure.protocol import RowStatus
from edgeroberta.measure.rounds import RepetitionPlan
from edgeroberta.measure.tiers import CascadeUse, TierUse, WorstCase
from edgeroberta.measure.validity import Environment, RunValidity, Validity

GOLDEN = Path(__file__).parent / "golden"
SHAPE = CallShape(warmup=20)


@pytest.fixture
def comparison() -> Comparison:
    slow = summarise([[0.0104, 0.0109, 0.0170] * 10] * 5, SHAPE)
    fast = replace(
        summarise([[0.00136, 0.0014, 0.00262] * 10] * 5, SHAPE), breakdown=Breakdown(0.11, 1.24, 0.05, 0.98)
    )
    full = BenchmarkRow(
        name="baseline",
        engine="torch 2.13.0",
        device="Example CPU",
        status=RowStatus.OK,
        bytes=120_000_000,
        metric=0.866,
        agreement=0.999,
        latency=slow,
        peak_bytes=612_000_000,
        cold_start_s=4.2,
        speed_up=1.0,
        mean_speed_up=1.0,
    )
    ours = replace(
        full,
        name="bundle",
        engine="onnxruntime 1.31.1",
        bytes=31_200_000,
        metric=0.875,
        agreement=0.98,
        latency=fast,
        peak_bytes=141_000_000,
        cold_start_s=0.31,
        speed_up=7.8,
        mean_speed_up=7.1,
        offline=Throughput(1234.5, 32, 256, ((1, 558.0), (8, 900.0), (32, 1234.5))),
        energy_mj=12.34,
        gain=Int8Speedup(2.31, 1.6, False, 1.1, 2.54, 24, "AVX-512 VNNI"),
    )
    wrong = replace(
        ours,
        engine="openvino 2026.4",
        latency=replace(fast, steady=False, warmup=200),
        status=RowStatus.WRONG,
        detail="the same answer on 61.0% of 872 rows",
        metric=0.55,
        agreement=0.61,
    )
    stored = BenchmarkRow(
        "reference", "torch 2.13.0", "NVIDIA H200", RowStatus.STORED, bytes=120_000_000, latency=slow
    )
    crashed = BenchmarkRow(
        "bundle", "tensorrt", "Example CPU", RowStatus.CRASHED, "killed by SIGSEGV:\nlast | words"
    )
    rows = (stored, full, ours, wrong, crashed)
    data = {"source": "dev.tsv", "rows": 872}
    return Comparison(rows, RepetitionPlan(), "accuracy", data, fake_bundles.DEVICE, ("Something to note.",))


def check(name: str, text: str) -> None:
    file = GOLDEN / name
    if os.environ.get("UPDATE_GOLDENS"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_the_table_reads_as_it_should_in_markdown(comparison):
    check("bench.md", table.markdown(comparison))


def test_the_table_reads_as_it_should_on_a_terminal(comparison):
    check("bench.txt", table.text(comparison))


def test_a_row_without_an_offline_part_has_no_texts_per_second(comparison):
    measured = table.measured(comparison)
    place = [column.title for column in measured.columns].index("texts/s")
    rates = [cells[place] for cells in measured.rows]
    assert comparison.rows[0].latency is not None
    assert rates == ["–", "–", "1,234", "1,234", "–"]


def test_ran_and_still_right_are_two_columns(comparison):
    measured = table.measured(comparison)
    wrong = dict(zip((column.title for column in measured.columns), measured.rows[3], strict=True))
    assert (wrong["speed-up"], wrong["agreement %"], wrong["status"]) == ("7.80×", "61.0", "wrong, noisy")


@pytest.mark.parametrize(
    ("plan", "data", "said"),
    [
        (
            RepetitionPlan(batch=8, tokens=(128,)),
            None,
            "Timed on random ids, 8 × 128 tokens, without tokenization. "
            "No data to check answers on: name it with --data.",
        ),
        (
            RepetitionPlan(tokens=(8, 24)),
            None,
            "Timed on random ids of the lengths the training texts had, without tokenization. "
            "No data to check answers on: name it with --data.",
        ),
        (
            RepetitionPlan(batch=4),
            {"source": "x.csv", "rows": 1200, "texts": 12},
            "Timed on 4 texts per call, tokenization included, at the lengths the data has. "
            "Answers: 1,200 rows of x.csv, 12 different texts.",
        ),
    ],
)
def test_the_table_says_what_was_timed(comparison, plan, data, said):
    assert notes.comparison_notes(replace(comparison, plan=plan, data=data))[0] == said


def test_a_table_is_json_with_its_circumstances(comparison):
    found = comparison.to_json()
    assert found["schema_version"] == 4
    assert found["plan"]["repetition_seconds"] == RepetitionPlan().repetition_seconds
    assert found["rows"][2]["latency"]["warmup"] == 20
    assert found["rows"][4]["status"] == "crashed"
    assert found["machine"]["cpu"] == "Example CPU"
    assert found["rows"][3]["noisy"] is True
    assert found["rows"][2]["offline"]["batch"] == 32
    assert found["rows"][2]["latency"]["breakdown"]["engine_ms"] == 1.24
    assert found["validity"]["verdict"] == "valid"


def test_what_speaks_against_the_numbers_comes_first(comparison):
    around = Environment(warnings=("power mode 15W is not the maximal one (MAXN): sudo nvpmodel -m 0",))
    noisy = replace(comparison, around=around, validity=Validity(RunValidity.NOISY, ("It moved.", "More.")))
    assert notes.comparison_notes(noisy)[:2] == [
        "Noisy. It moved. More.",
        "Warning: power mode 15W is not the maximal one (MAXN): sudo nvpmodel -m 0.",
    ]
    hot = replace(comparison, validity=Validity(RunValidity.INVALID, ("The device throttled: heat.",)))
    assert notes.comparison_notes(hot)[0] == "NOT VALID, no speed-up is told. The device throttled: heat."


def test_a_target_is_named_beside_the_machine(comparison):
    named = notes.comparison_notes(replace(comparison, target="jetson-thor"))
    assert any(fact.startswith("Here (target jetson-thor): Example CPU") for fact in named)


def test_a_stored_reference_that_throttled_says_so(comparison):
    stored = replace(comparison.rows[0], throttled=("hw slowdown",))
    facts = notes.comparison_notes(replace(comparison, rows=(stored, *comparison.rows[1:])))
    assert "Its times are not valid: the device throttled then (hw slowdown)." in facts
    assert not any("not valid" in fact for fact in notes.comparison_notes(comparison))


def gpu_rows(comparison: Comparison, *types: str) -> list[BenchmarkRow]:
    """Full-size takes 10 ms on a CPU and 2 ms or less on a GPU; a bundle 0.5 ms on that and 5 on the CPU."""
    known = next(row.latency for row in comparison.rows if row.latency is not None)

    def row(name: str, device: str, p50: float) -> BenchmarkRow:
        latency = replace(known, p50_ms=p50, round_p50_ms=(p50, p50))
        return BenchmarkRow(name, "engine", device, RowStatus.OK, latency=latency)

    on_gpu = [row(f"baseline, cuda {each}", "A GPU", 2 / (1 + at)) for at, each in enumerate(types)]
    return [row("baseline", "A CPU", 10), *on_gpu, row("bundle", "A GPU", 0.5), row("bundle", "A CPU", 5)]


def test_a_row_on_a_gpu_is_rated_beside_the_fastest_full_size_row_there(comparison):
    rows = with_speed_up(gpu_rows(comparison, "float32", "float16"))
    assert [row.speed_up for row in rows] == pytest.approx([1, 0.5, 1, 2, 2])
    said = "Speed-ups on A GPU are over baseline, cuda float16, the fastest baseline row there."
    assert said in notes.comparison_notes(replace(comparison, rows=tuple(rows)))


def test_a_gpu_without_a_full_size_row_says_that_the_speed_up_is_over_the_processor(comparison):
    rows = with_speed_up(gpu_rows(comparison))
    assert [row.speed_up for row in rows] == pytest.approx([1, 20, 2])
    said = [
        fact for fact in notes.comparison_notes(replace(comparison, rows=tuple(rows))) if "Speed-ups" in fact
    ]
    assert said == [
        "Speed-ups on A GPU are over the baseline on the processor, A CPU: "
        "there is no baseline row on that GPU."
    ]


def test_the_memory_of_a_row_on_a_gpu_says_what_is_not_in_it(comparison):
    said = "peak MB of rows on A GPU is the process's own memory; what CUDA allocates is not in it."
    assert not any("CUDA allocates" in fact for fact in notes.comparison_notes(comparison))
    row = replace(comparison.rows[2], device="A GPU")
    assert said in notes.comparison_notes(replace(comparison, rows=(*comparison.rows, row)))


def test_int8_that_brings_less_than_usual_is_said_loudly(comparison):
    gain = Int8Speedup(1.12, 1.6, True, 3.2, 3.58, 24, "AVX-512 VNNI", "a busy machine; measure again")
    table_ = replace(comparison, rows=(replace(comparison.rows[2], gain=gain),))
    assert "1.12× LOW" in table.measured(table_).rows[0]
    assert notes.comparison_notes(table_)[0] == (
        "WARNING: onnxruntime 1.31.1: int8 is only 1.12 times as fast as floats here (3.20 against 3.58 ms "
        "in the engine, 24 tokens), where at least 1.6 times is usual with AVX-512 VNNI. Likely cause: a "
        "busy machine; measure again."
    )


def test_a_row_whose_slow_texts_are_much_slower_gains_less_by_means(comparison):
    full, ours = comparison.rows[1:3]
    slow_tail = summarise([[0.001] * 9 + [0.011]] * 5, SHAPE)
    base = replace(full, latency=summarise([[0.010] * 10] * 5, SHAPE))
    _, found = with_speed_up([base, replace(ours, latency=slow_tail)])
    assert (found.speed_up, found.mean_speed_up) == pytest.approx((10, 5))


@pytest.fixture
def cascade(comparison) -> Comparison:
    tiers = (TierUse("tiny", 0.7, 350, 1.1), TierUse("int8", 0.3, 150, 4.2))
    full, ours = comparison.rows[1:3]
    use = CascadeUse(tiers, WorstCase(4.6, 4.4, 8.25, 100))
    return replace(comparison, rows=(full, replace(ours, cascade=use)), cascade=True)


def test_what_the_tiers_of_a_cascade_did_stands_below_its_row(cascade):
    titles, cells = table.measured(cascade).columns, table.measured(cascade).rows
    shown = [dict(zip((column.title for column in titles), row, strict=True)) for row in cells]
    assert [(row["escalated %"], row["all tiers p99 ms"]) for row in shown] == [("–", "–"), ("30.0", "8.25")]
    assert table.tables(cascade)[1].text().splitlines() == [
        "model   engine              tier         texts %  calls  mean ms  p50 ms  p99 ms",
        "bundle  onnxruntime 1.31.1  tiny            70.0    350        –    1.10       –",
        "bundle  onnxruntime 1.31.1  int8            30.0    150        –    4.20       –",
        "bundle  onnxruntime 1.31.1  all in turn        –    100     4.60    4.40    8.25",
    ]
    assert any(note.startswith("Escalated is the share") for note in notes.comparison_notes(cascade))


def test_of_random_ids_a_cascade_says_what_was_timed(cascade):
    rows = tuple(replace(row, cascade=None) for row in cascade.rows)
    found = replace(cascade, rows=rows, plan=RepetitionPlan(tokens=(16,)))
    assert "escalated %" not in [column.title for column in table.measured(found).columns]
    assert len(table.tables(found)) == 2
    assert any("its last tier alone is timed" in note for note in notes.comparison_notes(found))


def test_a_table_of_a_cascade_is_read_back_as_a_device_sent_it(cascade):
    sent = json.loads(json.dumps(cascade.to_json()))
    assert [row["escalated"] for row in sent["rows"]] == [None, 0.3]
    assert comparison_from(sent, where="board").rows[1].cascade == cascade.rows[1].cascade


def test_the_fastest_engine_of_a_cascade_is_that_of_the_least_mean(cascade):
    """Its median is that of easy texts, whatever the others take."""
    ours = cascade.rows[1]
    other = replace(ours, engine="other", latency=replace(ours.latency, p50_ms=9.0, mean_ms=1.0))
    assert fastest(replace(cascade, rows=(ours, other))) == other
    single = tuple(replace(row, cascade=None) for row in (ours, other))
    assert fastest(replace(cascade, rows=single)) == single[0]
