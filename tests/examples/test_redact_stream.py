"""The example that takes personal data out of lines, on fakes and as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import served

from edgeroberta.errors import UsageError
from edgeroberta.runtime import Problem, Runtime

SCRIPT = served.ROOT / "examples" / "redact_stream.py"
sys.path.insert(0, str(SCRIPT.parent))
redact_stream = pytest.importorskip("redact_stream")

MAIL = "Mail bob@x.org or Ann, 😀 ann@y.de!"
ENTITIES = [("EMAIL", 5, 14), ("PERSON", 18, 21), ("EMAIL", 25, 33)]


def fake(answers=None) -> Runtime:
    return Runtime.fake(("EMAIL", "PERSON"), answers or {MAIL: ENTITIES}, problem=Problem.TOKENS)


def test_entities_become_their_labels_and_all_else_stays():
    runtime = fake()
    assert redact_stream.redact(runtime, MAIL, {"EMAIL", "PERSON"}) == "Mail [EMAIL] or [PERSON], 😀 [EMAIL]!"
    assert redact_stream.redact(runtime, MAIL, {"EMAIL"}) == "Mail [EMAIL] or Ann, 😀 [EMAIL]!"
    assert redact_stream.redact(runtime, "nothing here", {"EMAIL"}) == "nothing here"
    assert redact_stream.redact(runtime, "", {"EMAIL"}) == ""


def test_a_line_that_cannot_be_read_never_comes_out(capsys):
    runtime = fake()
    found = list(redact_stream.redacted(runtime, [MAIL.encode(), b"secret \xff\n", b"\n"], {"EMAIL"}))
    assert [line for line, _ in found] == ["Mail [EMAIL] or Ann, 😀 [EMAIL]!", "[NOT READ]", ""]
    assert [read for _, read in found] == [True, False, True]
    told = capsys.readouterr().err
    assert told == "line 2 was not read: UnicodeDecodeError\n"
    runtime.close()
    assert list(redact_stream.redacted(runtime, [b"secret"], {"EMAIL"})) == [("[NOT READ]", False)]


def gated(**gate) -> Runtime:
    runtime = fake()
    runtime.manifest = SimpleNamespace(gate=gate)  # type: ignore[assignment]
    return runtime


def test_only_a_gate_that_passed_with_a_bound_for_each_label_is_enough():
    bounds = {"allowed": {"min_recall": {"EMAIL": 0.99, "PERSON": 0.9}}, "verdict": "PASS"}
    redact_stream.require_gate(gated(**bounds), ["EMAIL", "PERSON"])
    with pytest.raises(UsageError, match="did not bound the recall of PHONE"):
        redact_stream.require_gate(gated(**bounds), ["EMAIL", "PHONE"])
    with pytest.raises(UsageError, match="did not bound the recall of EMAIL") as error:
        redact_stream.require_gate(fake(), ["EMAIL"])
    assert "--set 'verify.gate.min_recall={EMAIL: 0.99}', or say with --labels" in str(error.value)
    with pytest.raises(UsageError, match=r"min_recall=\{EMAIL: 0.99, PHONE: 0.99\}"):
        redact_stream.require_gate(fake(), ["PHONE", "EMAIL"])
    failed = {**bounds, "verdict": "FAIL", "reason": "it lost too much"}
    with pytest.raises(UsageError, match="says FAIL: it lost too much"):
        redact_stream.require_gate(gated(**failed), ["EMAIL"])


def test_labels_are_those_of_the_model():
    runtime = fake()
    assert redact_stream.choose(runtime, None) == ["EMAIL", "PERSON"]
    assert redact_stream.choose(runtime, "PERSON") == ["PERSON"]
    with pytest.raises(UsageError, match="there is no label 'PHONE'"):
        redact_stream.choose(runtime, "PHONE")
    with pytest.raises(UsageError, match="labels whole texts"):
        redact_stream.choose(Runtime.fake(), None)


def test_it_runs_on_a_bundle_line_by_line(make_bundle, tiny_token_checkpoint):
    bundle = make_bundle(tiny_token_checkpoint, max_length=32)
    command = [sys.executable, str(SCRIPT), str(bundle)]
    environment = {"PYTHONPATH": str(served.ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    lines = b"Ann met Bob in Paris.\n\xff\n" + b"long line " * 60 + b"\n"
    refused = subprocess.run(command, input=lines, capture_output=True, env=environment, check=False)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert b"did not bound the recall of LOC, PER" in refused.stderr
    done = subprocess.run(
        [*command, "--ungated"], input=lines, capture_output=True, env=environment, check=False
    )
    assert done.returncode == 1, done.stderr
    out = done.stdout.decode().splitlines()
    assert len(out) == 3
    assert out[1] == "[NOT READ]"
    with Runtime.open(bundle, long_text="windows") as runtime:
        assert out[0] == redact_stream.redact(runtime, "Ann met Bob in Paris.", {"PER", "LOC"})
        assert out[2] == redact_stream.redact(runtime, "long line " * 60, {"PER", "LOC"})
