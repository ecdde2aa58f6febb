from __future__ import annotations

import contextlib
from collections.abc import Iterator

import fake_bundles
import numpy as np
import pytest
from fake_bundles import FakeWorker
from fake_progress import Heard

from edgeroberta.measure import rounds
from edgeroberta.measure.clock import TimedCalls
from edgeroberta.measure.process import WorkerError
from edgeroberta.measure.protocol import RowStatus, SubjectSpec
from edgeroberta.measure.rounds import (
    RepetitionPlan,
    RepetitionRun,
    answer_all,
    answer_offline,
    groups,
    run_interleaved,
    warmup_groups,
)
from edgeroberta.measure.validity import NoTelemetry
from edgeroberta.measure.warmup import WarmUp
from edgeroberta.progress import Advance, Progress

LENGTHS = [5] * 30 + [50] * 10
LOGITS = np.zeros((40, 2), np.float32)


def entry(name: str, **options: object) -> tuple[RepetitionRun, FakeWorker]:
    worker = FakeWorker(SubjectSpec("fake", "", ["text"] * 40, engine=name), LOGITS, **options)  # type: ignore[arg-type]
    return RepetitionRun(name, worker), worker


def asked(worker: FakeWorker, what: str) -> list[object]:
    return [detail for name, detail in worker.asked if name == what]


def test_all_rows_are_asked_the_same_texts_in_every_round():
    (first, one), (second, two) = entry("one"), entry("two")
    run_interleaved([first, second], RepetitionPlan(rounds=3, calls=4, warmup=2), LENGTHS, Progress())
    assert asked(one, "time") == asked(two, "time")
    assert len(asked(one, "time")) == 2 + 3  # it is warm after two windows that took as long
    assert [len(repetition.seconds) for repetition in first.rounds] == [4, 4, 4]
    assert first.warmed == WarmUp(4, True)


def test_the_order_of_turns_rotates():
    order: list[str] = []
    runs = []
    for name in ("one", "two", "three"):
        made, worker = entry(name)
        worker.time = lambda calls, name=name, **_: order.append(name) or TimedCalls([0.1])  # type: ignore[assignment,misc]
        runs.append(made)
    run_interleaved(runs, RepetitionPlan(rounds=3, calls=1), LENGTHS, Progress())
    assert order[6:] == ["one", "two", "three", "two", "three", "one", "three", "one", "two"]


@pytest.mark.parametrize(("count", "told"), [(0, ["open"]), (1, ["open", "measure"])])
def test_nothing_is_told_of_turns_that_are_not_taken(count, told):
    made, _ = entry("one")
    heard = Heard()
    run_interleaved([made], RepetitionPlan(rounds=count, calls=1), LENGTHS, heard)
    assert [label for label, _ in heard.begun] == told


def test_a_row_that_fails_ends_there_and_the_others_go_on():
    error = WorkerError(RowStatus.CRASHED, "gone")
    (bad, broken), (good, _) = entry("bad", fails={"time": error}), entry("good")
    run_interleaved([bad, good], RepetitionPlan(rounds=2, calls=3), LENGTHS, Progress())
    answer_all([bad, good], 40, Progress())
    assert bad.error is error
    assert broken.closed
    assert (bad.rounds, bad.peak_bytes, bad.outputs) == ([], None, None)
    assert bad.latency(RepetitionPlan()) is None
    assert good.peak_bytes == 100_000_000
    assert good.outputs is not None


def test_memory_is_read_before_the_accuracy_pass():
    made, worker = entry("one")
    run_interleaved([made], RepetitionPlan(rounds=1, calls=1), LENGTHS, Progress())
    answer_all([made], 40, Progress())
    names = [name for name, _ in worker.asked]
    assert names == ["open", "time", "time", "time", "memory", "outputs"]


class Counting(Progress):
    """Keeps how far each bar went."""

    def __init__(self) -> None:
        self.steps: dict[str, list[int]] = {}

    @contextlib.contextmanager
    def bar(self, label: str, total: int, unit: str, *, done: int = 0) -> Iterator[Advance]:
        steps = self.steps.setdefault(f"{label} {total} {unit}", [])

        def advance(n: int = 1, note: str = "") -> None:
            steps.append(n)

        yield advance


def test_rows_are_asked_for_in_blocks_and_come_back_in_order(monkeypatch):
    """One answer must come within the timeout, so no request may hold all rows of a large data set."""
    monkeypatch.setattr(rounds, "BLOCK", 16)
    table = np.arange(80, dtype=np.float32).reshape(40, 2)
    made, worker = entry("one")
    worker.table = table
    progress = Counting()
    answer_all([made], 40, progress)
    assert asked(worker, "outputs") == ["batched"] * 3
    assert made.outputs is not None
    np.testing.assert_array_equal(made.outputs.values, table)
    assert progress.steps == {"answer 40 rows": [16, 16, 8]}


