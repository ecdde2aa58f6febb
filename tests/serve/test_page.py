"""The page at ``/``: which files are given, what is said with them, and what is told of the model."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from served import get, post

import edgeroberta
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.runtime import Problem, Runtime
from edgeroberta.serve import page

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(edgeroberta.__file__).parents[1]
EXAMPLE = ROOT / "examples" / "web"


@pytest.mark.parametrize("path", page.FILES)
def test_each_file_is_given_as_it_is_with_a_strict_policy(shared, path):
    name, kind = page.FILES[path]
    for target in (path, f"{path}?x=1"):
        reply = shared.ask(get(target))
        assert (reply.status, reply.body) == (200, (EXAMPLE / name).read_bytes())
        assert reply.headers["content-type"] == f"{kind}; charset=utf-8"
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; connect-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'; form-action 'none'" in policy
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"
    head = shared.ask(get(path, method="HEAD"), head_only=True)
    assert (head.status, int(head.headers["content-length"])) == (200, len(reply.body))
    assert shared.ask(post({}, path=path)).error["code"] == "method-not-allowed"


@pytest.mark.parametrize(
    "path",
    ["/index.html", "/worker.mjs", "/page.mjs/", "//page.mjs", "/../page.mjs", "/%2e%2e/pyproject.toml",
     "/page.css%00", "/server_answerer.mjs", "/serve.py", "/PAGE.CSS"],
)  # fmt: skip
def test_nothing_else_is_given(shared, path):
    assert shared.ask(get(path)).error["code"] == "not-found"


def test_files_are_counted_under_their_paths_and_others_as_one(start):
    server = start()
    for path in ("/", "/", "/about", "/worker.mjs", "/x"):
        server.ask(get(path))
    assert server.metric('edgeroberta_requests_total{code="200",path="/"}') == 2
    assert server.metric('edgeroberta_requests_total{code="200",path="/about"}') == 1
    assert server.metric('edgeroberta_requests_total{code="404",path="other"}') == 2


def test_the_page_can_be_left_out(start):
    server = start(page=False)
    assert all(server.ask(get(path)).status == 404 for path in page.FILES)
    assert server.metric('edgeroberta_requests_total{code="404",path="other"}') == len(page.FILES)
    assert server.ask(get("/about")).status == 200
    assert server.ask(post({"text": "a"})).status == 200


def test_all_that_the_page_fetches_is_given():
    """What a file imports or links is a path that there is; else an error would stand in the console."""
    found = set()
    for name, _ in page.FILES.values():
        text = (EXAMPLE / name).read_text(encoding="utf-8")
        found |= {*re.findall(r"from '\./([^']+)'", text), *re.findall(r'(?:href|src)="([^":]+)"', text)}
    assert {f"/{name}" for name in found} == set(page.FILES) - {"/"}


def test_the_wheel_has_all_files_of_the_page():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    wanted = {f"examples/web/{name}": f"edgeroberta/_page/{name}" for name, _ in page.FILES.values()}
    assert {file: place for file, place in included.items() if "_page" in place} == wanted


def test_a_missing_file_is_said_before_the_server_starts(start, monkeypatch, tmp_path):
    monkeypatch.setattr(page, "folder", lambda: tmp_path)
    with pytest.raises(EdgeRobertaError) as caught:
        start()
    assert caught.value.where == str(tmp_path / "index.html")
    assert "--no-page" in caught.value.hint
    assert start(page=False).ask(get("/health")).status == 200


def test_about_says_how_to_ask_and_nothing_of_the_machine(start, tiny_bundle):
    with Runtime.open(tiny_bundle, engine="onnxruntime") as runtime:
        reply = start(runtime, timeout=3).ask(get("/about"))
        manifest = runtime.manifest
    assert reply.status == 200
    assert reply.json == {
        "version": edgeroberta.__version__, "bundle": manifest.digest, "engine": "onnxruntime",
        "engine_version": runtime.engine_version, "task": manifest.task.to_json(),
        "max_length": manifest.max_length, "long_text": "truncate", "mask_token": None, "prompts": [],
        "default_prompt": None, "tiers": [], "precision": manifest.precision,
        "gate": manifest.gate and manifest.gate["verdict"], "timeout": 3,
    }  # fmt: skip
    assert str(tiny_bundle).encode() not in reply.body


def test_about_names_tiers_masks_and_what_is_done_with_long_texts(start, make_bundle, make_checkpoint):
    tiers = Runtime.fake(tiers={"small": ["sure"], "large": []})
    assert start(tiers).ask(get("/about")).json["tiers"] == ["small", "large"]
    masks = start(Runtime.fake(problem=Problem.MASKED)).ask(get("/about")).json
    assert (masks["mask_token"], masks["task"]["problem"]) == ("<mask>", "fill_mask")
    with Runtime.open(make_bundle(make_checkpoint()), engine="onnxruntime", long_text="refuse") as runtime:
        assert start(runtime).ask(get("/about")).json["long_text"] == "refuse"


@pytest.mark.parametrize(("model_type", "mask"), [("roberta", "<mask>"), ("bert", "[MASK]")])
def test_about_writes_the_mask_as_texts_have_it(start, make_bundle, make_checkpoint, model_type, mask):
    bundle = make_bundle(make_checkpoint(problem="fill_mask", model_type=model_type))
    with Runtime.open(bundle, engine="onnxruntime") as runtime:
        assert start(runtime).ask(get("/about")).json["mask_token"] == mask


def test_about_names_prompts_and_not_what_they_say(start, make_bundle, make_embedder):
    checkpoint = make_embedder()
    prompts = '{"prompts": {"query": "good ", "passage": "the plot "}, "default_prompt_name": "query"}'
    (checkpoint / "config_sentence_transformers.json").write_text(prompts, encoding="utf-8")
    with Runtime.open(make_bundle(checkpoint), engine="onnxruntime") as runtime:
        found = start(runtime).ask(get("/about")).json
    assert (found["prompts"], found["default_prompt"]) == (["passage", "query"], "query")
    assert found["task"]["dimensions"] == runtime.task.dimensions
