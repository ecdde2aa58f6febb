from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgeroberta.errors import BundleError
from edgeroberta.runtime.tokenids import vocab_size


@pytest.mark.parametrize(
    ("content", "size"), [('{"vocab_size": 600}', 600), ('{"vocab_size": "many"}', None), ("{}", None)]
)
def test_the_size_of_the_vocabulary_is_what_the_config_tells(tmp_path, content, size):
    (tmp_path / "config.json").write_text(content)
    assert vocab_size(SimpleNamespace(folder=tmp_path, files={"config.json": None})) == size
    assert vocab_size(SimpleNamespace(folder=tmp_path, files={})) is None


@pytest.mark.parametrize("content", ["", "[]", '{"vocab_size": 1', "[" * 100_000])
def test_a_config_that_cannot_be_read_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(BundleError, match="damaged: not a JSON object"):
        vocab_size(SimpleNamespace(folder=tmp_path, files={"config.json": None}))
