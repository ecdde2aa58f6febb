"""What is told of a pip that failed on the device."""

from __future__ import annotations

import io
import sys
import sysconfig
from pathlib import Path

import pytest

from edgeroberta.remote.device import environment
from edgeroberta.remote.device.complaint import fits_here
from edgeroberta.remote.device.files import RefusedError

MISSING = """
ERROR: Could not find a version that satisfies the requirement wall>=2 (from roof) (from versions: none)
ERROR: No matching distribution found for wall>=2
"""
CONFLICT = """
ERROR: Cannot install roof and wall because these package versions have conflicting dependencies.
ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/
"""
#: As pip 23.2 says it.
BUILD = """
  error: subprocess-exited-with-error

  × Preparing metadata (pyproject.toml) did not run successfully.
  │ exit code: 1
  ╰─> [2 lines of output]
      looking for a compiler
      no Rust compiler here
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
error: metadata-generation-failed

× Encountered error while generating package metadata.
╰─> See above for output.

note: This is an issue with the package mentioned above, not pip.
hint: See above for details.
"""
FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"


def refused(said: str, *, wheelhouse: bool, code: int = 1) -> tuple[str, str]:
    """Return what is told and the hint where pip says this."""
    words = [sys.executable, "-c", f"import sys; sys.stderr.write({said!r}); sys.exit({code})"]
    log = io.BytesIO()
    with pytest.raises(RefusedError) as caught:
        environment._run(words, log, "pip", wheelhouse=wheelhouse)
    assert log.getvalue().decode().strip() == said.strip(), "all of it is in the log"
    what, hint = caught.value.fields["what"], caught.value.fields["hint"]
    return str(what).removeprefix("the environment could not be made"), str(hint)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (MISSING, "No matching distribution found for wall>=2"),
        (
            CONFLICT,
            "Cannot install roof and wall because these package versions have conflicting dependencies.",
        ),
        (BUILD, "Preparing metadata (pyproject.toml) did not run successfully. | no Rust compiler here"),
        (
            "ERROR: Exception:\nTraceback\nOSError: broken\n",
            "ERROR: Exception: | Traceback | OSError: broken",
        ),
        ("Usage:\n\nno such option: -x\nnote: see", "Usage: | no such option: -x"),
        ("", "exit code 7"),
    ],
    ids=["no distribution", "a conflict", "a build", "a defect of pip", "an option", "nothing"],
)
def test_why_pip_failed_is_told_without_its_last_notes(said: str, why: str) -> None:
    assert refused(said, wheelhouse=False, code=7) == (f", pip said: {why}", environment._OFFLINE)


def test_a_wheel_that_a_wheelhouse_lacks_is_named_with_what_it_must_be_for() -> None:
    what, hint = refused(MISSING, wheelhouse=True)
    assert what == ": the wheelhouse has no wheel for this device of wall>=2 (from roof)"
    short = "ERROR: No matching distribution found for wall>=2\n"
    assert refused(short, wheelhouse=True)[0] == what.removesuffix(" (from roof)")
    assert "--wheelhouse" not in hint
    assert hint.endswith(f"this device needs wheels for {fits_here()}")
    assert fits_here().startswith(sysconfig.get_platform())
    assert fits_here().endswith(f", Python {sys.version_info.major}.{sys.version_info.minor}")


def test_the_section_that_the_hint_names_is_there() -> None:
    file, _, section = refused(CONFLICT, wheelhouse=True)[1].split(", has ")[0].partition(", ")
    page = (Path(__file__).parents[2] / file).read_text(encoding="utf-8")
    assert f"\n## {section}\n" in page


def test_a_full_disk_is_told_as_such_with_a_wheelhouse_or_without() -> None:
    hints = {refused(FULL, wheelhouse=wheelhouse)[1] for wheelhouse in (False, True)}
    assert hints == {"free some room on the device"}
