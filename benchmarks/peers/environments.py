"""Virtual environments of the peers, each with the peer's own pins, made once in a cache folder."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from edgeroberta.errors import EdgeRobertaError

logger = logging.getLogger(__name__)

_OPENVINO = Path(__file__).parent / "requirements-sentence-transformers-openvino.txt"
#: Environment name to the packages it holds.
REQUIREMENTS = {
    "transformers": Path(__file__).parent / "requirements-transformers.txt",
    "optimum": Path(__file__).parent / "requirements-optimum.txt",
    "optimum-intel": Path(__file__).parent / "requirements-optimum-intel.txt",
    "sentence-transformers": Path(__file__).parent / "requirements-sentence-transformers.txt",
    "sentence-transformers-openvino": _OPENVINO,
    "ctranslate2": Path(__file__).parent / "requirements-ctranslate2.txt",
    "llama-cpp": Path(__file__).parent / "requirements-llama-cpp.txt",
}
#: What is taken out again: optimum-intel 2.2.0 demands torchvision and does not use it, and the package
#: index's build does not import beside a torch without CUDA, so that transformers does not either.
UNWANTED = {"optimum-intel": ("torchvision",)}
#: Packages whose source is unpacked into the environment's folder ``source`` too, by name of the environment:
#: llama.cpp's converter is in no wheel.
SOURCES = {"llama-cpp": "llama-cpp-python"}


def cache_folder() -> Path:
    """Return the peers' cache: ``$EDGEROBERTA_PEERS``, else ``~/.cache/edgeroberta/peers``."""
    return Path(os.environ.get("EDGEROBERTA_PEERS") or Path.home() / ".cache" / "edgeroberta" / "peers")


def environment(name: str, *, cache: Path | None = None) -> Path:
    """Return the interpreter of a peer's environment, creating the environment the first time.

    The folder's name carries the digest of the requirements, so changed pins make a new environment.
    A half-made one has no ``complete`` file and is made again.

    Args:
        name: A key of :data:`REQUIREMENTS`.
        cache: Folder for the environments; see :func:`cache_folder` for the default.

    Returns:
        Path of its ``python``.

    Raises:
        EdgeRobertaError: pip failed.
    """
    requirements = REQUIREMENTS[name]
    lines = [
        line for line in requirements.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256("\n".join([python, *lines]).encode()).hexdigest()[:12]
    folder = (cache or cache_folder()) / f"{name}-{digest}"
    interpreter = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    complete = folder / "complete"
    if complete.exists():
        return interpreter
    logger.info("creating the environment %s (once; minutes where a package is compiled)", folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    # torch first: with it in place, nothing later can pull another build of it.
    torch = [line for line in lines if line.startswith("torch>")]
    for wanted in (torch, ["-r", str(requirements)]):
        _run([str(interpreter), "-m", "pip", "install", "--quiet", *wanted])
    if name in UNWANTED:
        _run([str(interpreter), "-m", "pip", "uninstall", "--quiet", "--yes", *UNWANTED[name]])
    if name in SOURCES:
        pinned = next(line for line in lines if line.startswith(f"{SOURCES[name]}=="))
        _unpack(interpreter, pinned, SOURCES[name], folder / "source")
    complete.touch()
    return interpreter


def _unpack(interpreter: Path, pinned: str, package: str, destination: Path) -> None:
    """Unpack the source distribution of a pinned package; its own top folder is left out."""
    with tempfile.TemporaryDirectory() as scratch:
        download = [str(interpreter), "-m", "pip", "download", "--quiet", "--no-deps"]
        _run([*download, "--no-binary", package, "--dest", scratch, pinned])
        (archive,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as source:
            source.extractall(scratch, filter="data")
        (top,) = (path for path in Path(scratch).iterdir() if path.is_dir())
        shutil.move(top, destination)


def _run(command: list[str]) -> None:
    """Run a command, its output kept for the error message."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EdgeRobertaError(
            f"{' '.join(command[1:4])} ended with {done.returncode}: {done.stderr.strip()[-500:]}",
            where="benchmarks/peers",
            hint="check the package index, then run the command again",
        )
