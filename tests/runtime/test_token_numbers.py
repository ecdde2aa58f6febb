from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeroberta.errors import CheckpointError
from edgeroberta.runtime.token_numbers import TokenNumbers


@pytest.fixture
def folder(tokenizer_folder, tmp_path) -> Path:
    return Path(shutil.copytree(tokenizer_folder, tmp_path / "model"))


def read(folder: Path, **fields: object) -> TokenNumbers | None:
    (folder / "config.json").write_text(json.dumps(fields))
    return TokenNumbers.read(folder)


def test_tokens_of_a_model_that_was_not_cut_are_numbered_as_ever(folder):
    assert read(folder, vocab_size=600) is None
    (folder / "config.json").unlink()
    assert TokenNumbers.read(folder) is None


def test_ids_are_told_in_both_ways(folder):
    found = read(folder, original_token_ids=[0, 1, 2, 3, 4, 10, 20, 50])
    assert found is not None
    assert found.own(np.array([20, 4, 30, 99])).tolist() == [6, 4, 3, 3]  # 3 is <unk>
    values = np.array([[-0.1, -2.0, -3.0, 7, 5, 0]], np.float32)
    assert found.original(values).tolist() == [[*values[0, :3].tolist(), 50, 10, 0]]
    asked = found.original(values, np.array([30]))
    assert asked[0, 3:].tolist() == [50, 10, 30]


@pytest.mark.parametrize("stated", [[], [3, 2], "x", [0.5], [[1]]])
def test_what_is_no_list_of_ids_is_refused(folder, stated):
    with pytest.raises(CheckpointError, match="rising token ids") as raised:
        read(folder, original_token_ids=stated)
    assert raised.value.where == str(folder / "config.json")
