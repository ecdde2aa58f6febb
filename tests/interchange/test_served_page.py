"""The page of ``edgeroberta serve`` in a real browser: it says what the runtime says, and why it cannot.

Run with ``make test-optimum``. Needs Chromium (``apt install chromium``).
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import served
from web_page import HEADS, SHOWN, ask, plain, said

from benchmarks import chromium
from edgeroberta.runtime import Runtime

pytestmark = [pytest.mark.interchange, pytest.mark.slow]

LATENCY = "document.getElementById('latency').textContent"


@pytest.mark.parametrize("head", HEADS)
def test_the_page_says_what_the_runtime_says(visit_server, bundles, head):
    with Runtime.open(bundles / head) as runtime:
        tab = visit_server(runtime)
        assert tab.run(SHOWN).startswith("Type ")
        for asked in HEADS[head][1]:
            shown = plain(ask(tab, asked))
            for part in said(runtime(asked)):
                assert plain(part) in shown, asked
        tab.listen()
        port = tab.server.port
        assert {each.split("/")[2] for each in tab.requests} == {f"127.0.0.1:{port}"}
        assert not [each for each in tab.requests if "worker" in each or "node_modules" in each]
        assert tab.run("document.getElementById('privacy').textContent").startswith("Texts go to the server")
        assert not tab.run("document.getElementById('replay').checkVisibility()")


def test_the_tier_that_answered_is_told(visit_server):
    tab = visit_server(Runtime.fake(tiers={"small": ["sure"], "large": []}))
    ask(tab, "sure")
    assert "answered by the tier small" in tab.run(LATENCY)
    ask(tab, "unsure")
    assert "answered by the tier large" in tab.run(LATENCY)
    assert "small, large" in tab.run("document.getElementById('facts').textContent")


def test_a_prompt_is_chosen_from_a_list(visit_server, make_embedder, make_bundle):
    checkpoint = make_embedder("mean", True)
    prompts = '{"prompts": {"query": "good ", "other": "the plot "}, "default_prompt_name": "query"}'
    (checkpoint / "config_sentence_transformers.json").write_text(prompts, encoding="utf-8")
    pair = ("a film", "the film is great")
    with Runtime.open(make_bundle(checkpoint), engine="onnxruntime") as runtime:
        tab = visit_server(runtime)
        assert tab.run("document.getElementById('prompt').value") == "query"
        found = set()
        for name in ("query", "other", ""):
            choose = f"const list = document.getElementById('prompt'); list.value = '{name}';"
            tab.run(f"{{ {choose} list.dispatchEvent(new Event('change')) }}")
            shown = ask(tab, pair)
            assert said(runtime(pair, prompt=name))[0] in shown
            found.add(shown)
        assert len(found) == 3


def test_long_texts_are_told(visit_server, bundles):
    with Runtime.open(bundles / "single", long_text="windows") as runtime:
        tab = visit_server(runtime)
        ask(tab, "The film is great. " * 300)
        assert re.search(r"read in \d windows of 512 tokens", tab.run(LATENCY))
    with Runtime.open(bundles / "single", long_text="truncate") as runtime:
        tab = visit_server(runtime)
        ask(tab, "The film is great. " * 300)
        assert "the first 512 tokens; the rest was not read" in tab.run(LATENCY)


def refused(tab: chromium.Page, asked: str, *, again: bool) -> str:
    """Ask what is refused, and return what is said of it; the browser itself notes such answers as errors."""
    shown = ask(tab, asked)
    tab.listen()
    assert all("Failed to load resource" in each for each in tab.errors), tab.errors
    assert tab.errors
    tab.errors.clear()
    assert tab.run("document.getElementById('again').checkVisibility()") == again
    assert tab.run(LATENCY) == ""
    return shown


def test_what_the_server_refuses_is_said_in_words(visit_server, bundles):
    with Runtime.open(bundles / "single", long_text="refuse") as runtime:
        tab = visit_server(runtime, max_bytes=20_000)
        shown = refused(tab, "The film is great. " * 300, again=False)
        too_long = "The text is longer than the model reads, and this server refuses such texts."
        assert shown == f"{too_long} Shorten it."
        assert (
            refused(tab, "a" * 30_000, again=False)
            == "The text is larger than this server takes. Shorten it."
        )
        tab.wait("document.getElementById('spoken').textContent.startsWith('The text is larger')")
        assert "100" not in ask(tab, "great film")
        assert not tab.run("document.getElementById('again').checkVisibility()")


def test_a_server_that_is_late_busy_or_gone_is_told_and_asked_again(visit_server):
    runtime = Runtime.fake(answers={"great film": "positive"})
    encode, calls = runtime.tokenizer.encode, []
    late = served.threading.Event()

    def slow(inputs: Any, **options: Any) -> Any:
        calls.append(inputs)
        assert late.wait(served.WAIT)
        return encode(inputs, **options)

    runtime.tokenizer.encode = slow
    tab = visit_server(runtime, workers=1, queue=1, timeout=0.3)
    try:
        assert refused(tab, "great film", again=True).startswith("The server had no answer in time.")
        # The worker is at that text still; another client takes the only place in the queue.
        with tab.server.client() as client:
            client.send(served.post({"text": "other"}))
            served.wait_until(lambda: tab.server.metric("edgeroberta_queue_depth") == 1)
            assert refused(tab, "a film", again=True).startswith(
                "The server is busy: as many texts wait as may."
            )
        late.set()
        served.wait_until(lambda: tab.server.ask(served.get("/health")).status == 200)
        tab.run("document.getElementById('again').click()")
        tab.wait("document.getElementById('answer').ariaBusy === 'false'")
        assert tab.run(SHOWN).startswith("negative")
        assert tab.run("document.activeElement.id") == "text-0"
    finally:
        late.set()
    tab.server.stop()
    gone = "The server does not answer. See whether it still runs, and ask again."
    assert refused(tab, "great film", again=True) == gone


def test_a_server_without_an_answer_for_the_page_is_told(browser, visit_server, monkeypatch):
    from edgeroberta.serve import app

    monkeypatch.setattr(app.Service, "_tell", lambda *_: 1 / 0)
    server = served.start(Runtime.fake())
    try:
        browser.open(server.server.address)
        browser.wait("document.getElementById('problem')?.hidden === false")
        assert "failed" in browser.run("document.getElementById('problem-what').textContent")
        browser.listen()
        browser.errors.clear()
    finally:
        server.stop()


def test_typing_fast_never_has_more_than_one_request_under_way(visit_server):
    runtime = Runtime.fake()
    running, most = [0], [0]
    run = runtime.session.run

    def counted(*arguments: Any) -> Any:
        running[0] += 1
        most[0] = max(most[0], running[0])
        try:
            served.time.sleep(0.05)
            return run(*arguments)
        finally:
            running[0] -= 1

    runtime.session.run = counted
    tab = visit_server(runtime, workers=4)
    tab.run("document.getElementById('text-0').focus()")
    for number in range(40):
        tab.call("Input.insertText", text=f"word{number} ")
        tab.run("new Promise((done) => setTimeout(done, 35))")
    tab.wait("document.getElementById('answer').ariaBusy === 'false'")
    assert most == [1]
    assert tab.server.metric("edgeroberta_abandoned_total") == 0
    assert tab.server.metric('edgeroberta_requests_total{code="200",path="/predict"}') > 5


def test_the_policy_of_the_server_lets_nothing_through(visit_server):
    tab = visit_server(Runtime.fake())
    refused = tab.run("fetch('http://127.0.0.2:1/').then(() => 'sent', (error) => error.name)")
    assert refused == "TypeError"
    script = "Object.assign(document.createElement('script'), { textContent: 'window.ran = 1' })"
    tab.run(f"document.body.append({script})")
    assert tab.run("window.ran") is None
    tab.listen()
    assert len([each for each in tab.errors if "Content Security Policy" in each]) >= 2
    tab.errors.clear()
