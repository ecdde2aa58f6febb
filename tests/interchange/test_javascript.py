"""A bundle in JavaScript: transformers.js opens it, and says of its goldens what was said of them here.

Run with ``make test-optimum``. The first run installs the packages of ``examples/web`` in the peers' cache
(see ``test_optimum.py``), which needs npm and its registry.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import web_packages

from edgeroberta.runtime.manifest import MANIFEST_FILE, canonical, content_digest, seal_of
from edgeroberta.stages.build import BuildConfig, build

pytestmark = [pytest.mark.interchange, pytest.mark.slow]

EXAMPLE = web_packages.EXAMPLE
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
DEVICES = ("cpu", "wasm")
#: Kinds of model by name: how its checkpoint is made, and whether it is asked pairs.
HEADS: dict[str, tuple[Callable[..., Path], bool]] = {
    "single": (lambda make, embed: make(), False),
    "xlm-roberta": (lambda make, embed: make(("bad", "dull", "good"), model_type="xlm-roberta"), False),
    "multi-label": (lambda make, embed: make(("plot", "music"), "multi_label_classification"), False),
    "regression": (lambda make, embed: make(("score",), "regression"), False),
    "pairs": (lambda make, embed: make(), True),
    "bert-pairs": (lambda make, embed: make(model_type="bert"), True),
    "entities": (lambda make, embed: make(TAGS, "token_classification"), False),
    "questions": (lambda make, embed: make(problem="question_answering"), True),
    "bert-questions": (lambda make, embed: make(problem="question_answering", model_type="bert"), True),
    "masks": (lambda make, embed: make(problem="fill_mask"), False),
    "bert-masks": (lambda make, embed: make(problem="fill_mask", model_type="bert"), False),
    "mean": (lambda make, embed: embed("mean", True), False),
    "cls": (lambda make, embed: embed("cls", False), False),
    "max": (lambda make, embed: embed("max", True), False),
}


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder ``node_modules`` of the example, installed on first use; the tests skip without npm."""
    return web_packages.installed()


@pytest.fixture
def example(tmp_path) -> Path:
    """The example in a folder of its own, without packages."""
    folder = tmp_path / "web"
    folder.mkdir()
    for file in (*EXAMPLE.glob("*.mjs"), *EXAMPLE.glob("*.json")):
        shutil.copy(file, folder / file.name)
    return folder


