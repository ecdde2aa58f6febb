"""What pip says when it fails, without the notes that it ends with."""

from __future__ import annotations

import platform
import re
import sysconfig

#: The first tells who requires it, too.
_WANTED = re.compile(r"^ERROR: Could not find a version .*requirement (.+?) \(from versions:", re.MULTILINE)
_MISSING = re.compile(r"^ERROR: No matching distribution found for (.+)$", re.MULTILINE)
_ERROR = re.compile(r"^ERROR: (?!ResolutionImpossible|Ignored the following|Exception:)(.+)$", re.MULTILINE)
#: How pip shows a build that failed, since 22.0: what did not run, and the last line of what it printed.
_CROSS = re.compile(r"^\s*× (.+)$", re.MULTILINE)
_OUTPUT = re.compile(r"^\s*(\S.*)\n(?:\s*\n)*\s*\[end of output\]", re.MULTILINE)
_NOTE = re.compile(r"\s*(?:note|hint|\[notice\]|WARNING)\b", re.IGNORECASE)
_TAIL = 3
_LONGEST = 300


def missing(said: str) -> list[str]:
    """Return the requirements that pip found nothing for, as it writes them: ``wall>=2 (from roof)``."""
    return _WANTED.findall(said) or _MISSING.findall(said)


def cause(said: str, *, code: int) -> str:
    """Return why it failed, in one line.

    Args:
        said: All that pip printed.
        code: What it exited with, for when it printed nothing.
    """
    output = _OUTPUT.findall(said)
    found = [*(_ERROR.findall(said)[-1:] or _CROSS.findall(said)[:1]), *output[:1]]
    if not found:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        found = [line for line in lines if not _NOTE.match(line)][-_TAIL:] or lines[-_TAIL:]
    return " | ".join(line[:_LONGEST] for line in found) or f"exit code {code}"


def fits_here() -> str:
    """Return what a wheel must be for: ``linux-aarch64 (glibc 2.35), Python 3.10``."""
    library, version = platform.libc_ver()
    libc = f" ({library} {version})" if library else ""
    return f"{sysconfig.get_platform()}{libc}, Python {'.'.join(platform.python_version_tuple()[:2])}"
