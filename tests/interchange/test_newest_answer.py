"""The newest answer wins: one question is asked at a time, and no answer to an older one is ever shown.

Run with ``make test-optimum``. Needs Chromium, and for the page with a worker npm (see ``test_web_page.py``).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest
import served
from web_packages import EXAMPLE
from web_page import percent

from benchmarks import chromium
from edgeroberta.runtime import Runtime

pytestmark = [pytest.mark.interchange, pytest.mark.slow]

#: Asks 1, then 2 and 3 while that is asked; ends it, so that 3 is asked; forgets 3 and ends it; asks 4, which
#: fails.
SCRIPT = """
import { newestOnly } from './newest.mjs';

const asked = [];
const told = [];
const ends = [];
const ask = (question) => {
  asked.push(question);
  return new Promise((resolve, reject) => ends.push({ resolve, reject }));
};
const turn = () => new Promise((done) => setTimeout(done));
const tell = ({ question, answer, error, current }) => {
  told.push([question, answer ?? error.message, current]);
};
const queue = newestOnly(ask, tell);
for (const question of [1, 2, 3]) queue.put(question);
await turn();
const first = [...asked];
ends[0].resolve('one');
await turn();
const second = [...asked];
queue.drop();
ends[1].resolve('three');
await turn();
queue.put(4);
ends[2].reject(new Error('no'));
await turn();
queue.put(5);
ends[3].resolve('five');
await turn();
console.log(JSON.stringify({ first, second, asked, told }));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_one_question_is_asked_at_a_time_and_of_those_that_wait_the_newest_alone(tmp_path):
    shutil.copy(EXAMPLE / "newest.mjs", tmp_path)
    (tmp_path / "test.mjs").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(["node", str(tmp_path / "test.mjs")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "first": [1],
        "second": [1, 3],
        "asked": [1, 3, 4, 5],
        "told": [[1, "one", False], [3, "three", False], [4, "no", True], [5, "five", True]],
    }


#: Keeps what stands in the answer whenever that changes.
WATCH = """
    window.seen = [];
    new MutationObserver(() => window.seen.push(document.getElementById('answer').innerText))
        .observe(document.getElementById('answer'), { childList: true });
"""
#: Keeps questions from the worker until they are let go.
HOLD = """
    window.held = [];
    window.asked = [];
    window.holding = false;
    window.Worker = class extends Worker {
        postMessage(message) {
            const send = () => super.postMessage(message);
            if (message.kind === 'ask') window.asked.push(message.texts[0]);
            if (message.kind === 'ask' && window.holding) window.held.push(send);
            else send();
        }
    };
"""


class Held:
    """A runtime whose engine waits; ``texts``: what it was asked."""

    def __init__(self, runtime: Runtime) -> None:
        self.go = threading.Event()
        self.texts: list[str] = []
        encode = runtime.tokenizer.encode

        def held(inputs, **options):
            self.texts += inputs
            assert self.go.wait(served.WAIT)
            return encode(inputs, **options)

        runtime.tokenizer.encode = held


@pytest.fixture
def answers() -> dict[str, str]:
    return {"a good film": "good", "a bad film": "bad"}


@pytest.fixture
def held(answers) -> Iterator[tuple[Held, served.Running]]:
    runtime = Runtime.fake(("good", "bad", "other"), answers)
    gate = Held(runtime)
    server = served.start(runtime)
    yield gate, server
    gate.go.set()
    server.stop()


def type_three(tab: chromium.Page, asked: Callable[[], list[str]]) -> None:
    """Type three texts, the second and third while the first is asked."""
    tab.run(WATCH)
    tab.type("text-0", "a good film")
    served.wait_until(lambda: asked() == ["a good film"])
    for text in ("a film", "a bad film"):
        tab.type("text-0", text)
        tab.run("new Promise((done) => setTimeout(done, 100))")  # longer than the pause before a question
    assert asked() == ["a good film"]
    assert tab.run("document.getElementById('answer').ariaBusy") == "true"


def test_a_slow_server_is_asked_the_newest_text_and_its_answer_alone_is_shown(browser, held):
    gate, server = held
    browser.open(server.server.address)
    browser.wait("document.getElementById('text-0') !== null")
    type_three(browser, lambda: gate.texts)
    gate.go.set()
    browser.wait("document.getElementById('answer').ariaBusy === 'false'")
    assert gate.texts == ["a good film", "a bad film"]
    seen = browser.run("window.seen")
    assert len(seen) == 1
    assert seen[0].startswith("bad")


def test_a_slow_worker_is_asked_the_newest_text_and_its_answer_alone_is_shown(visit, browser, bundles):
    browser.call("Page.addScriptToEvaluateOnNewDocument", source=HOLD)
    tab = visit("single")
    tab.run("window.holding = true, window.asked.length = 0")
    type_three(tab, lambda: tab.run("window.asked"))
    tab.run("window.holding = false, window.held.shift()()")
    tab.wait("document.getElementById('answer').ariaBusy === 'false'")
    assert tab.run("window.asked") == ["a good film", "a bad film"]
    (seen,) = tab.run("window.seen")
    with Runtime.open(bundles / "single") as runtime:
        scores = [percent(runtime(text).score) for text in ("a bad film", "a good film")]
    assert scores[0] != scores[1]
    assert scores[0] in seen
