"""JSON of files that others wrote: what Python's reader lets through and programs trip over is refused.

This module is imported on the device: standard library only.
"""

from __future__ import annotations

import json
import math
from typing import Any

#: Lists and objects that may lie in each other; the deepest of the formats read here has ten.
DEEPEST = 64
#: Digits of a whole number of 64 bits, its sign included, and of the longest that is read at all:
#: transformers writes 1000000000000000019884624838656 where a tokenizer knows no limit.
_DIGITS, _MOST_DIGITS = 20, 40


def loads(text: str | bytes, *, finite: bool = True) -> Any:
    """Read JSON.

    ``text``: the text; bytes are UTF-8. ``finite``: refuse NaN and infinity, which ``json.dumps`` writes of
    measurements that are none. Returns the value. A whole number beyond 64 bits is a float in it, and nothing
    nests deeper than ``DEEPEST``. Raises ValueError: it is not that; ``json.JSONDecodeError`` with the place
    where it is not JSON at all.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        value = json.loads(
            text,
            parse_int=_whole,
            parse_float=_finite if finite else float,
            parse_constant=_refused if finite else float,
        )
    except RecursionError as error:
        raise ValueError(f"lists and objects are nested deeper than {DEEPEST}") from error
    if isinstance(value, dict | list) and text.count("[") + text.count("{") > DEEPEST:
        _check_depth(value)
    return value


def _whole(digits: str) -> int | float:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:_DIGITS]} is beyond the largest number")
    return value


def _refused(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        inner = (part for each in level for part in (each.values() if isinstance(each, dict) else each))
        level = [each for each in inner if isinstance(each, dict | list)]
        if not level:
            return
    raise ValueError(f"lists and objects are nested deeper than {DEEPEST}")
