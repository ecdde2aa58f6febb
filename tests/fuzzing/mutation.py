"""Seeded damage: to values inside a document, and to the bytes of a file."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any


class Verbatim:
    """A value that is written into JSON as it stands, where ``json.dumps`` would not write it."""

    def __init__(self, text: str) -> None:
        self.text = text


#: What takes the place of a value. Texts that JSON takes and few programs expect are written verbatim.
ODD: tuple[Any, ...] = (
    None, True, False, "", " ", "x", "1", "a" * 300, "b" * 100_000, "\x00", "\x1b[31mred", "\ud800",
    "é\u202e", "../../etc/passwd", "/", ".", "nan", "1e999", "=1+1", "2024-01-01", -1, 0, 1, 2, 3, 7, 255,
    2**31 - 1, 2**31, 2**63, -(2**63) - 1, 10**30, 0.5, -0.0, 1e-320, 1e308, [], {}, [[]], [None],
    {"": None}, {"a": {"b": 1}}, ["a", "a"], [1, "1", 1.0, True], list(range(2_000)),
    {str(number): number for number in range(2_000)}, Verbatim("NaN"), Verbatim("Infinity"),
    Verbatim("-Infinity"), Verbatim("1e999"), Verbatim("1" * 5_000), Verbatim("-" + "9" * 400),
    Verbatim("[" * 3_000 + "]" * 3_000), Verbatim('{"a":' * 3_000 + "1" + "}" * 3_000),
    Verbatim('{"a":1,"a":2}'), Verbatim('"\\ud800"'), Verbatim('"\\u0000"'), Verbatim("1.0"),
    Verbatim("1E400"),
)  # fmt: skip
#: What is put into the bytes of a file.
BYTES = (
    b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\r", b"\n\n\n", b"\t", b'"', b"'",
    b",", b"{", b"}", b"[", b"]", b":", b"#", b"&a ", b"*a", b"!!binary ", b"!!python/object:os.system ",
    b"!!set ", b"? ", b"- ", b"<<: ", b"---\n", b"...\n", b"%YAML 9.9\n", b"2001-01-01", b"0x1f", b"0o17",
    b"1_000", b".inf", b".nan", b"~", b"|\n", b">-\n", b"NaN", b"\\ud800", b"\\u0000", b"1e999",
    b"9" * 5_000, b"[" * 2_000, b"{a: " * 500, b"x" * 70_000, b"\xc2\x85", b"\xe2\x80\xa8", b"\x1b[2J",
    b"\x0b\x0c", b"=", b"[[a]]\n", b"a.b=1\n",
)  # fmt: skip


def dumps(value: Any) -> str:
    """Write JSON with what is verbatim."""
    marks: dict[str, str] = {}

    def mark(each: Any) -> str:
        name = f"@@{len(marks)}@@"
        marks[f'"{name}"'] = each.text
        return name

    text = json.dumps(value, default=mark)
    for name, verbatim in marks.items():
        text = text.replace(name, verbatim)
    return text


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the paths of a document's values; of long lists the first few."""
    found = [path]
    if isinstance(value, dict):
        for key in list(value)[:40]:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(min(len(value), 6)):
            found += places(value[index], (*path, index))
    return found


def document(rng: Random, value: Any) -> Any:
    """Return a copy with one to three values replaced, removed, repeated or renamed."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        path = rng.choice(places(value))
        if not path:
            if rng.random() < 0.1:
                return rng.choice(ODD)
            continue
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        last, change = path[-1], rng.random()
        if change < 0.65:
            parent[last] = copy.deepcopy(rng.choice(ODD))
        elif change < 0.8:
            del parent[last]
        elif isinstance(parent, list):
            parent.insert(last, rng.choice([copy.deepcopy(parent[last]), rng.choice(ODD)]))
        else:
            name = rng.choice([str(last) + "x", "", "a" * 300, "\x1b[31m", "é", str(last).upper(), "\ud800"])
            parent[name] = parent[last] if change < 0.9 else rng.choice(ODD)
    return value


def damaged(rng: Random, data: bytes) -> bytes:
    """Return the bytes with one to four places cut, doubled, overwritten or filled."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 1, 2, 8, 64, len(data))))
        change = rng.random()
        if change < 0.45:
            data = data[:at] + rng.choice(BYTES) + data[at:]
        elif change < 0.6:
            data = data[:at] + rng.choice(BYTES) + data[to:]
        elif change < 0.75:
            data = data[:at] + data[to:]
        elif change < 0.85:
            data = data[:to] + data[at:]
        elif change < 0.95 and at < len(data):
            data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        else:
            data = data[:at]
    return data
