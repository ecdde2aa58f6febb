"""The program of ``examples/cpp``, compiled and asked for the answers that the Python runtime gives."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import fake_bundles
import native_program
import pytest

from edgeroberta.errors import UnavailableError
from edgeroberta.runtime import Runtime
from edgeroberta.stages.build import BuildConfig, build
from edgeroberta.storage import cache

pytestmark = [pytest.mark.interchange, pytest.mark.slow]

STORE = cache.cache_dir() / "cpp"  # before any test, since each test gets a cache of its own
#: Of a text per line.
TEXTS = [
    "film plot",
    "music actor scene",
    "Zwölf 😀",
    "",
    "</s> <mask> it's   2,000\u2003things",
    "word " * 700,
]


def built(folder: Path, *, tokenizer: bool) -> Path:
    try:
        return native_program.build(folder, STORE, tokenizer=tokenizer)
    except UnavailableError as error:
        pytest.skip(f"no C++ program: {error}")


@pytest.fixture(scope="session")
def plain_program(tmp_path_factory) -> Path:
    return built(tmp_path_factory.mktemp("plain"), tokenizer=False)


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> Path:
    return built(tmp_path_factory.mktemp("whole"), tokenizer=True)


@pytest.fixture
def bundle(tmp_path) -> Path:
    return fake_bundles.write(tmp_path / "bundle")


def ask(program: Path, *words: object, lines: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *map(str, words)], input=lines, capture_output=True, encoding="utf-8", check=False
    )


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **changes}), encoding="utf-8")


def test_goldens_agree_by_their_ids(plain_program, bundle):
    done = ask(plain_program, "replay", bundle)
    assert done.returncode == 0, done.stderr
    assert "8 of 8 goldens agree" in done.stdout
    assert "built without a tokenizer" in done.stdout


def test_without_a_tokenizer_texts_are_refused(plain_program, bundle):
    done = ask(plain_program, "label", bundle, lines="film\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert "built without a tokenizer" in done.stderr


def test_goldens_of_an_encoder_agree(plain_program, make_bundle, tiny_checkpoint):
    done = ask(plain_program, "replay", make_bundle(tiny_checkpoint))
    assert done.returncode == 0, done.stdout + done.stderr


def test_goldens_of_a_model_without_layers_agree(plain_program, static_bundle):
    done = ask(plain_program, "replay", static_bundle)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 of 8 goldens agree" in done.stdout


def test_the_graph_in_onnx_runtimes_own_format_agrees_too(plain_program, make_build_context, tiny_checkpoint):
    context = make_build_context(tiny_checkpoint)
    build(BuildConfig(ort_format=True), context)
    done = ask(plain_program, "replay", context.output, "--graph", "model.ort")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "model.ort in ONNX Runtime" in done.stderr


def test_a_changed_answer_is_seen(plain_program, bundle):
    file = bundle / "goldens.json"
    logits = json.loads(file.read_text("utf-8"))["logits"]
    logits[2][0] += 1.0
    size = file.stat().st_size
    edit(file, logits=logits)
    manifest = bundle / "manifest.json"
    files = json.loads(manifest.read_text("utf-8"))["files"]
    assert file.stat().st_size != size
    assert ask(plain_program, "replay", bundle).returncode == 1
    edit(manifest, files={**files, "goldens.json": {**files["goldens.json"], "bytes": file.stat().st_size}})
    done = ask(plain_program, "replay", bundle)
    assert done.returncode == 1
    assert "DIFFERS" in done.stdout
    assert "7 of 8 goldens agree" in done.stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema_version": 7}, "newer than this program"),
        ({"cascade": {}}, "a cascade"),
        ({"kind": "other"}, "not the manifest of a bundle"),
        ({"task": {"problem": "fill_mask", "labels": [], "pair": False}}, "the task fill_mask"),
        ({"files": {"model.onnx": {"sha256": "0" * 64, "bytes": 1}}}, "not of the size it was"),
        ({"files": {"gone.onnx": {"sha256": "0" * 64, "bytes": 1}}}, "a file of the bundle is missing"),
    ],
)
def test_what_it_would_answer_wrongly_is_refused(changes, said, plain_program, bundle):
    edit(bundle / "manifest.json", **changes)
    done = ask(plain_program, "replay", bundle)
    assert done.returncode == 1
    assert said in done.stderr


def test_other_words_than_its_own_are_a_usage_error(plain_program, bundle):
    assert ask(plain_program, "replay").returncode == 2
    assert ask(plain_program, "play", bundle).returncode == 2
    assert ask(plain_program, "bench", bundle, "--calls", "0", "--ids").returncode == 2
    assert ask(plain_program, "bench", bundle, "--calls", "-1").returncode == 2


def test_a_call_is_measured(plain_program, bundle):
    done = ask(plain_program, "bench", bundle, "--ids", "--calls", 20, "--warm-up", 2)
    found = json.loads(done.stdout)
    assert found["calls"] == 20
    assert found["tokenizes"] is False
    assert 0 < found["p50_ms"] <= found["p99_ms"]


def test_texts_are_labelled_as_by_the_runtime(program, bundle):
    done = ask(program, "label", bundle, lines="".join(f"{text}\n" for text in TEXTS))
    assert done.returncode == 0, done.stderr
    with Runtime.open(bundle) as runtime:
        wanted = [f"{answer.label} {answer.score:.4f}" for answer in runtime(TEXTS)]
    assert done.stdout.splitlines() == wanted


def test_goldens_agree_by_their_texts(
    program, make_bundle, tiny_bert_checkpoint, tiny_xlmr_checkpoint, tiny_checkpoint
):
    bundles = [make_bundle(each) for each in (tiny_checkpoint, tiny_bert_checkpoint, tiny_xlmr_checkpoint)]
    for folder in (*bundles, make_bundle(tiny_checkpoint, pair=True)):
        done = ask(program, "replay", folder)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "without" not in done.stdout


def test_other_tokens_are_seen(program, bundle, tmp_path):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    edit(copy / "tokenizer_config.json", add_prefix_space=True)
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    entry = {"sha256": "0" * 64, "bytes": (copy / "tokenizer_config.json").stat().st_size}
    edit(copy / "manifest.json", files={**manifest["files"], "tokenizer_config.json": entry})
    done = ask(program, "replay", copy)
    assert done.returncode == 1
    assert "OTHER TOKENS" in done.stdout


def test_longer_texts_are_refused_where_they_are_not_cut(program, bundle):
    edit(bundle / "manifest.json", long_text="windows", stride=8)
    done = ask(program, "label", bundle, lines="film " * 600 + "\n")
    assert done.returncode == 1
    assert "longer than 512 tokens" in done.stderr
