"""The engines that tiers are built for, checked before hours of work."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeroberta import recipe, targets
from edgeroberta.errors import UsageError
from edgeroberta.pipeline.compression import _check_engines

RECIPE = """\
schema_version: 1
name: mine
stages:
  - cascade:
      SETTINGS
      tiers:
        - name: small
          stages: [export, {build: {engines: FIRST}}]
        - name: large
          stages: [export, {build: {engines: LAST}}]
  - verify: {engines: MEASURED}
  - bundle: {}
"""


def check(
    folder: Path, first: str, last: str, *, measured: str = "target", settings: str = "agreement: 0.9"
) -> None:
    path = folder / "mine.yaml"
    names = {"FIRST": first, "LAST": last, "MEASURED": measured, "SETTINGS": settings}
    text = RECIPE
    for name, value in names.items():
        text = text.replace(name, value)
    path.write_text(text)
    _check_engines(recipe.load(str(path)), targets.load("cpu"))


def test_tiers_with_an_engine_in_common_are_taken(tmp_path):
    check(tmp_path, "[onnxruntime]", "target", settings="engine: onnxruntime", measured="[onnxruntime]")


def test_tiers_without_an_engine_in_common_are_refused(tmp_path):
    with pytest.raises(UsageError) as caught:
        check(tmp_path, "[onnxruntime]", "[openvino]")
    assert caught.value.what == "no engine has all tiers (small: onnxruntime; large: openvino)"
    assert caught.value.where == "mine.yaml: stages[0].cascade"


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"settings": "engine: openvino"}, "stages[0].cascade.engine"),
        ({"measured": "[openvino]"}, "stages[1].verify.engines"),
    ],
)
def test_an_engine_that_not_all_tiers_have_is_refused(tmp_path, changed, where):
    with pytest.raises(UsageError) as caught:
        check(tmp_path, "[onnxruntime]", "target", **changed)
    assert caught.value.what == "the bundle is not built for 'openvino', only for onnxruntime"
    assert caught.value.where == f"mine.yaml: {where}"