def test_a_process_that_fails_in_a_later_block_has_no_answers(monkeypatch):
    monkeypatch.setattr(rounds, "BLOCK", 16)
    made, worker = entry("one")
    worker.table = LOGITS.copy()
    worker.table[20] = np.nan
    answer_all([made], 40, Progress())
    assert made.outputs is None
    assert made.error.what == "its logits are not finite, first for row 20"
    assert len(asked(worker, "outputs")) == 2


def test_turns_use_other_texts_each_and_keep_the_data_s_lengths():
    plan = RepetitionPlan(rounds=2, calls=10)
    repetitions = [groups(LENGTHS, plan, repetition) for repetition in range(2)]
    rows = [row for repetition in repetitions for (row,) in repetition]
    assert len(set(rows)) == 20
    assert sum(LENGTHS[row] == 50 for row in rows) == 5  # a quarter, as in the data


def test_few_texts_come_again():
    found = groups([3, 4], RepetitionPlan(rounds=1, calls=3, batch=2), 0)
    assert [len(group) for group in found] == [2, 2, 2]
    assert {row for group in found for row in group} == {0, 1}


def test_warm_up_covers_the_longest_texts():
    lengths = [*range(100), 999]
    rows = {row for group in warmup_groups(lengths, RepetitionPlan(warmup=4, batch=1)) for row in group}
    assert 100 in rows
    assert len(rows) >= 3


def test_warm_up_is_as_long_as_it_says_even_on_one_text():
    assert warmup_groups([7], RepetitionPlan(warmup=4, batch=2)) == [[0, 0]] * 4


def test_a_fixed_shape_is_timed_on_random_ids():
    made, worker = entry("one")
    plan = RepetitionPlan(rounds=2, calls=3, warmup=2, batch=8, tokens=(128,))
    run_interleaved([made], plan, LENGTHS, Progress())
    assert asked(worker, "time_ids") == [([128] * 2, 8)] * 2 + [([128] * 3, 8)] * 2
    latency = made.latency(plan)
    assert (latency.batch, latency.length, latency.tokenized) == (8, 128, False)


def test_lengths_of_a_histogram_are_drawn_in_proportion():
    made, worker = entry("one")
    tokens = (8,) * 90 + (300,) * 10
    run_interleaved(
        [made], RepetitionPlan(rounds=1, calls=1000, warmup=2, tokens=tokens), LENGTHS, Progress()
    )
    (warm, _), _, (drawn, _) = asked(worker, "time_ids")
    assert warm == [300, 300]
    assert 60 < drawn.count(300) < 140
    latency = made.latency(RepetitionPlan(tokens=tokens))
    assert latency.length is None


def test_the_toy_bundle_s_vocabulary_is_that_of_its_tokenizer():
    config = fake_bundles.read_json(fake_bundles.TOKENIZER / "tokenizer.json")
    assert len(config["model"]["vocab"]) == fake_bundles.VOCAB


def test_a_device_with_a_clock_of_its_own_is_asked_for_it_in_calls_apart():
    made, worker = entry("one", device_clock=True, seconds=0.002)
    plan = RepetitionPlan(rounds=2, calls=30, warmup=2)
    run_interleaved([made], plan, LENGTHS, Progress())
    assert [len(repetition) for repetition in asked(worker, "device")] == [20, 20]  # type: ignore[arg-type]
    latency = made.latency(plan)
    assert latency.calls == 60
    assert latency.breakdown.device_ms == pytest.approx(1.0)


def test_energy_of_a_turn_that_was_not_measured_is_not_made_up():
    class Watch:
        watched = NoTelemetry(energy_j=3.0)

        def __enter__(self) -> None:
            pass

        def __exit__(self, *error: object) -> None:
            pass

    made, _ = entry("one")
    plan = RepetitionPlan(rounds=2, calls=5, warmup=2, batch=2)
    run_interleaved([made], plan, LENGTHS, Progress(), lambda runs_on: Watch())
    assert made.energy_per_text(plan) == pytest.approx(6.0 / 20)
    made.seen[1] = NoTelemetry()
    assert made.energy_per_text(plan) is None


def test_every_batch_size_is_timed_offline_and_the_best_is_kept():
    made, worker = entry("one")
    plan = RepetitionPlan(rounds=1, calls=2, warmup=2)
    run_interleaved([made], plan, LENGTHS, Progress())
    before = len(asked(worker, "time"))
    answer_offline([made], plan, LENGTHS, Progress())
    assert [max(map(len, repetition)) for repetition in asked(worker, "time")[before:]] == [1, 8, 32]  # type: ignore[call-overload]
    assert (made.offline.batch, made.offline.texts) == (32, 40)


def test_offline_of_a_fixed_shape_runs_ids_of_that_length():
    made, worker = entry("one")
    plan = RepetitionPlan(rounds=1, calls=2, warmup=2, tokens=(128,), batch=8)
    run_interleaved([made], plan, LENGTHS, Progress())
    before = len(asked(worker, "time_ids"))
    answer_offline([made], plan, LENGTHS, Progress())
    assert asked(worker, "time_ids")[before:] == [([128] * (256 // size), size) for size in (1, 8, 32)]
