from __future__ import annotations

import pytest

from edgeroberta.measure.offline import BatchTiming, Throughput, batches, best


def test_the_batch_size_that_answers_most_texts_in_a_second_is_told():
    found = best(
        [
            BatchTiming(1, (1,) * 4, (0.1,) * 4),
            BatchTiming(8, (8, 2), (0.2, 0.2)),
            BatchTiming(32, (10,), (2.0,)),
        ]
    )
    assert found == Throughput(25.0, 8, 10, ((1, 10.0), (8, 25.0), (32, 5.0)))


def test_calls_that_time_ran_out_for_do_not_count_as_answered():
    found = best([BatchTiming(8, (8, 8, 8), (1.0,))])
    assert (found.texts_per_second, found.texts) == (8.0, 8)


def test_nothing_timed_is_nothing_told():
    assert best([]) is None


def test_texts_of_like_length_go_together_and_none_is_left_out():
    lengths = [1, 100] * 10
    found = batches(range(20), lengths, 8)
    assert sorted(row for call in found for row in call) == list(range(20))
    mixed = [call for call in found if len({lengths[row] for row in call}) > 1]
    assert len(mixed) == 1  # the batch at the boundary


def test_long_texts_are_not_all_at_the_end_where_time_may_run_out():
    lengths = list(range(64))
    assert [row for (row,) in batches(range(64), lengths, 1)] != list(range(64))


def test_it_is_read_back_from_json():
    import json
    from dataclasses import asdict

    found = Throughput(25.0, 8, 10, ((1, 10.0), (8, 25.0)))
    assert Throughput.from_json(json.loads(json.dumps(asdict(found)))) == found
    with pytest.raises(TypeError):
        Throughput.from_json({"tried": [], "speed": 3})
