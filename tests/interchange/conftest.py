"""Interpreters of Optimum's environments, a browser, and a server of the page of ``examples/web``."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import served
import web_packages
from web_page import FAILED, HEADS, SHOWN

from benchmarks import chromium
from edgeroberta.roberta import static_graph
from edgeroberta.runtime import Runtime
from edgeroberta.stages.build import BuildConfig, build
from edgeroberta.storage.artifact import Kind

EXAMPLE = web_packages.EXAMPLE
ROOT = Path(__file__).parents[2]


def _environment(name: str) -> Path:
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks.peers.environments import environment
    finally:
        sys.path.remove(str(ROOT))
    return environment(name)


@pytest.fixture(scope="session")
def optimum_python() -> Path:
    """The interpreter of the environment with optimum-onnx, made on first use."""
    return _environment("optimum")


@pytest.fixture(scope="session")
def optimum_intel_python() -> Path:
    """The interpreter of the environment with the current optimum-intel, made on first use."""
    return _environment("optimum-intel")


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
def quantized(make_checkpoint, make_build_context, tmp_path_factory) -> Path:
    """An int8 bundle with the web layout."""
    from edgeroberta.stages.quantize import QuantizeConfig, quantize
    from edgeroberta.storage.artifact import Artifact

    checkpoint = make_checkpoint()
    context = make_build_context(checkpoint, texts=tuple(f"a film, number {n}" for n in range(24)))
    graph, folder = context.inputs[Kind.GRAPH], tmp_path_factory.mktemp("int8")
    inputs = {Kind.GRAPH: graph, Kind.CHECKPOINT: Artifact(checkpoint, Kind.CHECKPOINT, graph.lineage)}
    settings = QuantizeConfig(samples=12, check_samples=12, rows=128, min_agreement=0)
    quantize(settings, replace(context, inputs=inputs, output=folder))
    made = Artifact(folder, Kind.GRAPH, replace(graph.lineage, stage="quantize"))
    build(BuildConfig(layout="web"), replace(context, inputs={Kind.GRAPH: made}))
    return Path(context.output)


@pytest.fixture(scope="session")
def static_bundle(make_checkpoint, make_build_context) -> Path:
    """A bundle of a model without layers, with the web layout."""
    context = make_build_context(make_checkpoint())
    random = np.random.default_rng(0)
    tokens, pairs, width, labels = context.checkpoint.config.vocab_size, 64, 8, len(context.task.labels)
    table = random.normal(size=(tokens + pairs, width + 1)).astype(np.float32)
    table[:, -1] = np.exp(table[:, -1])
    shapes = ((width, labels), (width, 5), (5,), (5, labels), (labels,))
    output, first, shift, second, bias = (random.normal(size=each).astype(np.float32) for each in shapes)
    weights = static_graph.StaticWeights(table, tokens, output, (first, shift, second), bias)
    static_graph.write(weights, [context.inputs[Kind.GRAPH].path / "model.onnx"])
    build(BuildConfig(layout="web"), context)
    return Path(context.output)


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


@pytest.fixture
def visit_server(browser) -> Iterator[Callable[..., chromium.Page]]:
    """A function that serves a runtime and opens its page: ``visit_server(runtime, **settings)``."""
    servers = []

    def go(runtime: Runtime, **settings: Any) -> chromium.Page:
        servers.append(served.start(runtime, **settings))
        browser.open(servers[-1].server.address)
        browser.wait("document.getElementById('text-0') !== null")
        browser.server = servers[-1]
        return browser

    yield go
    for server in servers:
        server.stop()
