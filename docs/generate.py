"""Write the parts of ``docs/`` that follow from the code: every option, setting, recipe and error.

Run by ``make docs``; ``tests/docs/test_pages.py`` fails when what is committed is not what this writes.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args, get_type_hints

from edgeroberta import api, recipe, stages
from edgeroberta.cli import COMMANDS
from edgeroberta.data.glue_tasks import TASKS
from edgeroberta.error_codes import CODES
from edgeroberta.recipe import stage_settings as settings

DOCS = Path(__file__).parent
MARK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def options() -> str:
    """Every command with its arguments and options."""
    parts = []
    for name, call in COMMANDS.items():
        function = getattr(importlib.import_module(f"edgeroberta.cli.{name}"), name)
        found = parameters(function)
        usage = " ".join(["edgeroberta", name, *(p.usage for p in found if p.usage), "[OPTIONS]"])
        rows = [(p.names, _cell(p.help), p.default) for p in found]
        text = inspect.cleandoc(function.__doc__)
        parts.append(f"## edgeroberta {name}\n\n{text}\n\n    {usage}\n\nIn Python: `{call}`\n")
        parts.append(_table(("option", "meaning", "default"), rows))
    return "\n".join(parts)


class Parameter(NamedTuple):
    """An argument or option of a command, as a row of its table; ``usage`` is empty for an option."""

    names: str
    help: str
    default: str
    usage: str


def parameters(function: Callable[..., None]) -> list[Parameter]:
    """Read a command's arguments and options from its signature."""
    hints = get_type_hints(function, include_extras=True)
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind, info = get_args(hints[name])[0], get_args(hints[name])[1]
        required = parameter.default is inspect.Parameter.empty
        if type(info).__name__ == "ArgumentInfo":
            shown = (info.metavar or name.upper()).strip("[].") + ("…" if "list" in str(kind) else "")
            found.append(Parameter(f"`{shown}`", info.help, "", shown if required else f"[{shown}]"))
            continue
        # typer takes an option that is declared without a name from the position of the default.
        declared = [d for d in (info.default, *(info.param_decls or ())) if isinstance(d, str)]
        names = ", ".join(f"`{d}`" for d in declared or ["--" + name.replace("_", "-")])
        value = "" if kind is bool else f" {info.metavar or name.upper().replace('_', '-')}"
        plain = parameter.default is None or parameter.default is False
        default = "required" if required else "" if plain else f"`{parameter.default}`"
        found.append(Parameter(names + value, info.help, default, ""))
    return found


def stage_settings() -> str:
    """The settings of every stage; those that it shares with an earlier one by name only."""
    parts = []
    described: dict[settings.SettingDescription, str] = {}
    for name in stages.MODULES:
        found = settings.of_stage(name)
        rows, shared = [], defaultdict(list)
        for each in found:
            bare = each._replace(key=each.key.removeprefix("recovery."))
            first = described.setdefault(bare, name)
            if first == name:
                row = (f"`{each.key}`", _cell(each.kind), f"`{each.default}`", _cell(each.description))
                rows.append(row)
            else:
                shared[first].append(f"`{each.key}`")
        parts.append(f"### {name}\n")
        parts.append(_table(("setting", "type", "default", "meaning"), rows) if rows else "No settings.\n")
        for first, keys in shared.items():
            parts.append(f"As in [{first}](#{first}), with the same defaults: {', '.join(keys)}.\n")
    return "\n".join(parts)


def recipes() -> str:
    """The shipped recipes."""
    found = [recipe.load(name) for name in recipe.names()]
    rows = [(f"`{each.name}`", " → ".join(each.outline), _cell(each.description)) for each in found]
    return _table(("recipe", "stages", "what it does"), rows)


def errors() -> str:
    """Every code that an error can carry."""
    rows = [
        (f"`{code}`", str(each.exit_code), each.meaning, each.action) for code, each in sorted(CODES.items())
    ]
    return _table(("code", "exit code", "what happened", "what to do"), rows)


def python() -> str:
    """Every public function with its arguments, and every result with its attributes."""
    names = [name for name in api.__all__ if not name.endswith("Error")]
    functions = [name for name in names if inspect.isfunction(getattr(api, name))]
    parts = [_function(name) for name in sorted(functions, key=list(_ORDER).index)]
    return "\n".join([*parts, *(_class(name) for name in names if name not in functions)])


