from __future__ import annotations

import json

import pytest

from edgeroberta.storage.jsontext import DEEPEST, loads

SOUND = {"a": [1, -(2**63), 0.5, 1e308, "é", None, True, {"b": []}]}


def test_what_json_writes_is_read():
    assert loads(json.dumps(SOUND)) == SOUND
    assert loads(json.dumps(SOUND, ensure_ascii=False).encode()) == SOUND


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("9" * 5_000, "a whole number of 5000 digits"),
        ("-" + "9" * 40, "a whole number of 41 digits"),
        ("1e999", "1e999 is beyond the largest number"),
        ("NaN", "NaN is not a number"),
        ("[-Infinity]", "-Infinity is not a number"),
        ("[" * 100_000, f"lists and objects are nested deeper than {DEEPEST}"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), f"lists and objects are nested deeper than {DEEPEST}"),
        ('{"a":' * 100 + "1" + "}" * 100, f"lists and objects are nested deeper than {DEEPEST}"),
    ],
)
def test_what_programs_trip_over_is_refused(text, what):
    with pytest.raises(ValueError, match=f"^{what}$"):
        loads(text)


def test_nesting_up_to_the_limit_and_many_brackets_are_read():
    assert loads("[" * DEEPEST + "]" * DEEPEST)
    assert loads(json.dumps("[" * 1_000)) == "[" * 1_000
    assert len(loads(json.dumps([[1], {"a": 2}] * 1_000))) == 2_000


def test_infinity_is_read_where_measurements_are():
    assert loads("[Infinity, 1e999]", finite=False) == [float("inf")] * 2


def test_bytes_that_are_not_utf_8_are_refused():
    with pytest.raises(UnicodeDecodeError):
        loads(b'{"a": "\xff"}')


def test_what_transformers_writes_for_no_limit_is_read_as_a_float():
    found = loads('{"model_max_length": 1000000000000000019884624838656}')
    assert found == {"model_max_length": 1e30}
    assert isinstance(found["model_max_length"], float)
