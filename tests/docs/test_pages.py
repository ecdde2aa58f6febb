"""The documents agree with the code and with each other: links, options, recipes, versions."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import re
import sys
from typing import Any, get_args, get_type_hints

import doc_pages
import fake_bundles
import pytest
import yaml
from doc_pages import DOCS, PAGES, ROOT

import edgeroberta
from edgeroberta import cli, recipe, stages
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.storage import jsontext

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

GENERATED = [page for page in PAGES if "<!-- generated: " in doc_pages.text(page)]


def _generate() -> Any:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _section(command: str) -> str:
    text = doc_pages.text(DOCS / "reference" / "cli.md")
    return text[text.index(f"## edgeroberta {command}\n") :].split("\n## ")[0]


@pytest.mark.parametrize("page", GENERATED, ids=doc_pages.named)
def test_the_generated_parts_are_current(page):
    text = doc_pages.text(page)
    assert _generate().renewed(text) == text, "run: python docs/generate.py"


def test_the_readme_fits_on_two_screens():
    assert len(doc_pages.text(ROOT / "README.md").splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES, ids=doc_pages.named)
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", doc_pages.text(page)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), link
        # mkdocs knows the pages below docs/ only; a link out of them would be dead in the site.
        assert DOCS not in page.parents or DOCS in file.parents, link
        assert not anchor or anchor in doc_pages.anchors(doc_pages.text(file)), link


def test_the_site_lists_every_page_once():
    def files(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [
            name for value in (entry.values() if isinstance(entry, dict) else entry) for name in files(value)
        ]

    listed = files(yaml.safe_load(doc_pages.text(ROOT / "mkdocs.yml"))["nav"])
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_is_in_the_documents(name):
    section = _section(name)
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
def test_options_are_kebab_case_and_the_short_ones_are_the_same_everywhere(name):
    for option in re.findall(r"`(-[^`]*)`", _section(name)):
        assert re.fullmatch(r"-[a-z]|--[a-z][a-z0-9]*(-[a-z0-9]+)*", option), option
        if not option.startswith("--"):
            assert option in ("-m", "-r", "-t", "-o", "-q", "-v")


def test_every_recipe_and_stage_is_in_the_documents():
    text = doc_pages.text(DOCS / "reference" / "recipes.md")
    guide = doc_pages.text(DOCS / "guides" / "smaller.md")
    for name in recipe.names():
        assert f"| `{name}` |" in text
        assert f"| `{name}` |" in guide
    for name in stages.MODULES:
        assert f"### {name}\n" in text
    assert "metadata=" not in text, "a type is shown as Python holds it"


def test_every_field_of_a_manifest_is_in_the_documents(tmp_path):
    bundle = fake_bundles.write(tmp_path / "bundle")
    fields = jsontext.loads((bundle / "manifest.json").read_bytes())
    optional = {field.name for field in dataclasses.fields(Manifest)} - {"folder"}
    table = doc_pages.text(DOCS / "reference" / "bundle.md").split("## manifest.json")[1]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(fields) | optional


def test_every_recipe_shown_is_valid(tmp_path):
    shown = [
        block
        for page in PAGES
        for block in doc_pages.blocks(doc_pages.text(page), "yaml")
        if "stages:" in block
    ]
    assert shown
    for number, text in enumerate(shown):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        recipe.load(str(path))


def test_the_changelog_the_package_and_pyproject_name_one_version():
    version = edgeroberta.__version__
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", doc_pages.text(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert newest[1] == version
    assert f'\nversion = "{version}"\n' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    "page", ["docs/explanation/architecture.md", "docs/explanation/tasks.md", "CONTRIBUTING.md"]
)
def test_every_module_named_for_contributors_exists_with_what_is_said_to_be_in_it(page):
    text = doc_pages.text(ROOT / page)
    examples = ("backends/x.py", "runtime/x.py", "stages/x.py", "tasks/x.py")
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", text):
        places = (ROOT, ROOT / "edgeroberta", DOCS)
        assert name in examples or any((place / name).exists() for place in places), name
    for name, module in re.findall(r"`(\w+)`\s+in\s+`([\w/]+\.py)`", text):
        assert re.search(
            rf"^(def {name}\(|class {name}\b|{name}\b.*=)", doc_pages.text(ROOT / module), re.M
        ), name


def test_the_architecture_page_shows_the_layers_that_the_linter_checks() -> None:
    table = doc_pages.text(DOCS / "explanation" / "architecture.md").split("## Packages")[1].split("\n## ")[0]
    rows = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    shown = [
        {name.strip("/").removesuffix(".py") for name in re.findall(r"`([\w/.]+)`", row)} for row in rows
    ]
    contracts = tomllib.loads(doc_pages.text(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    assert shown == [set(layer.split(" | ")) for layer in layers if layer != "__main__"]
