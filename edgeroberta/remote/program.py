"""The text that the device's Python runs: ``edgeroberta.remote.device`` and how to import it.

It comes over stdin, so nothing is installed to make the first step. Its first lines run on any Python, so
that one that is too old says so instead of failing on syntax.
"""

from __future__ import annotations

import json
import pkgutil
from functools import cache
from pathlib import Path

from edgeroberta import errors
from edgeroberta.remote import device
from edgeroberta.runtime import driver

#: The oldest Python that the package and this program run on.
PYTHON = (3, 10)
#: Reads the program, whose length is the first argument, and runs it; the rest of stdin is left for it.
#: It is passed in single quotes, which every login shell leaves alone.
BOOTSTRAP = 'import sys;i=getattr(sys.stdin,"buffer",sys.stdin);TEXT=i.read(int(sys.argv[1]));exec(TEXT)'

_PROGRAM = """\
import json, sys
TOKEN, COMMAND, ARGUMENT = sys.argv[-3:]
if sys.version_info[:2] < {python}:
    what = "Python %d.%d is too old, {oldest} is needed" % sys.version_info[:2]
    hint = 'name another one: python = "python{oldest}" in the configuration of hosts'
    error = {{"code": "device.no-python", "exit_code": 4, "what": what, "where": sys.executable}}
    error["hint"] = hint
    sys.stdout.write(TOKEN + " " + json.dumps({{"error": error}}) + "\\n")
    sys.exit(1)
SOURCES = json.loads({sources})
import importlib.abc, importlib.util
class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name not in SOURCES:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=name in {packages!r})
    def exec_module(self, module):
        exec(compile(SOURCES[module.__name__], module.__name__, "exec"), module.__dict__)
sys.meta_path.insert(0, Finder())
from {device}.main import main
# The text goes beside a job, whose detached process runs it as a file; there it is not needed again.
sys.exit(main(TOKEN, COMMAND, ARGUMENT, globals().get("TEXT", b"").decode()))
"""


def sent() -> dict[str, Path]:
    """Return the modules that are sent, by name: those of ``device``, and what else they import of ours."""
    folder = Path(str(device.__file__)).parent
    own = {
        f"{device.__name__}.{each.name}": folder / f"{each.name}.py"
        for each in pkgutil.iter_modules([str(folder)])
    }
    return own | {module.__name__: Path(str(module.__file__)) for module in (errors, driver)}


@cache
def program() -> str:
    """Return the program; it takes a token, a command and an argument as its last arguments."""
    sources = {name: file.read_text(encoding="utf-8") for name, file in sent().items()}
    # Packages are empty there: theirs may import what a bare Python lacks.
    packages = {name.rsplit(".", depth)[0] for name in sources for depth in range(1, name.count(".") + 1)}
    return _PROGRAM.format(
        python=PYTHON,
        oldest=".".join(map(str, PYTHON)),
        sources=repr(json.dumps({**dict.fromkeys(sorted(packages), ""), **sources})),
        packages=sorted(packages),
        device=device.__name__,
    )
