"""What is told about filling a wheelhouse; that it resolves was tried with an index, which tests have not."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest

from edgeroberta.errors import UsageError
from edgeroberta.remote import wheelhouse
from edgeroberta.remote.hosts import tomllib

ROOT = Path(__file__).parents[2]
WORDS = shlex.split(wheelhouse.DOWNLOAD)
NAMES = {re.split("[<>=]", word)[0]: word for word in WORDS[WORDS.index("wheels/") + 1 :]}


def test_the_command_asks_for_what_the_package_requires():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["onnxruntime"]]
    assert {word.split(";")[0].strip() for word in required} == set(NAMES.values()) - {"exceptiongroup"}
    assert "exceptiongroup" in NAMES
    assert f">={WORDS[WORDS.index('--python-version') + 1]}" == project["requires-python"]


def test_the_command_names_every_tag_down_to_the_oldest():
    tags = [word for before, word in itertools.pairwise(WORDS) if before == "--platform"]
    assert tags == [f"manylinux{tag}_aarch64" for tag in ("_2_28", "_2_27", "_2_17", "2014")]
    assert ":all:" in WORDS


def test_the_page_and_the_hint_tell_the_same_command(tmp_path):
    page = (ROOT / "docs" / "guides" / "remote.md").read_text(encoding="utf-8").replace("\\\n    ", "")
    assert f"$ {wheelhouse.DOWNLOAD}\n" in page
    with pytest.raises(UsageError, match="there are no wheels in it") as caught:
        wheelhouse.wheels(tmp_path)
    assert wheelhouse.DOWNLOAD in str(caught.value.hint)
