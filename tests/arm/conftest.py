"""An emulated ARM computer and real bundles for it, made once and kept in the cache."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import debian_root
import odd_inputs
import pytest
from arm.parity import margin

import edgeroberta
from edgeroberta import bundle_writer, demo
from edgeroberta.errors import UnavailableError
from edgeroberta.runtime import goldens, manifest
from edgeroberta.storage import cache
from edgeroberta.storage.artifact import digest_file, digest_value
from edgeroberta.tasks import Outputs

# Before any test, since each test gets a cache of its own.
STORE = cache.cache_dir() / "arm"
PACKAGE = Path(edgeroberta.__file__).parent
ANSWERS = Path(__file__).with_name("answers.py")
#: libgomp and libstdc++ are what the wheels take from the system.
PACKAGES = ("python3", "libgomp1", "libstdc++6")
#: A core with the dot products of a Raspberry Pi 5; `max` would emulate what no such board has.
CORE = "cortex-a76"
ROWS = 200
#: Rows to train, calibrate and judge on: 60 steps make a model that is right in 72 of 100 sentences.
LIMIT = 1000
_LIMIT_S = 20 * 60

Answers = dict[str, Any]
_MEASURED = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was measured, for the record of a run that passed, too."""
    for line in config.stash.get(_MEASURED, []):
        terminalreporter.write_line(line)


@pytest.fixture
def measured(pytestconfig) -> list[str]:
    """Lines to be shown at the end of the run."""
    return pytestconfig.stash.setdefault(_MEASURED, [])


@pytest.fixture(scope="session")
def arm_root() -> debian_root.DebianRoot:
    """A Debian root with Python for arm64; skips, with the reason, where it cannot be had."""
    if platform.machine() != "x86_64":
        pytest.skip(f"emulation is for x86-64 machines, and this one is {platform.machine()}")
    try:
        return debian_root.DebianRoot.of("arm64", PACKAGES, store=STORE)
    except UnavailableError as error:
        pytest.skip(f"no ARM root: {error}")


@pytest.fixture(scope="session")
def ask_arm(arm_root, tmp_path_factory) -> Callable[..., Answers]:
    """A function that lets the emulated computer answer a request on an engine; see ``answers.py``."""
    try:
        qemu = debian_root.emulator(store=STORE)
    except UnavailableError as error:
        pytest.skip(f"no emulator: {error}")
    # What the package and its command line ask for; tokenizer and engine in this machine's versions, to
    # compare like with like.
    required = [one.replace('"', "'") for one in importlib.metadata.requires("edgeroberta") or ()]
    base = [one for one in required if "extra ==" not in one]
    base += [one.partition(";")[0] for one in required if one.endswith("extra == 'cli'")]
    common = arm_root.wheels([*base, same("tokenizers")], store=STORE)

    def ask(request: Answers) -> Answers:
        folder = tmp_path_factory.mktemp("device")
        shutil.copytree(PACKAGE, folder / "edgeroberta", ignore=shutil.ignore_patterns("__pycache__"))
        engine = arm_root.wheels([same(request["engine"])], store=STORE)
        environment = {
            "QEMU_CPU": CORE,
            "QEMU_LD_PREFIX": str(arm_root.path),
            "PYTHONPATH": os.pathsep.join(map(str, (folder, engine, common))),
        }
        return _ask(arm_root.command(qemu), request, folder, environment)

    return ask


@pytest.fixture(scope="session")
def ask_here(tmp_path_factory) -> Callable[..., Answers]:
    """The same on this machine."""

    def ask(request: Answers) -> Answers:
        folder = tmp_path_factory.mktemp("here")
        return _ask([sys.executable], request, folder, {"PYTHONPATH": str(PACKAGE.parent)})

    return ask


@pytest.fixture(scope="session")
def real_bundle() -> Callable[[str], Path]:
    """A function that returns a bundle of the packaged encoder for a target, made by ``compress``."""

    def make(target: str) -> Path:
        code = {str(file.relative_to(PACKAGE)): digest_file(file) for file in sorted(PACKAGE.rglob("*.py"))}
        key = digest_value([code, LIMIT, target, same("onnxruntime"), same("torch")])[:12]
        return cache.folder(STORE / f"bundle-{target}-{key}", lambda folder: _compress(target, folder))

    return make


