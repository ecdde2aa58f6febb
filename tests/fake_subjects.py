"""Models for tests of the measuring process: well-behaved, crashing, hanging, complaining."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import numpy as np

from edgeroberta.errors import EngineError, missing_extra
from edgeroberta.measure.protocol import SubjectSpec
from edgeroberta.tasks import Outputs


class Subject:
    engine, version, device, bytes, vocab_size = "fake", "1.0", "cpu", 1234, 600

    def __init__(self, spec: SubjectSpec) -> None:
        self.spec = spec

    def answer(self, inputs: Any) -> object:
        return [len(each) for each in inputs]

    def answer_ids(self, ids: np.ndarray) -> object:
        assert ids.dtype == np.int64
        assert ids.min() >= 5
        assert ids.max() < self.vocab_size
        time.sleep(ids.shape[0] * ids.shape[1] / 1e5)
        return ids

    def outputs(self, inputs: Any) -> Outputs:
        """First the length of the text, then how many texts came with it."""
        return Outputs.of_texts(np.array([[len(each), len(inputs)] for each in inputs], np.float32))

    def padded(self, inputs: Any, length: int) -> Outputs:
        return Outputs.of_texts(np.array([[len(each), length] for each in inputs], np.float32))


class Crashing(Subject):
    def answer_ids(self, ids: np.ndarray) -> object:
        print("stack smashed", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
        return None


class Hanging(Subject):
    def answer_ids(self, ids: np.ndarray) -> object:
        time.sleep(600)
        return None


class Noisy(Subject):
    def answer(self, inputs: Any) -> object:
        print("an engine that chats on stdout")
        os.write(1, b"and on the descriptor itself\n")
        return super().answer(inputs)


def refuse(spec: SubjectSpec) -> Subject:
    raise EngineError("the graph is odd", where="model.onnx", hint="make it anew")


def miss(spec: SubjectSpec) -> Subject:
    raise missing_extra("engine9", "engine9", purpose="this row")


def stumble(spec: SubjectSpec) -> Subject:
    raise KeyError("a bug of ours")
