"""What a bundle tells of the computer it was made on."""

from __future__ import annotations

import json

import pytest

from edgeroberta.storage import publishing


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("/home/me/reviews.csv", "reviews.csv"),
        ("~/models/best", "best"),
        ("./out/ref", "ref"),
        ("someone/roberta-base-reviews", "someone/roberta-base-reviews"),
        ("label", "label"),
        ("/", "/"),
        ("text\0", "text\0"),
        ("and/or " * 2000, "and/or " * 2000),
    ],
)
def test_a_path_is_told_by_its_name_and_any_other_text_as_it_is(value, told):
    assert publishing.name_of(value) == told


def test_a_relative_path_that_is_here_is_a_path(tmp_path, monkeypatch):
    (tmp_path / "someone" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert publishing.name_of("someone/model") == "model"


def test_paths_anywhere_in_settings_are_told_by_their_names():
    settings = {"teacher": "/models/large", "recovery": {"epochs": 3, "texts": ["/data/a.csv", None]}}
    assert publishing.without_folders(settings) == {
        "teacher": "large",
        "recovery": {"epochs": 3, "texts": ["a.csv", None]},
    }


def test_paths_that_transformers_wrote_are_taken_out_and_the_rest_stays(tmp_path):
    (tmp_path / "config.json").write_text('{"_name_or_path": "/home/me/model", "hidden_size": 32}')
    (tmp_path / "tokenizer_config.json").write_text('{"cls_token":"<s>"}')
    (tmp_path / "special_tokens_map.json").write_text("not JSON")
    publishing.strip(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == {"hidden_size": 32}
    assert (tmp_path / "tokenizer_config.json").read_text() == '{"cls_token":"<s>"}'
    assert (tmp_path / "special_tokens_map.json").read_text() == "not JSON"
