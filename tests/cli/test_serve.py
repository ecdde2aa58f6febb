"""``edgeroberta serve`` as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request

import fake_bundles
import pytest
import served

from edgeroberta import cli
from edgeroberta.runtime import Runtime


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return fake_bundles.write(tmp_path_factory.mktemp("served") / "bundle")


def test_a_bundle_is_served_until_sigterm_and_no_text_is_logged(bundle):
    texts = ["great film", "Zwölf 😀", ""]
    with Runtime.open(bundle) as runtime:
        wanted = runtime(texts)
    with served.command(bundle) as command:
        assert f"serving {bundle} on onnxruntime" in command.first
        request = urllib.request.Request(
            f"http://127.0.0.1:{command.port}/predict",
            json.dumps({"texts": texts}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            found = json.load(reply)
        code, said = command.terminate()
    assert [answer["label"] for answer in found["predictions"]] == [answer.label for answer in wanted]
    assert [answer["scores"] for answer in found["predictions"]] == [
        pytest.approx(answer.scores) for answer in wanted
    ]
    assert (code, said) == (0, "")
    assert "great" not in command.first


def test_a_program_that_starts_the_server_reads_its_address_as_json(bundle):
    words = [sys.executable, "-m", "edgeroberta", "serve", str(bundle), "--port", "0", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(served.ROOT)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            assert line, "it ended without an address"
            text += line
        found = json.loads(text)
        assert sorted(found) == ["address", "bundle", "engine", "engine_version"]
        with urllib.request.urlopen(f"{found['address']}/health", timeout=10) as reply:
            assert reply.status == 200
        process.terminate()
        assert process.wait(served.WAIT) == 0
        assert process.stdout.read() == ""


def test_an_address_that_others_reach_is_warned_of(bundle):
    with served.command(bundle, "--host", "0.0.0.0") as command:
        assert "0.0.0.0 can be reached from other machines" in command.first
        assert command.terminate()[0] == 0


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as leave:
        cli.main(["serve", *map(str, words)])
    assert isinstance(leave.value.code, int)
    return leave.value.code


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "70000"], "--port"),
        (["--queue", "0"], "--queue"),
        (["--timeout", "0"], "timeout: must be above 0"),
        (["--engine", "openvino"], "the bundle was not built for 'openvino'"),
    ],
)
def test_options_that_cannot_work_are_usage_errors(bundle, capsys, words, said):
    assert run(bundle, *words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "workers"), [([], 4), (["--threads", "3"], 2), (["--threads", "3", "--workers", "4"], 4)]
)
def test_calls_of_several_threads_leave_room_for_fewer_at_once(bundle, monkeypatch, words, workers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    seen = []
    monkeypatch.setattr("edgeroberta.serve.serve", lambda runtime, settings, ready: seen.append(settings))
    assert run(bundle, *words) == 0
    assert [settings.workers for settings in seen] == [workers]


def test_without_its_extra_the_command_ends_with_4_and_says_what_to_install(bundle, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert run(bundle) == 4
    said = capsys.readouterr().err
    assert "edgeroberta serve needs the package 'uvicorn'" in said
    assert "pip install 'edgeroberta[serve]'" in said


def test_what_is_no_bundle_is_said(tmp_path, capsys):
    assert run(tmp_path) == 1
    assert "not a bundle" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said(bundle, capsys):
    with served.command(bundle) as command:
        assert run(bundle, "--port", command.port) == 1
    assert f"127.0.0.1:{command.port}: cannot listen there" in capsys.readouterr().err


def test_the_page_is_at_the_root_unless_it_is_left_out(bundle):
    for options, status in (((), 200), (("--no-page",), 404)):
        with served.command(bundle, *options) as command:
            with served.Client(command.port) as client:
                client.send(served.get("/"))
                reply = client.reply()
            assert reply.status == status
            assert command.terminate() == (0, "")
