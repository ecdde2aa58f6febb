"""What int8 computes on the processor that the tests run on."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from edgeroberta.runtime import processor

#: x86 without VNNI and AMX: sums of two products saturate, unless weights were chosen so that they cannot.
SATURATES = processor.saturates() is True
#: For tests that run int8 graphs whose weights may saturate, and compare numbers.
exact_int8 = pytest.mark.skipif(SATURATES, reason="int8 products saturate on this processor")


def exact_engines(engines: Iterable[str]) -> tuple[str, ...]:
    """The engines whose answers from any int8 bundle are right here: the runtime has ONNX Runtime compute
    exactly where products saturate; OpenVINO has no such way, and its users are warned.
    """
    return tuple(each for each in engines if each != "openvino" or not SATURATES)
