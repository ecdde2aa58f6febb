"""The documents agree with the code: options, recipes, commands, versions."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import shlex
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer.main

import edgeroberta
from edgeroberta import cli, recipe, stages, targets

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(?:console|sh|bash)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _generate() -> Any:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _commands() -> list[tuple[str, str]]:
    """Every command shown to users, with the page it is on; a backslash joins lines."""
    found = []
    for page in PAGES:
        for block in FENCE.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("$ "):
                    found.append((page.name, line[2:].split(" #")[0].strip()))
    return found


COMMANDS = _commands()


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_the_generated_parts_are_current(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert _generate().renewed(text) == text, "run: make docs"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_is_in_the_documents(name: str) -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    section = text[text.index(f"## edgeroberta {name}\n") :].split("\n## ")[0]
    function = getattr(importlib.import_module(f"edgeroberta.cli.{name}"), name)
    hints = get_type_hints(function, include_extras=True)
    for parameter in inspect.signature(function).parameters:
        info = get_args(hints[parameter])[1]
        if type(info).__name__ == "OptionInfo":
            declared = [d for d in (info.default, *(info.param_decls or ())) if isinstance(d, str)]
            for option in declared or [f"--{parameter.replace('_', '-')}"]:
                assert f"`{option}`" in section
        assert info.help.endswith("."), parameter


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_options_are_kebab_case_and_the_short_ones_are_the_same_everywhere(name: str) -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    section = text[text.index(f"## edgeroberta {name}\n") :].split("\n## ")[0]
    for option in re.findall(r"`(-[^`]*)`", section):
        assert re.fullmatch(r"-[a-z]|--[a-z][a-z0-9]*(-[a-z0-9]+)*", option), option
        if not option.startswith("--"):
            assert option in ("-m", "-r", "-t", "-o")


def test_every_recipe_and_stage_is_in_the_documents() -> None:
    text = (ROOT / "docs" / "reference" / "recipes.md").read_text(encoding="utf-8")
    for name in recipe.names():
        assert f"| `{name}` |" in text
    for name in stages.MODULES:
        assert f"### {name}\n" in text


def test_the_documents_show_commands_at_all() -> None:
    assert len(COMMANDS) > 8


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=lambda value: str(value)[:60])
def test_every_command_shown_parses(page: str, command: str) -> None:
    words = shlex.split(command)
    if words[0] == "accelerate":
        words = words[words.index("-m") + 1 :]
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if words[0] == "make":
        _check_make(words[1:])
    elif words[0].split("/")[-1] == "edgeroberta":
        _check_edgeroberta(words[1:])
    else:
        assert words[0] in ("pip", "git", "cd", "python", "docker", "export", "cp", "scp", "ls"), command


def _check_make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        assert "=" in word or re.search(rf"^{word}:", makefile, re.MULTILINE), word


def _check_edgeroberta(words: list[str]) -> None:
    group: Any = typer.main.get_command(cli.application())
    name = next(word for word in words if not word.startswith("-"))
    command = group.commands[name]
    given = words[words.index(name) + 1 :]
    parsed = command.make_context(name, list(given))
    chosen = parsed.params.get("recipe")
    if name == "compress" and chosen and "/" not in chosen and not chosen.endswith(".yaml"):
        assert chosen in recipe.names()
    if parsed.params.get("target"):
        assert parsed.params["target"] in targets.names()
    for override in parsed.params.get("override") or ():
        recipe.load(chosen or "int8-distill", [override])


def test_every_recipe_shown_is_valid(tmp_path: Path) -> None:
    shown = [
        block
        for page in PAGES
        for block in re.findall(
            r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
        if "stages:" in block
    ]
    assert shown
    for number, text in enumerate(shown):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        recipe.load(str(path))


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_changelog_the_package_and_pyproject_name_one_version() -> None:
    version = edgeroberta.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == version
    assert f'\nversion = "{version}"\n' in (ROOT / "pyproject.toml").read_text()


def test_every_module_named_in_the_architecture_page_exists() -> None:
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", text):
        examples = ("backends/x.py", "runtime/x.py")
        assert name in examples or any((place / name).exists() for place in (ROOT, ROOT / "edgeroberta")), (
            name
        )