@pytest.fixture
def check(example, packages) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs ``check.mjs`` on a bundle."""
    (example / "node_modules").symlink_to(packages)
    return lambda *words: run(example, *words)


def run(example: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = ["node", str(example / "check.mjs"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def make_web_bundle(make_checkpoint, make_embedder, make_build_context) -> Callable[..., Path]:
    """A function that builds a float bundle of a kind with the web layout, and other settings if given."""

    def make(head: str, **settings: Any) -> Path:
        checkpoint, pair = HEADS[head]
        mask = {"masks": "<mask>", "bert-masks": "[MASK]"}.get(head, "great")
        context = make_build_context(
            checkpoint(make_checkpoint, make_embedder), pair=pair, texts=(f"a {mask} film",) * 2
        )
        build(BuildConfig(layout="web", **settings), context)
        folder: Path = context.output
        return folder

    return make


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("head", HEADS)
def test_every_kind_of_model_says_of_its_goldens_what_it_said_here(check, make_web_bundle, head, device):
    bundle = make_web_bundle(head)
    done = check(bundle, "--device", device, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    asked = json.loads((bundle / "goldens.json").read_text(encoding="utf-8"))["inputs"]
    assert [each["input"] for each in found["goldens"]] == asked
    assert found["agree"] == len(asked) >= 6
    assert found["difference"] < 1e-4
    assert all(each["answer"] for each in found["goldens"])


@pytest.mark.parametrize("device", DEVICES)
def test_an_int8_bundle_says_the_same(check, quantized, device):
    done = check(quantized, "--device", device)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "int8, onnx/model_quantized.onnx" in done.stdout
    assert "8 of 8 goldens agree" in done.stdout


@pytest.mark.parametrize("device", DEVICES)
def test_a_model_without_layers_says_the_same(check, static_bundle, device):
    done = check(static_bundle, "--device", device)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 of 8 goldens agree" in done.stdout


@pytest.mark.parametrize("device", DEVICES)
def test_weights_beside_the_graph_are_found(check, make_web_bundle, device):
    done = check(make_web_bundle("single", share_weights=True), "--device", device)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_prompt_stands_in_front_of_texts(check, make_embedder, make_build_context):
    checkpoint = make_embedder("mean", True)
    settings = {"prompts": {"query": "good "}, "default_prompt_name": "query"}
    (checkpoint / "config_sentence_transformers.json").write_text(json.dumps(settings), encoding="utf-8")
    context = make_build_context(checkpoint)
    build(BuildConfig(layout="web"), context)
    done = check(context.output)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("head", ["single", "xlm-roberta", "pairs", "bert-pairs", "questions", "mean"])
def test_texts_that_are_too_long_are_cut_as_in_python(check, make_web_bundle, head):
    long, short = "a film that is good " * 8, "so it is"
    bundle = make_web_bundle(head, max_length=32)
    pairs = HEADS[head][1]
    texts = [(long, short), (short, long), (long, long)] if pairs else [long, "film"]
    if head == "questions":
        texts = [(short, long)]
    done = check(with_answers(bundle, texts), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)["goldens"]
    cut = [any(len(part) > 50 for part in ([text] if isinstance(text, str) else text)) for text in texts]
    assert [each["answer"].startswith("cut") for each in found] == cut


def with_answers(bundle: Path, texts: list[Any]) -> Path:
    """Ask the runtime other texts, and make goldens of what it says."""
    from edgeroberta.runtime import Runtime, goldens

    old = goldens.load(bundle)
    with Runtime.open(bundle) as runtime:
        ids = [one.ids.tolist() for one in runtime.tokenizer.truncated(texts)]
        outputs = runtime.run_ids(ids)
    made = goldens.Goldens(tuple(texts), tuple(map(tuple, ids)), outputs, old.atol)
    return reseal(bundle, **json.loads(made.to_bytes()))


def reseal(bundle: Path, **goldens: Any) -> Path:
    """Change goldens, and let the manifest agree: what is left to find the change is the answers."""
    fields = json.loads((bundle / "goldens.json").read_text(encoding="utf-8"))
    (bundle / "goldens.json").write_bytes(canonical({**fields, **goldens}))
    manifest = json.loads((bundle / MANIFEST_FILE).read_text(encoding="utf-8"))
    data = (bundle / "goldens.json").read_bytes()
    manifest["files"]["goldens.json"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    manifest["digest"] = content_digest(manifest)
    manifest["seal"] = seal_of(manifest)
    (bundle / MANIFEST_FILE).write_bytes(canonical(manifest))
    return bundle


def goldens_of(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / "goldens.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("head", ["single", "multi-label", "entities", "questions", "masks", "mean"])
def test_other_numbers_are_told(check, make_web_bundle, head):
    bundle = make_web_bundle(head)
    logits = goldens_of(bundle)["logits"]
    logits[0] = [-value for value in logits[0]]
    done = check(reseal(bundle, logits=logits))
    assert done.returncode == 1, done.stderr
    assert "numbers differ by" in done.stdout
    assert done.stdout.count("DIFFERS") == 1


def test_other_labels_are_told(check, make_web_bundle):
    bundle = make_web_bundle("single")
    file = bundle / "config.json"
    fields = json.loads(file.read_text(encoding="utf-8"))
    names = fields["id2label"]
    fields["id2label"] = {"0": names["1"], "1": names["0"]}
    file.write_text(json.dumps(fields), encoding="utf-8")
    manifest = json.loads((bundle / MANIFEST_FILE).read_text(encoding="utf-8"))
    data = file.read_bytes()
    manifest["files"]["config.json"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (bundle / MANIFEST_FILE).write_bytes(canonical(manifest))
    done = check(bundle)
    assert done.returncode == 1, done.stderr
    assert "another label" in done.stdout


def test_other_tokens_are_told(check, make_web_bundle):
    bundle = make_web_bundle("single")
    ids = goldens_of(bundle)["ids"]
    ids[1][1] += 1
    done = check(reseal(bundle, ids=ids))
    assert done.returncode == 1, done.stderr
    assert "the tokenizer gives other tokens" in done.stdout


def test_what_is_no_bundle_for_javascript_is_refused_with_what_to_do(
    check, make_web_bundle, make_bundle, tiny_checkpoint, tmp_path
):
    plain = make_bundle(tiny_checkpoint)
    damaged, lacking = (shutil.copytree(make_web_bundle("single"), tmp_path / name) for name in "ab")
    (damaged / "onnx/model.onnx").write_bytes(b"no graph")
    (lacking / "onnx/model.onnx").unlink()
    for folder, said, hint in (
        (tmp_path / "nowhere", "this is no bundle", "edgeroberta compress"),
        (tiny_checkpoint, "this is no bundle", "--target web"),
        (plain, "this bundle was not laid out for JavaScript", "--set build.layout=web"),
        (damaged, "onnx/model.onnx is not the file that the manifest lists", "copy the bundle again"),
        (lacking, "onnx/model.onnx is missing", "copy the bundle again"),
    ):
        done = check(folder)
        assert done.returncode == 2, done.stdout
        assert said in done.stderr
        assert hint in done.stderr
        assert "    at " not in done.stderr  # no stack


def test_another_version_of_the_library_is_refused_unless_asked_for(check, example, make_web_bundle):
    bundle = make_web_bundle("single")
    file = example / "package.json"
    file.write_text(file.read_text(encoding="utf-8").replace("4.3.2", "4.0.0"), encoding="utf-8")
    done = check(bundle)
    assert done.returncode == 2
    assert "transformers.js 4.3.2 is installed, and this was checked with 4.0.0" in done.stderr
    assert "--any-version" in done.stderr
    assert check(bundle, "--any-version").returncode == 0


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_packages_that_are_not_installed_are_named(example, make_web_bundle):
    done = run(example, make_web_bundle("single"))
    assert done.returncode == 2
    assert "@huggingface/transformers is not installed" in done.stderr
    assert "npm ci --ignore-scripts" in done.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give one bundle"),
        (["out", "--device", "webgpu"], "WebGPU is not checked here"),
        (["out", "--threads", "0"], "--threads is a whole number from 1 on"),
        (["out", "--onnxruntime-web", "x"], "--onnxruntime-web is for --device wasm"),
        (["out", "--fast"], "--fast"),
    ],
)
def test_words_that_make_no_sense_are_refused(example, words, said):
    done = run(example, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "usage: node check.mjs BUNDLE" in done.stderr
