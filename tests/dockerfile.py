"""Reads Dockerfiles, and carries one out without Docker, for the tests of docker/."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_INSTRUCTION = re.compile(r"([A-Z]+)\s+(.*)", re.DOTALL)


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name and the rest of it, lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The rest as words; a JSON list as its items."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)


@dataclass
class Stage:
    """What follows one FROM."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.name == name]

    def one(self, name: str) -> Instruction:
        (found,) = self.all(name)
        return found


def parse(file: Path) -> list[Stage]:
    """Read a Dockerfile; anything that this reader does not know is an error."""
    text = "".join(line for line in file.read_text().splitlines(keepends=True) if not line.startswith("#"))
    stages: list[Stage] = []
    arguments: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        match = _INSTRUCTION.fullmatch(line)
        assert match, line
        name, rest = match[1], match[2].strip()
        if name == "ARG":
            key, _, value = rest.partition("=")
            arguments[key] = value
        elif name == "FROM":
            base, *alias = rest.split(" ")
            for key, value in arguments.items():
                base = base.replace(f"${{{key}}}", value)
            assert not alias or alias[0] == "AS"
            stages.append(Stage(base, alias[1] if alias else ""))
        else:
            known = (
                "RUN",
                "COPY",
                "WORKDIR",
                "ENV",
                "USER",
                "VOLUME",
                "EXPOSE",
                "HEALTHCHECK",
                "CMD",
                "ENTRYPOINT",
            )
            assert name in known, line
            stages[-1].instructions.append(Instruction(name, rest))
    return stages


class Sandbox:
    """A copy-on-write view of this machine's root, in which a Dockerfile is carried out.

    Needs root and Linux' overlay file system. What is written lies in memory and is gone at the end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mounts: list[Path] = []

    def __enter__(self) -> Sandbox:
        self.folder.mkdir(parents=True)
        self._mount(self.folder, "-t", "tmpfs", "-o", "mode=755", "tmpfs")
        return self

    def __exit__(self, *_: object) -> None:
        for mounted in reversed(self._mounts):
            subprocess.run(["umount", str(mounted)], check=True)

    def root(self, name: str) -> Path:
        """Make one more view; the machine's files, with nothing written yet."""
        upper, work, root = (self.folder / f"{name}-{part}" for part in ("upper", "work", "root"))
        for made in (upper, work, root):
            made.mkdir()
        self._mount(root, "-t", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", "overlay")
        self._mount(root / "dev", "--bind", "/dev")
        self._mount(root / "proc", "--bind", "/proc")
        return root

    def added(self, name: str) -> int:
        """Bytes written into a view."""
        files = (self.folder / f"{name}-upper").rglob("*")
        return sum(file.lstat().st_size for file in files if not file.is_dir() or file.is_symlink())

    def bind(self, source: Path, target: Path, *, read_only: bool = False) -> None:
        """Show a folder of the machine in a view."""
        self._mount(target, "--bind", str(source))
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro,bind", str(target)], check=True)

    def seal(self, root: Path) -> None:
        """Make a view read-only."""
        subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)

    def _mount(self, target: Path, *words: str) -> None:
        subprocess.run(["mount", *words, str(target)], check=True)
        self._mounts.append(target)


@dataclass
class Container:
    """Where the next command of a stage runs: root, folder, user, variables."""

    root: Path
    variables: dict[str, str]
    folder: str = "/"
    user: str = "0:0"

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the words that run a command in here."""
        # chroot looks a program up in its own PATH, so env does it, inside.
        inside = ["env", "-i", "-C", self.folder, *(f"{k}={v}" for k, v in self.variables.items()), *words]
        return ["chroot", f"--userspec={self.user}", "--groups=", str(self.root), *inside]

    def run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(self.command(words), capture_output=True, text=True, timeout=900)


def carry_out(stage: Stage, root: Path, context: Path, *, others: Mapping[str, Path]) -> Container:
    """Carry out a stage's COPY, RUN, ENV, USER and WORKDIR in ``root``; a command that fails is an error."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    container = Container(root, {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", **kept})
    for instruction in stage.instructions:
        if instruction.name == "WORKDIR":
            container.folder = instruction.text
            (root / instruction.text.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif instruction.name == "ENV":
            for pair in instruction.words:
                name, _, value = pair.partition("=")
                container.variables[name] = value.replace("$PATH", container.variables["PATH"])
        elif instruction.name == "USER":
            container.user = instruction.text
        elif instruction.name == "COPY":
            _copy(instruction, root, context, container.folder, others)
        elif instruction.name == "RUN":
            done = container.run(["/bin/sh", "-c", instruction.text])
            assert done.returncode == 0, f"{instruction.text}\n{done.stdout}\n{done.stderr}"
    return container


def _copy(
    instruction: Instruction, root: Path, context: Path, folder: str, others: Mapping[str, Path]
) -> None:
    *sources, target = instruction.words
    if sources[0].startswith("--from="):
        context = others[sources.pop(0).removeprefix("--from=")]
    place = root / folder.lstrip("/") / target if not target.startswith("/") else root / target.lstrip("/")
    for source in sources:
        found = context / source.lstrip("/")
        if found.is_dir():
            shutil.copytree(found, place, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(found, place)
