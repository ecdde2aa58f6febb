"""The page of ``examples/web`` in a real browser: it says what the runtime says, and asks nobody else.

Run with ``make test-optimum``. Needs Chromium (``apt install chromium``) and npm, whose registry the first
run needs: it installs the packages of ``examples/web`` in the peers' cache (see ``test_optimum.py``).
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import chromium
import pytest
import web_packages

from edgeroberta.runtime import Runtime
from edgeroberta.stages.build import BuildConfig, build

pytestmark = [pytest.mark.interchange, pytest.mark.slow]

EXAMPLE = web_packages.EXAMPLE
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TEXTS = (
    "The film is great.",
    "It would wait, tomorrow\nat the table 20",
    "Ünïcödé Łódź 市場 🎬, q'd ends",
    "a",
)
PAIRS = (
    ("How long is it?", "The film was two hours long, and nobody left."),
    ("Who?", "They've waited… 市场 for Łódź-24% tonight (here), didn't they?"),
    ("and then", "Nothing."),
)
#: Kinds of model by name: how its checkpoint is made, and what it is asked.
HEADS: dict[str, tuple[Callable[..., Path], tuple[Any, ...]]] = {
    "single": (lambda make, embed: make(), TEXTS),
    "xlm-roberta": (lambda make, embed: make(("bad", "dull", "good"), model_type="xlm-roberta"), TEXTS),
    "multi-label": (lambda make, embed: make(("plot", "music"), "multi_label_classification"), TEXTS),
    "regression": (lambda make, embed: make(("score",), "regression"), TEXTS),
    "pairs": (lambda make, embed: make(), PAIRS),
    "bert-pairs": (lambda make, embed: make(model_type="bert"), PAIRS),
    "entities": (lambda make, embed: make(TAGS, "token_classification"), TEXTS),
    "bert-entities": (lambda make, embed: make(TAGS, "token_classification", model_type="bert"), TEXTS),
    "xlm-entities": (
        lambda make, embed: make(TAGS, "token_classification", model_type="xlm-roberta"),
        TEXTS,
    ),
    "questions": (lambda make, embed: make(problem="question_answering"), PAIRS),
    "bert-questions": (lambda make, embed: make(problem="question_answering", model_type="bert"), PAIRS),
    "masks": (lambda make, embed: make(problem="fill_mask"), ("a <mask> film", "the <mask> was <mask>.")),
    "bert-masks": (lambda make, embed: make(problem="fill_mask", model_type="bert"), ("a [MASK] film",)),
    "mean": (lambda make, embed: embed("mean", True), PAIRS),
    "dot": (lambda make, embed: embed("max", False, "dot"), PAIRS),
}
FAILED = "document.getElementById('problem')?.hidden === false"
SHOWN = "document.getElementById('answer')?.innerText"


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory) -> Path:
    """The example with its packages."""
    packages = web_packages.installed()
    folder = tmp_path_factory.mktemp("web")
    for file in EXAMPLE.iterdir():
        if file.is_file():
            shutil.copy(file, folder / file.name)
    (folder / "node_modules").symlink_to(packages)
    return folder


@pytest.fixture(scope="session")
def serve(page_folder) -> ModuleType:
    """The module ``serve.py`` of the example."""
    spec = importlib.util.spec_from_file_location("web_serve", page_folder / "serve.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def bundles(make_checkpoint, make_embedder, make_build_context, tmp_path_factory) -> Path:
    """A folder of bundles, one of each kind, by their names."""
    folder = tmp_path_factory.mktemp("bundles")
    for name, (checkpoint, asked) in HEADS.items():
        pair = isinstance(asked[0], tuple) and name not in ("mean", "dot")
        sample = asked[0] if isinstance(asked[0], str) else asked[0][1]
        context = make_build_context(
            checkpoint(make_checkpoint, make_embedder), pair=pair, texts=(sample,) * 2
        )
        build(BuildConfig(layout="web"), context)
        Path(context.output).rename(folder / name)
    build(BuildConfig(), plain := make_build_context(make_checkpoint()))
    Path(plain.output).rename(folder / "plain")
    damaged = shutil.copytree(folder / "single", folder / "damaged")
    graph = damaged / "onnx/model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    return folder


@pytest.fixture(scope="session")
def server(serve, bundles) -> Iterator[Any]:
    """The server of the example with all bundles, on a free port."""
    made = serve.make_server(sorted(bundles.iterdir()), 0)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    with made:
        yield made
        made.shutdown()
    thread.join()


@pytest.fixture(scope="session")
def program() -> str:
    """Chromium."""
    found = chromium.find()
    if found is None:
        pytest.skip("Chromium is not installed: apt install chromium")
    return found


@pytest.fixture
def browser(program, tmp_path) -> Iterator[chromium.Page]:
    """A tab of a browser of its own, which must have stayed without errors unless a test took them away."""
    with chromium.opened(program, tmp_path / "profile") as tab:
        yield tab
        tab.listen()
        assert tab.errors == []


@pytest.fixture
def visit(browser, server, serve) -> Callable[[str], chromium.Page]:
    """A function that opens a bundle by its name, and waits for an answer or a message."""

    def go(name: str) -> chromium.Page:
        browser.open(f"http://127.0.0.1:{server.server_port}{serve.address_of(name)}")
        browser.wait(f"location.search === {json.dumps('?bundle=models/' + name)}")
        browser.wait(f"document.readyState === 'complete' && ({SHOWN} || {FAILED})")
        return browser

    return go


def ask(tab: chromium.Page, asked: str | tuple[str, str]) -> str:
    """Type texts, wait for their answer, and return what stands there."""
    texts = (asked,) if isinstance(asked, str) else asked
    for place, text in enumerate(texts):
        tab.type(f"text-{place}", text)
    tab.wait("document.getElementById('answer').ariaBusy === 'false'")
    return str(tab.run(SHOWN))


def plain(text: str) -> str:
    """Return a text as a reader sees it: all spaces are alike."""
    return " ".join(text.split())


def percent(score: float) -> str:
    return f"{100 * score:.1f} %"


def said(answer: Any) -> list[str]:
    """What the page has to show of an answer of the runtime."""
    if hasattr(answer, "similarity"):
        return [f"{answer.similarity:.3f}" if abs(answer.similarity) <= 1 else f"{answer.similarity:.4g}"]
    if hasattr(answer, "masks"):
        best = [mask[0] for mask in answer.masks]
        return [f"{each.text.strip()}\n{percent(each.score)}" for each in best]
    if hasattr(answer, "entities"):
        return [f"{each.text} {each.label}\n{percent(each.score)}" for each in answer.entities] or [
            "No entities."
        ]
    if hasattr(answer, "no_answer"):
        return [f"{answer.answer}\n", percent(answer.score)]
    if answer.label is None and not answer.labels and len(answer.scores) == 1:
        return [f"{answer.score:.4g}"]
    scores = [f"{label}\n{percent(score)}" for label, score in answer.scores.items()]
    return [", ".join(answer.labels) or "no label", *scores]


@pytest.mark.parametrize("head", HEADS)
def test_the_page_says_what_the_runtime_says(visit, server, bundles, head):
    tab = visit(head)
    with Runtime.open(bundles / head) as runtime:
        for asked in HEADS[head][1]:
            shown = plain(ask(tab, asked))
            for part in said(runtime(asked)):
                assert plain(part) in shown, asked
    assert {each.split("/")[2] for each in tab.requests} == {f"127.0.0.1:{server.server_port}"}
    assert tab.run(
        "document.querySelector('details').open = true, document.getElementById('replay').click(), 1"
    )
    replayed = tab.wait("(/agree/.exec(document.getElementById('replayed').textContent) || {}).input")
    agree, of = re.match(r"(\d+) of (\d+) agree", replayed).groups()
    assert agree == of


def test_the_newest_text_wins(visit, bundles):
    """However fast the keys come, what stands there in the end is the answer to what stands in the field."""
    tab = visit("single")
    before = tab.run("performance.getEntriesByName('answer').length")
    script = """
        (async () => {
            const field = document.querySelector('textarea');
            for (let count = 1; count <= 60; count += 1) {
                field.value = 'The film is '.repeat(count);
                field.dispatchEvent(new Event('input'));
                await new Promise((done) => setTimeout(done, count % 10 ? 1 : 40));
            }
        })()
    """
    tab.run(script)
    tab.wait("document.getElementById('answer').ariaBusy === 'false'")
    with Runtime.open(bundles / "single") as runtime:
        for part in said(runtime("The film is " * 60)):
            assert part in tab.run(SHOWN)
    assert tab.run("performance.getEntriesByName('answer').length") - before < 30


def test_an_emptied_field_has_no_answer(visit):
    tab = visit("single")
    script = """
        const field = document.querySelector('textarea');
        for (const text of ['great', ' ']) {
            field.value = text;
            field.dispatchEvent(new Event('input'));
        }
    """
    tab.run(script)
    tab.wait("document.getElementById('answer').ariaBusy === 'false'")
    tab.run("new Promise((done) => setTimeout(done, 300))")
    assert tab.run(SHOWN) == "Type a text."


def test_a_text_is_never_read_as_html(visit):
    """Neither in the text with marks nor in the list of entities."""
    tab = visit("entities")
    hostile = "<img src=x onerror=alert(1)><b>film</b><script>alert(2)</script> &amp; The film is great"
    shown = ask(tab, hostile)
    assert hostile in shown.replace(" PER", "").replace("PER", "").replace("LOC", "")
    assert tab.run("document.querySelectorAll('#answer img, #answer b, #answer script').length") == 0


def test_a_long_text_says_what_was_read_of_it(visit, bundles):
    tab = visit("single")
    text = "The film is great. " * 300
    shown = ask(tab, text)
    with Runtime.open(bundles / "single", long_text="truncate") as runtime:
        answer = runtime(text)
    assert answer.truncated
    for part in said(answer):
        assert part in shown
    latency = tab.run("document.getElementById('latency').textContent")
    assert "the first 512 tokens; the rest was not read" in latency


def test_a_pair_that_is_too_long_is_told(visit):
    assert "and the model reads 512: shorten them" in ask(visit("questions"), ("Who?", "They waited. " * 300))


def test_the_mask_is_put_in_by_a_button(visit):
    tab = visit("masks")
    assert ask(tab, "a film") == "There is no mask in the text."
    tab.run("document.getElementById('mask').click()")
    tab.wait("document.getElementById('answer').ariaBusy === 'false'")
    assert tab.run("document.querySelectorAll('.scores li').length") == 5
    assert tab.run("document.querySelector('textarea').value") == "a film<mask>"


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_texts_stand_out_and_nothing_leaves_the_screen(visit, browser, width, scheme):
    """Contrast of 4.5 at least (WCAG 2.2, 1.4.3), and no scrolling to the side."""
    browser.show(width, 800, scheme)
    tab = visit("entities")
    ask(tab, "The film is great. " * 8 + "w" * 200)
    tab.run("document.querySelector('details').open = true")
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(_CONTRAST) == []
    if folder := os.environ.get("EDGEROBERTA_PICTURES"):
        tab.picture(Path(folder) / f"entities-{width}-{scheme}.png")


#: Elements whose own text has too little contrast with the ground behind it.
_CONTRAST = """
    (() => {
        const parts = (color) => color.match(/[\\d.]+/g).map(Number);
        const light = (color) => {
            const [r, g, b] = parts(color).map((each) => each / 255)
                .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ground = (node) => {
            for (let each = node; each; each = each.parentElement) {
                const color = getComputedStyle(each).backgroundColor;
                if (parts(color)[3] !== 0) return color;
            }
            throw new Error('no ground');
        };
        const texts = [...document.body.querySelectorAll('*')].filter((node) => node.checkVisibility()
            && [...node.childNodes].some((each) => each.nodeType === 3 && each.textContent.trim()));
        if (texts.length < 10) throw new Error('no texts');
        return texts.filter((node) => {
            const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
            return (a + 0.05) / (b + 0.05) < 4.5;
        }).map((node) => node.outerHTML.slice(0, 80));
    })()
"""


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
