"""Builds ``examples/cpp`` with this machine's compiler, and with Debian's headers where it has none.

The library is that of the Python package, so that both programs have the same engine. Raises UnavailableError
with the reason where something is missing.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from debian_apt import Apt, call
from debian_root import unpack

from edgeroberta.errors import EdgeRobertaError, UnavailableError
from edgeroberta.storage import cache

SOURCES = Path(__file__).parents[1] / "examples" / "cpp"
#: The first release of Debian with headers of ONNX Runtime. A newer library still has their older interface.
HEADERS = {"suite": "trixie", "packages": ("libonnxruntime-dev", "nlohmann-json3-dev")}
_INCLUDED = ("onnxruntime/onnxruntime_cxx_api.h", "nlohmann/json.hpp")


def library() -> Path:
    """Return the shared library of the Python package onnxruntime."""
    import onnxruntime

    found = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    if not found:
        raise UnavailableError("the package onnxruntime has no libonnxruntime.so", hint="do this on Linux")
    return found[0]


def headers(store: Path) -> Path:
    """Return a folder with ``include/``: the machine's own, or one in ``store``."""
    if all((Path("/usr/include") / name).is_file() for name in _INCLUDED):
        return Path("/usr")

    def write(folder: Path) -> None:
        architecture = call(["dpkg", "--print-architecture"]).stdout.strip()
        with Apt.at(folder / ".apt", architecture, suite=HEADERS["suite"]) as apt:
            for package in HEADERS["packages"]:
                unpack(apt.download(package, apt.versions(package)[0]), folder)

    return cache.folder(store / f"headers-{HEADERS['suite']}", write) / "usr"


def build(folder: Path, store: Path, *, tokenizer: bool) -> Path:
    """Build the program into a folder and return its file.

    Raises:
        UnavailableError: There is no compiler, no header, or, for the tokenizer, no cargo or no crates.
    """
    for program in ("cmake", "c++", *(["cargo"] if tokenizer else [])):
        if shutil.which(program) is None:
            raise UnavailableError(f"there is no {program} on this machine", hint=f"install {program}")
    if tokenizer:
        _require_crates()
    _run(
        "cmake", "-S", str(SOURCES), "-B", str(folder), f"-DONNXRUNTIME_LIBRARY={library()}",
        f"-DCMAKE_PREFIX_PATH={headers(store)}", f"-DTOKENIZER={'ON' if tokenizer else 'OFF'}",
    )  # fmt: skip
    _run("cmake", "--build", str(folder))
    return folder / "bundle"


def _require_crates() -> None:
    """Fetch what the tokenizer is built from."""
    manifest = SOURCES / "tokenizer" / "Cargo.toml"
    done = call(["cargo", "fetch", "--manifest-path", str(manifest)])
    if done.returncode:
        raise UnavailableError(
            f"crates cannot be fetched: {done.stderr.strip().splitlines()[-1].strip()}",
            hint="see that the network is up, and try again",
        )


def _run(*words: str) -> None:
    done = call(words)
    if done.returncode:
        raise EdgeRobertaError(f"{' '.join(words[:2])} failed: {(done.stdout + done.stderr)[-3000:]}")
