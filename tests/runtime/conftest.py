"""Fixtures for bundles that are about to be damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeroberta.runtime.manifest import MANIFEST_FILE, canonical, content_digest, seal_of


@pytest.fixture
def bundle(tiny_bundle, tmp_path) -> Path:
    """A copy of the tiny bundle, to write into."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.fixture
def edit_manifest(bundle) -> Callable[..., None]:
    """A function that changes fields of the copy's manifest and gives it a digest that matches."""

    def edit(change: Callable[[dict[str, Any]], object]) -> None:
        file = bundle / MANIFEST_FILE
        fields = json.loads(file.read_text(encoding="utf-8"))
        change(fields)
        fields["digest"] = content_digest(fields)
        fields["seal"] = seal_of(fields)
        file.write_bytes(canonical(fields))

    return edit
