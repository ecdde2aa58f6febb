from __future__ import annotations

import pytest

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.measure.validity import (
    CpuTimes,
    Environment,
    NullMonitor,
    RunValidity,
    Validity,
    cpu_times,
    judge_run,
    require_valid,
    steal_between,
)

QUIET = Environment(load=0.3, cores=2, steal=0.0)


def test_nothing_against_it_makes_a_run_valid():
    assert judge_run(QUIET, [], [], rounds=5) == Validity()
    assert judge_run(Environment(), [], [], rounds=5).verdict is RunValidity.VALID
    require_valid(Validity())


@pytest.mark.parametrize(
    ("around", "rows", "reason"),
    [
        (QUIET, ["bundle on x"], "The rounds' medians lie more than 10% apart for bundle on x."),
        (Environment(load=1.5, cores=2), [], "Other programs were at work (load 1.5 on 2 cores)."),
        (Environment(steal=0.04), [], "The hypervisor gave 4% of the processors' time to others."),
    ],
)
def test_a_noisy_run_says_why_and_offers_more_rounds(around, rows, reason):
    found = judge_run(around, [], rows, rounds=5)
    assert found.verdict is RunValidity.NOISY
    assert found.reasons == (reason, "More rounds make it steadier, and a quiet machine: --rounds 10.")
    require_valid(found)  # shown as noisy, but an answer


def test_a_device_that_throttled_makes_a_run_invalid_and_the_command_fail():
    found = judge_run(QUIET, ["soft-throttled by heat"], ["bundle"], rounds=5)
    assert found == Validity(RunValidity.INVALID, ("The device throttled: soft-throttled by heat.",))
    with pytest.raises(EdgeRobertaError) as caught:
        require_valid(found)
    assert caught.value.exit_code == 1
    assert caught.value.what == "the run is not valid: The device throttled: soft-throttled by heat."


def test_steal_is_the_hypervisor_s_part_of_the_time(tmp_path):
    (tmp_path / "proc").mkdir()
    stat = tmp_path / "proc/stat"
    stat.write_text("cpu  100 0 50 800 0 0 0 50 9 0\ncpu0 1 2 3\n", encoding="ascii")
    before = cpu_times(tmp_path)
    assert before == CpuTimes(1000, 50)
    stat.write_text("cpu  180 0 50 800 0 0 0 70 9 0\n", encoding="ascii")
    assert steal_between(before, cpu_times(tmp_path)) == pytest.approx(0.2)


@pytest.mark.parametrize("content", ["", "cpu 1 2 3\n", "intr 1 2 3 4 5 6 7 8\n", "cpu a b c d e f g h\n"])
def test_a_stat_file_that_is_another_tells_nothing(tmp_path, content):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(content, encoding="ascii")
    assert cpu_times(tmp_path) is None
    assert steal_between(None, CpuTimes(1, 0)) is None
    assert steal_between(CpuTimes(5, 0), CpuTimes(5, 0)) is None


def test_no_stat_file_tells_nothing(tmp_path):
    assert cpu_times(tmp_path) is None


def test_who_looks_at_nothing_has_seen_nothing():
    with NullMonitor() as blind:
        pass
    assert (blind.watched.energy_j, blind.watched.throttled, blind.watched.reasons) == (None, None, ())
