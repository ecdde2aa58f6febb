"""The programs of ``docs/guides/javascript.md``, as they stand there, in Node and in Chromium.

Run with ``make test-optimum``. Needs npm and Chromium, as ``test_web_page.py`` does.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import doc_pages
import numpy as np
import pytest
import web_packages
from web_page import HEADS

from benchmarks import chromium
from edgeroberta.runtime import Runtime

pytestmark = [pytest.mark.interchange, pytest.mark.slow]

PAGE = doc_pages.text(doc_pages.DOCS / "guides" / "javascript.md")
FOLDER = "/home/me/out"  # what the guide calls a bundle in Node
NODE, BROWSER = [], []
for block in doc_pages.blocks(PAGE, "js"):
    (NODE if FOLDER in block else BROWSER).append(block)
(HTML,), (GOLDENS,) = doc_pages.blocks(PAGE, "html"), BROWSER
#: What a program asks: a text, or two.
ASKED = re.compile(r"(?:classify\(|tokenizer\(|tokenizer, )'([^']+)'(?:, \{ text_pair: '([^']+)')?")
#: Keeps what a page says, and counts what it gives a GPU to do.
LISTEN = """
    globalThis.said = [];
    console.log = (...words) => said.push(words.map((word) => JSON.stringify(word)).join(' '));
    globalThis.submitted = 0;
    if (globalThis.GPUQueue) {
        const submit = GPUQueue.prototype.submit;
        GPUQueue.prototype.submit = function (...all) { submitted += 1; return submit.apply(this, all); };
    }
"""
SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
#: Float models of every kind, one in int8, and one without layers.
BUNDLES = (*HEADS, "int8", "static")


@pytest.fixture(scope="session")
def site(bundles, quantized, static_bundle, tmp_path_factory) -> Path:
    """What the guide has a user serve, with all bundles."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "models").mkdir()
    found = {each.name: each for each in bundles.iterdir()} | {"int8": quantized, "static": static_bundle}
    for name, bundle in found.items():
        (folder / "models" / name).symlink_to(bundle)
    (folder / "node_modules").symlink_to(web_packages.installed())
    for name in ("bundle.mjs", "encode.mjs", "heads.mjs"):
        shutil.copy(web_packages.EXAMPLE / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def address(site) -> Iterator[str]:
    """Where a plain server of files has it."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, form: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def open_page(site, address, program, tmp_path) -> Iterator[Callable[..., chromium.Page]]:
    """A function that writes a page of the guide for a bundle, and opens it; ``flags`` are the browser's."""
    tabs = []

    def go(html: str, bundle: str, *flags: str) -> chromium.Page:
        html = html.replace("'out'", f"'{bundle}'").replace("/models/out/", f"/models/{bundle}/")
        (site / "index.html").write_text(html, encoding="utf-8")
        opened = chromium.opened(program, tmp_path / "profile", *flags)
        tab = opened.__enter__()
        tabs.append(opened)
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)
        tab.open(f"{address}/")
        return tab

    yield go
    for each in tabs:
        each.__exit__(None, None, None)


def said(tab: chromium.Page, lines: int) -> list[str]:
    tab.wait(f"globalThis.said?.length >= {lines}", 120)
    return list(tab.run("said"))


def outside(tab: chromium.Page, address: str) -> list[str]:
    return [each for each in tab.requests if not each.startswith((address, "data:", "blob:"))]


@pytest.mark.parametrize("number", range(3))
def test_programs_for_node_say_what_the_runtime_says(number, site, bundles):
    program = NODE[number]
    bundle = bundles / ("pairs" if "text_pair" in program else "single")
    file = site / f"program-{number}.mjs"
    file.write_text(program.replace(FOLDER, str(bundle)), encoding="utf-8")
    done = subprocess.run(["node", file.name], cwd=site, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [float(each) for each in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", done.stdout)]
    asked = ASKED.search(program)
    assert asked
    with Runtime.open(bundle) as runtime:
        text = asked.group(1) if asked.group(2) is None else asked.groups()
        wanted = runtime(text).score if "classify" in program else runtime.logits([text])[0]
    np.testing.assert_allclose(found, np.ravel(wanted), atol=1e-5)


def test_there_are_three_programs_for_node():
    assert len(NODE) == 3


def test_the_page_says_what_the_runtime_says_and_asks_nobody_else(open_page, bundles, address):
    tab = open_page(HTML, "single")
    ((found,),) = (json.loads(each) for each in said(tab, 1))
    with Runtime.open(bundles / "single") as runtime:
        wanted = runtime("A film to remember.")
    assert found["label"] == wanted.label
    assert found["score"] == pytest.approx(wanted.score, abs=1e-4)
    assert outside(tab, address) == []


def goldens_page(device: str) -> str:
    """The page of the guide with its last program instead of its own."""
    head = HTML[: HTML.index('<script type="module">')]
    program = GOLDENS.replace("device: 'wasm'", f"device: '{device}'")
    return f'{head}<script type="module">\n{program}</script>\n'


@pytest.mark.parametrize("bundle", BUNDLES)
@pytest.mark.parametrize("device", ["wasm", "webgpu"])
def test_goldens_agree_in_the_browser(open_page, site, address, device, bundle):
    tab = open_page(goldens_page(device), bundle, *(SOFTWARE_GPU if device == "webgpu" else ()))
    if device == "webgpu" and not tab.run("navigator.gpu?.requestAdapter().then(Boolean)"):
        pytest.skip("this Chromium has no WebGPU in software")
    stored = json.loads((site / "models" / bundle / "goldens.json").read_text(encoding="utf-8"))
    lines = said(tab, len(stored["inputs"]))
    assert len(lines) >= 6
    assert [each for each in lines if not each.endswith('"ok"')] == []
    assert (tab.run("submitted") > 0) is (device == "webgpu")
    assert outside(tab, address) == []


def test_goldens_that_are_wrong_are_told_in_the_browser(open_page, site, bundles):
    copy = shutil.copytree(bundles / "single", site / "models" / "wrong")
    stored = json.loads((copy / "goldens.json").read_text(encoding="utf-8"))
    stored["logits"][0] = [-each for each in stored["logits"][0]]
    (copy / "goldens.json").write_text(json.dumps(stored), encoding="utf-8")
    lines = said(open_page(goldens_page("wasm"), "wrong"), len(stored["inputs"]))
    assert "numbers differ by" in lines[0]
    assert all(each.endswith('"ok"') for each in lines[1:])
