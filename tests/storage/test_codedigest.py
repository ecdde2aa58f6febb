"""What a stage's key says of the program: the sources that it rests on, and those alone."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import pytest

from edgeroberta import stages
from edgeroberta.remote import wheel
from edgeroberta.storage import codedigest

QUANTIZE, FINETUNE = "edgeroberta.stages.quantize", "edgeroberta.stages.finetune"
BUNDLE = "edgeroberta.stages.bundle"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The package as a wheel installs it."""
    folder = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(io.BytesIO(wheel.build().content)).extractall(folder)
    return folder / "edgeroberta"


@pytest.mark.parametrize("name", stages.MODULES)
def test_a_wheel_and_a_clone_have_the_same_digest(name, installed):
    assert codedigest.of(stages.MODULES[name]) == codedigest.of(stages.MODULES[name], root=installed)


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("quantization/fp32_fallback.py", {QUANTIZE}),
        ("training/finetuning.py", {QUANTIZE, FINETUNE}),
        ("storage/artifact.py", {QUANTIZE, FINETUNE, BUNDLE}),
        ("cli/compress.py", set()),
        ("progress.py", set()),
        ("__init__.py", set()),
        ("report/templates/card.md.j2", {BUNDLE}),
        ("report/templates/page.css", {BUNDLE}),
        ("report/templates/search.js", {BUNDLE}),
    ],
)
def test_a_stage_counts_as_changed_when_a_module_that_it_rests_on_is(file, changed, installed, tmp_path):
    root = tmp_path / "edgeroberta"
    shutil.copytree(installed, root)
    (root / file).write_text((root / file).read_text(encoding="utf-8") + "\n# fixed\n", encoding="utf-8")
    differ = {
        name for name in (QUANTIZE, FINETUNE, BUNDLE) if codedigest.of(name) != codedigest.of(name, root=root)
    }
    assert differ == changed


def test_verify_counts_as_changed_when_a_list_of_terms_is(installed, tmp_path):
    root = tmp_path / "edgeroberta"
    shutil.copytree(installed, root)
    file = root / "evaluation" / "terms" / "gender.en.toml"
    file.write_text(file.read_text(encoding="utf-8") + "\n# more\n", encoding="utf-8")
    verify = stages.MODULES["verify"]
    assert codedigest.of(verify) != codedigest.of(verify, root=root)
    assert codedigest.of(QUANTIZE) == codedigest.of(QUANTIZE, root=root)


def test_line_ends_change_nothing(installed, tmp_path):
    root = tmp_path / "edgeroberta"
    shutil.copytree(installed, root)
    for file in root.rglob("*.py"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert codedigest.of(QUANTIZE, root=root) == codedigest.of(QUANTIZE)


def test_imports_in_functions_relative_ones_and_modules_named_in_strings_are_followed():
    assert "edgeroberta.roberta.graph" in codedigest.closure(QUANTIZE)
    assert "edgeroberta.remote.device.folder" in codedigest.closure("edgeroberta.remote.device.jobs")
    rested_on = codedigest.closure("edgeroberta.stages.verify")
    assert {
        "edgeroberta.measure.worker",
        "edgeroberta.runtime.openvino",
        "edgeroberta.runtime.tensorrt",
    } < rested_on
    assert not {stages.MODULES["distill"], "edgeroberta.cli", "edgeroberta.errors"} & rested_on


def test_a_module_of_another_package_counts_as_nothing():
    assert codedigest.closure("fake_stages", "edgeroberta.absent") == frozenset()


def test_without_sources_the_version_counts_and_it_is_said_once(tmp_path, monkeypatch, caplog):
    """As in an installation of .pyc files alone."""
    found = []
    for version in ("0.4.0", "0.4.1"):
        monkeypatch.setattr(codedigest, "__version__", version)
        root = tmp_path / version / "edgeroberta"
        root.mkdir(parents=True)
        found += [codedigest.of(QUANTIZE, root=root), codedigest.of("fake_stages", root=root)]
        codedigest.of(FINETUNE, root=root)
    assert found[0] != found[2]
    assert found[1] == found[3]
    assert [each.levelname for each in caplog.records] == ["WARNING"] * 2
    assert f"the sources of edgeroberta are not in {tmp_path / '0.4.0'}" in caplog.text
