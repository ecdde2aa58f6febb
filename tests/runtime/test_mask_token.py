from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgeroberta.errors import CheckpointError
from edgeroberta.runtime import mask_token
from edgeroberta.runtime.mask_token import MaskToken


@pytest.fixture
def folder(tokenizer_folder, tmp_path) -> Path:
    return Path(shutil.copytree(tokenizer_folder, tmp_path / "tokenizer"))


def change(folder: Path, name: str, **fields: object) -> None:
    file = folder / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


@pytest.mark.parametrize("fixture", ["tokenizer_folder", "xlmr_tokenizer_folder"])
def test_the_mask_token_is_found_with_its_id(fixture, request):
    from tokenizers import Tokenizer

    folder = request.getfixturevalue(fixture)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert mask_token.find(folder) == MaskToken(tokenizer.token_to_id("<mask>"), "<mask>")


def test_it_is_found_where_no_file_beside_the_tokenizer_names_it(folder):
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink()
    assert mask_token.find(folder).text == "<mask>"


@pytest.mark.parametrize("stated", ["<mask>", {"content": "<mask>", "lstrip": True}])
def test_it_may_be_named_as_a_text_or_with_its_settings(folder, stated):
    change(folder, "tokenizer_config.json", mask_token=stated)
    assert mask_token.find(folder).text == "<mask>"


def test_a_name_that_the_tokenizer_cuts_into_words_is_not_it(folder):
    change(folder, "tokenizer_config.json", mask_token="[MASK]")
    assert mask_token.find(folder).text == "<mask>"


def test_a_tokenizer_without_one_is_refused(folder):
    text = (folder / "tokenizer.json").read_text().replace("<mask>", "<other>")
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(CheckpointError, match="no mask token") as raised:
        mask_token.find(folder)
    assert raised.value.code == "checkpoint.no-mask"
    assert raised.value.where == str(folder / "tokenizer.json")


def test_a_damaged_file_beside_it_is_named(folder):
    (folder / "tokenizer_config.json").unlink()
    (folder / "special_tokens_map.json").write_text("{")
    with pytest.raises(CheckpointError) as raised:
        mask_token.find(folder)
    assert raised.value.where == str(folder / "special_tokens_map.json")


def test_a_tokenizer_that_cuts_the_mask_token_like_a_word_is_refused(folder):
    change(folder, "tokenizer_config.json", split_special_tokens=True)
    with pytest.raises(CheckpointError) as caught:
        mask_token.find(folder)
    assert caught.value.what.startswith("the tokenizer reads <mask> in a text as characters")
    assert caught.value.code == "checkpoint.no-mask"
