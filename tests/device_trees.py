"""Devices as trees of files, unpacked from one text file per board (``fixtures/devices/README.md``)."""

from __future__ import annotations

from pathlib import Path

BOARDS = Path(__file__).parent / "fixtures" / "devices"
NAMES = sorted(path.stem for path in BOARDS.glob("*.txt"))


def files(name: str) -> dict[str, bytes]:
    """The files of a board: their paths below the root, and their content."""
    whole = (BOARDS / f"{name}.txt").read_text(encoding="utf-8").removesuffix("\n")
    short, *long = whole.split("\n== ")
    content = {path: f"{value}\n" for path, value in (line.split(" = ", 1) for line in short.split("\n"))}
    content.update((path, f"{text}\n") for path, text in (block.split("\n", 1) for block in long))
    # The device tree's strings end with NUL, and not with a newline.
    return {path: text.replace("␀\n", "␀").replace("␀", "\0").encode() for path, text in content.items()}


def unpack(name: str, root: Path) -> Path:
    """Write the tree of a board below ``root``."""
    for path, content in files(name).items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return root
