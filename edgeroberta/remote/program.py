"""The text that the device's Python runs: ``edgeroberta.remote.device`` and how to import it.

It comes over stdin, so nothing is installed to make the first step. Its first lines run on any Python, so
that one that is too old says so instead of failing on syntax.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

#: The oldest Python that the package and this program run on.
PYTHON = (3, 10)
#: Reads the program, whose length is the first argument, and runs it; the rest of stdin is left for it.
#: It is passed in single quotes, which every login shell leaves alone.
BOOTSTRAP = 'import sys;i=getattr(sys.stdin,"buffer",sys.stdin);TEXT=i.read(int(sys.argv[1]));exec(TEXT)'

_DEVICE = Path(__file__).parent / "device"
_NAME = "edgeroberta_device"

_PROGRAM = """\
import json, sys
TOKEN, COMMAND, ARGUMENT = sys.argv[-3:]
if sys.version_info[:2] < {python}:
    what = "Python %d.%d is too old, {oldest} is needed" % sys.version_info[:2]
    hint = 'name another one: python = "python{oldest}" in the configuration of hosts'
    error = {{"what": what, "where": sys.executable, "hint": hint, "exit_code": 4, "kind": ""}}
    sys.stdout.write(TOKEN + " " + json.dumps({{"error": error}}) + "\\n")
    sys.exit(1)
SOURCES = json.loads({sources})
import importlib.abc, importlib.util
class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name not in SOURCES:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=name == {name!r})
    def exec_module(self, module):
        exec(compile(SOURCES[module.__name__], module.__name__, "exec"), module.__dict__)
sys.meta_path.insert(0, Finder())
from {name}.main import main
# The text goes beside a job, whose detached process runs it as a file; there it is not needed again.
sys.exit(main(TOKEN, COMMAND, ARGUMENT, globals().get("TEXT", b"").decode()))
"""


@cache
def program() -> str:
    """Return the program; it takes a token, a command and an argument as its last arguments."""
    sources = {
        _NAME if file.stem == "__init__" else f"{_NAME}.{file.stem}": file.read_text(encoding="utf-8")
        for file in sorted(_DEVICE.glob("*.py"))
    }
    return _PROGRAM.format(
        python=PYTHON,
        oldest=".".join(map(str, PYTHON)),
        sources=repr(json.dumps(sources)),
        name=_NAME,
    )
