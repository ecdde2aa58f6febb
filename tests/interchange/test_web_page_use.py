"""The page of ``examples/web`` in a real browser: what it refuses, who can use it, and what may be fetched.

Run with ``make test-optimum``. Needs Chromium (``apt install chromium``) and npm, whose registry the first
run needs: it installs the packages of ``examples/web`` in the peers' cache (see ``test_optimum.py``).
"""

from __future__ import annotations

import http.client
import json
import re

import pytest
from web_packages import EXAMPLE
from web_page import FAILED, PAIRS, SHOWN, ask

pytestmark = [pytest.mark.interchange, pytest.mark.slow]


@pytest.mark.parametrize(
    ("name", "what", "hint"),
    [
        ("nowhere", "This is no bundle: it has no manifest.json of one.", "edgeroberta compress"),
        ("plain", "This bundle was not laid out for JavaScript", "--target web"),
        ("damaged", "Onnx/model.onnx is not the file that the manifest lists.", "copy the bundle"),
    ],
)
def test_what_does_not_open_says_what_to_do(visit, browser, name, what, hint):
    tab = visit(name)
    assert what in tab.run("document.getElementById('problem-what').textContent")
    assert hint in tab.run("document.getElementById('problem-hint').textContent")
    assert tab.run("document.getElementById('work').hidden")
    # A file that is not there the browser itself writes into its console.
    assert all("404" in each for each in browser.errors)
    browser.errors.clear()


def test_a_bundle_elsewhere_is_refused(browser, server):
    browser.open(f"http://127.0.0.1:{server.server_port}/index.html?bundle=http://127.0.0.2:1/out")
    browser.wait(FAILED)
    assert "on the server of this page" in browser.run("document.getElementById('problem-what').textContent")
    assert not [each for each in browser.requests if each.startswith("http://127.0.0.2")]


def test_a_browser_without_simd_is_told(visit, browser):
    script = "WebAssembly.validate = () => false"
    browser.call("Page.addScriptToEvaluateOnNewDocument", source=script)
    tab = visit("single")
    assert "no WebAssembly with SIMD" in tab.run("document.getElementById('problem-what').textContent")
    assert not [each for each in tab.requests if "worker.mjs" in each]


def test_a_second_visit_fetches_no_model_again(visit, browser):
    visit("single")
    assert [each for each in browser.requests if each.endswith("onnx/model.onnx")]
    browser.requests.clear()
    browser.open("about:blank")
    visit("single")
    assert not [each for each in browser.requests if "onnx/" in each or "tokenizer" in each]
    assert [each for each in browser.requests if each.endswith("manifest.json")]


def test_isolated_pages_may_have_several_threads(visit, server):
    tab = visit("single")
    assert tab.run("crossOriginIsolated")
    tab.open(f"http://127.0.0.1:{server.server_port}/index.html?bundle=models/single&threads=2")
    tab.wait(f"location.search.includes('threads') && {SHOWN}")
    used = tab.run(
        "[...document.querySelectorAll('dt')].find(t => t.textContent === 'Threads').nextSibling.textContent"
    )
    assert used == str(min(2, tab.run("navigator.hardwareConcurrency")))


def test_the_page_is_used_by_keyboard_and_read_aloud(visit):
    tab = visit("pairs")
    assert tab.run("document.activeElement.id") == "text-0"
    order = []
    for _ in range(2):
        tab.press("Tab")
        order.append(tab.run("document.activeElement.id || document.activeElement.localName"))
    assert order == ["text-1", "summary"]
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    names = {
        (node["role"]["value"], node.get("name", {}).get("value")) for node in tree if not node["ignored"]
    }
    assert {
        ("textbox", "First text"),
        ("textbox", "Second text"),
        ("region", "Answer"),
        ("main", ""),
    } <= names
    shown = ask(tab, PAIRS[0])
    tab.wait(
        f"document.getElementById('spoken').textContent.startsWith({json.dumps(shown.split(chr(10))[0])})"
    )
    assert tab.run("document.getElementById('spoken').ariaLive") == "polite"


def test_nothing_may_come_from_elsewhere(visit, serve):
    """The page refuses by its own policy, and its worker by the server's."""
    page = (EXAMPLE / "index.html").read_text(encoding="utf-8")
    policy = re.search(r'content="(default-src [^"]+)"', page).group(1)
    assert f"{policy}; frame-ancestors 'none'" == serve.POLICY
    tab = visit("single")
    refused = tab.run("fetch('http://127.0.0.2:1/').then(() => 'sent', (error) => error.name)")
    assert refused == "TypeError"
    tab.listen()
    assert any("Content Security Policy" in each for each in tab.errors)
    tab.errors.clear()


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/models/single/manifest.json", "localhost", 200),
        ("/models/single/../../serve.py", "localhost", 404),
        ("/models/single/%2e%2e/plain/manifest.json", "localhost", 404),
        ("/models/single/%2e%2e%2fplain/manifest.json", "localhost", 404),
        ("/models/single//etc/passwd", "localhost", 404),
        ("/models/other/manifest.json", "localhost", 404),
        ("/models/single/", "localhost", 404),
        ("/node_modules/", "localhost", 404),
        ("/index.html", "elsewhere.example", 421),
    ],
)
def test_the_server_gives_the_page_and_the_bundles_alone(server, path, host, status):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    connection.request("GET", path, headers={"Host": f"{host}:{server.server_port}"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == status
    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