@pytest.fixture(scope="session")
def real_texts() -> list[str]:
    """Rows that the model was not trained on: some more than are compared."""
    with Path(demo.prepare(STORE / "pipeline").data.eval_data or "").open(
        encoding="utf-8", newline=""
    ) as file:
        return [row["text"] for row in csv.DictReader(file)][: ROWS + ROWS // 4]


@pytest.fixture(scope="session")
def compare(
    ask_arm, ask_here, real_texts, tmp_path_factory
) -> Callable[[Path, str], tuple[list[str], Answers, Answers, int]]:
    """A function that asks both machines the same; it returns the texts, both answers, and the ties."""

    def ask_both(folder: Path, engine: str) -> tuple[list[str], Answers, Answers, int]:
        request = {
            "bundle": str(folder),
            "engine": engine,
            "odd": {**odd_inputs.TEXTS, **{name: text for name, (text, _) in odd_inputs.REFUSED.items()}},
            "commands": {
                "doctor": ["doctor", "--json"],
                "run": ["run", str(folder), "--engine", engine, "--json", "great film", "dull film"],
            },
            "spoiled": [str(spoil(folder, tmp_path_factory.mktemp("spoiled")))],
        }
        here = ask_here({**request, "texts": real_texts})
        # int8 logits differ between processors by about 0.03 of a range of 1.1, so a row whose label
        # leads by less than the goldens allow is a tie, and which way it falls says nothing.
        kept = [row for row, one in enumerate(here["texts"]) if margin(one) > here["goldens_atol"]][:ROWS]
        here["texts"] = [here["texts"][row] for row in kept]
        texts = [real_texts[row] for row in kept]
        ties = kept[-1] + 1 - len(kept)
        return texts, here, ask_arm({**request, "texts": texts}), ties

    return ask_both


def same(package: str) -> str:
    """Return the requirement for the version of a package that is installed here."""
    # A local label, as in 2.13.0+cpu, names a build of this machine.
    return f"{package}=={importlib.metadata.version(package).partition('+')[0]}"


def spoil(source: Path, folder: Path) -> Path:
    """Copy a bundle whose goldens want other answers than it gives: a stand-in for a wrong engine."""
    made = folder / "bundle"
    shutil.copytree(source, made)
    wanted = goldens.load(made)
    moved = Outputs(wanted.outputs.values + 2 * wanted.atol, wanted.outputs.offsets)
    shifted = goldens.Goldens(wanted.inputs, wanted.ids, moved, wanted.atol)
    bundle_writer.write_goldens(shifted, made)
    fields = json.loads((made / manifest.MANIFEST_FILE).read_text(encoding="utf-8"))
    (made / manifest.MANIFEST_FILE).unlink()
    bundle_writer.seal(made, fields)
    return made


def _compress(target: str, folder: Path) -> None:
    output = folder / "made"
    words = ["compress", "--recipe", "int8", "--limit", str(LIMIT), "-t", target, "-o", str(output)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(PACKAGE.parent),
        "EDGEROBERTA_CACHE": str(STORE / "pipeline"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "edgeroberta", *words],
        capture_output=True,
        text=True,
        env=environment,
        timeout=_LIMIT_S,
        check=False,
    )
    # 3 is the gate's: a model trained for a minute need not pass it to be compared.
    assert done.returncode in (0, 3), done.stderr
    for file in output.iterdir():
        file.rename(folder / file.name)
    shutil.rmtree(output)
    shutil.rmtree(output.with_name("made.work"))


def _ask(command: list[str], request: Answers, folder: Path, environment: dict[str, str]) -> Answers:
    asked, answered = folder / "request.json", folder / "answers.json"
    asked.write_text(json.dumps(request), encoding="utf-8")
    done = subprocess.run(
        [*command, str(ANSWERS), str(asked), str(answered)],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            **environment,
            # Of its own, so that goldens which passed elsewhere are not taken as passed.
            "EDGEROBERTA_CACHE": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",
            "PYTHONNOUSERSITE": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        timeout=_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-4000:]}"
    answers: Answers = json.loads(answered.read_text(encoding="utf-8"))
    return answers