#: Functions in the order in which a reader wants them.
_ORDER = (
    "compress", "preview", "pretrain", "preview_pretraining", "load", "annotate", "watch", "evaluate",
    "bench", "compare", "inspect_bundle", "latency_table", "reference", "build", "check_bundle", "push",
    "pull", "doctor", "list_recipes", "list_targets",
)  # fmt: skip


def _function(name: str) -> str:
    function = getattr(api, name)
    signature = inspect.signature(function)
    text, *sections = re.split(
        r"^(Args|Returns|Raises):$", inspect.getdoc(function) or "", flags=re.MULTILINE
    )
    told = {title: _entries(body) for title, body in zip(sections[::2], sections[1::2], strict=True)}
    shown = [each.name for each in signature.parameters.values() if each.kind is not each.KEYWORD_ONLY]
    call = ", ".join([*shown, *(("*", "…") if len(shown) < len(signature.parameters) else ())])
    parts = [
        f"## edgeroberta.{name}\n",
        f"```text\n{name}({call}) -> {function.__annotations__['return']}\n```\n",
    ]
    parts.append(_prose(text))
    rows = [
        (
            f"`{each.name}`",
            _cell(f"`{_type(each)}`"),
            _default(each),
            _cell(_prose(told["Args"][each.name]).strip()),
        )
        for each in signature.parameters.values()
        if not name.startswith("preview")
    ]
    if rows:
        parts.append(_table(("argument", "type", "default", "meaning"), rows))
    if "Returns" in told:
        parts.append("Returns: " + _prose(" ".join(told["Returns"].values())))
    if "Raises" in told:
        parts += [f"- raises `{error}`: {_prose(why).strip()}" for error, why in told["Raises"].items()] + [
            ""
        ]
    return "\n".join(parts)


def _class(name: str) -> str:
    kind = getattr(api, name)
    text, _, attributes = (inspect.getdoc(kind) or "").partition("\nAttributes:\n")
    parts = [f"## edgeroberta.{name}\n", _prose(text)]
    fields = re.findall(r"^    (\w+): [^#\n]*?  # (.*)$", inspect.getsource(kind), re.MULTILINE)
    fields += _entries(attributes).items() if attributes else ()
    given = {
        each: inspect.getdoc(value) or ""
        for each, value in inspect.getmembers(kind)
        if not each.startswith("_") and (isinstance(value, property) or inspect.isroutine(value))
    }
    rows = [
        (f"`{each}`", _cell(_prose(text.partition("\n\n")[0]).strip()))
        for each, text in (*fields, *given.items())
    ]
    return "\n".join([*parts, _table(("attribute", "meaning"), rows)])


def _entries(section: str) -> dict[str, str]:
    """Read the entries of a docstring's section; text without a name is one entry."""
    found: dict[str, str] = {}
    for line in inspect.cleandoc(section).splitlines():
        named = re.match(r"(\w+): (.*)", line)
        if named:
            found[named[1]] = named[2]
        else:
            last = next(reversed(found), "")
            found[last] = f"{found.get(last, '')} {line.strip()}".strip()
    return found


def _default(parameter: inspect.Parameter) -> str:
    return "required" if parameter.default is parameter.empty else f"`{parameter.default!r}`"


def _type(parameter: inspect.Parameter) -> str:
    return str(parameter.annotation).replace("os.PathLike[str]", "Path")


def _prose(text: str) -> str:
    text = re.sub(r":\w+:`~?([\w.]+)`", lambda found: f"`{found[1]}`", text)
    return text.replace("``", "`").replace("\n::\n", "").strip() + "\n"


def glue() -> str:
    """The tasks of GLUE with the names of their labels and their metrics."""
    rows = []
    for task in TASKS:
        labels = ", ".join(f"`{name}`" for name in task.labels) or "a score from 0 to 5"
        heldout = ", ".join(f"`{file}`" for file in (task.dev, *task.others))
        rows.append((f"`{task.name}/`", labels, ", ".join(f"`{name}`" for name in task.metrics), heldout))
    return _table(("folder", "labels, by id", "metrics", "rows of the gate, or by `--eval-data`"), rows)


GENERATED = {
    "glue": glue,
    "python": python,
    "options": options,
    "settings": stage_settings,
    "recipes": recipes,
    "errors": errors,
}


def renewed(text: str) -> str:
    """Return a page with its generated parts written anew."""
    return MARK.sub(lambda found: f"{found[1]}\n{GENERATED[found[2]]()}\n{found[3]}", text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> None:
    """Write every page anew."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(renewed(text), encoding="utf-8")


if __name__ == "__main__":
    main()
