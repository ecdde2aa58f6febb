from __future__ import annotations

import pytest

from edgeroberta.errors import UsageError
from edgeroberta.evaluation import term_lists


def written(tmp_path, text: str, name: str = "mine.toml"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_of_the_user_s_is_a_list_with_its_name(tmp_path):
    file = written(
        tmp_path, 'pairs = [["Ossi", "Wessi"]]\nkeep = ["Ossi Brand"]\n[one_way]\nDDR = "BRD"\n', "east.toml"
    )
    found = term_lists.load(str(file))
    assert found.name == "east"
    assert found.becomes == {
        "Ossi": ("Wessi", "Wessi"),
        "Wessi": ("Ossi", "Ossi"),
        "DDR": ("BRD", "BRD"),
    }
    assert found.keep == ("Ossi Brand",)


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xef\xbb\xbf" + b'pairs = [["he", "she"]]')
    assert term_lists.load(str(file)).pairs == (("he", "she"),)


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        (
            'pairs = [["he", "she"], ["man", "He"]]',
            "pairs[1]",
            "the term 'He' is in pairs[0] and in pairs[1]",
        ),
        ('pairs = [["he", "he"]]', "pairs[0]", "the term 'he' is on both sides"),
        ('pairs = [["he", "HE"]]', "pairs[0]", "the term 'HE' is on both sides"),
        (
            'pairs = [["he", "she"]]\n[one_way]\nshe = "they"',
            "one_way.she",
            "the term 'she' is in pairs[0] and in one_way.she",
        ),
        ("pairs = []", "pairs", "no pairs of terms"),
        ("", "pairs", "no pairs of terms"),
        ('pairs = [["he "], ["she"]]', "pairs[0]", "should be two terms, not ['he ']"),
        ('pairs = [["he ", "she"]]', "pairs[0]", "the term 'he ' has blanks at its ends"),
        ('pairs = [["he", "\\tshe"]]', "pairs[0]", "the term '\\tshe' has blanks at its ends"),
        ('pairs = [["", "she"]]', "pairs[0]", "an empty term"),
        ('pairs = [["  ", "she"]]', "pairs[0]", "an empty term"),
        ('pairs = [[1, "she"]]', "pairs[0]", "a term should be a text, not 1"),
        ('pairs = [["he", "she", "they"]]', "pairs[0]", "should be two terms, not ['he', 'she', 'they']"),
        ('pairs = [["-", "+"]]', "pairs[0]", "the term '-' has neither a letter nor a digit"),
        ('pairs = {he = "she"}', "pairs", "should be a list, not {'he': 'she'}"),
        ('pairs = ["he", "she"]', "pairs[0]", "should be two terms, not 'he'"),
        ('[by_next_word]\nher = "his"', "by_next_word.her", "should be two terms, not 'his'"),
        ('one_way = ["him"]', "one_way", "should be a table of terms, not ['him']"),
        (
            'pairs = [["he", "she"]]\nkeep = ["SHE"]',
            "keep",
            "the term 'SHE' is kept, and swapped in pairs[0]",
        ),
    ],
)
def test_a_list_that_contradicts_itself_is_refused_with_its_place(tmp_path, text, place, what):
    file = written(tmp_path, text)
    with pytest.raises(UsageError) as refused:
        term_lists.load(str(file))
    assert (refused.value.where, refused.value.what) == (f"{file}: {place}", what)
    assert refused.value.code == "usage.swaps"
    assert refused.value.hint


def test_an_unknown_key_is_refused(tmp_path):
    with pytest.raises(UsageError, match="unknown key 'pair'") as refused:
        term_lists.load(str(written(tmp_path, 'pair = [["he", "she"]]')))
    assert refused.value.hint == "did you mean 'pairs'?"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ('pairs = [["né", "née"]]'.encode("latin-1"), "not UTF-8, at byte 12"),
        ('pairs = [["he", "she"]]'.encode("utf-16"), "not UTF-8, at byte 0"),
        (b"he,she\nman,woman\n", "not TOML"),
        (b'{"pairs": [["he", "she"]]}', "not TOML"),
    ],
)
def test_a_file_that_is_no_toml_in_utf_8_is_refused(tmp_path, data, what):
    file = tmp_path / "mine.toml"
    file.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        term_lists.load(str(file))
    assert refused.value.what.startswith(what)
    assert refused.value.where == str(file)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gendre", "did you mean 'gender'?"),
        ("dialect", "one of age, gender, names, nationality, religion, or a file that ends in .toml"),
        ("../gender", "did you mean 'gender'?"),
        ("", "one of age, gender, names, nationality, religion, or a file that ends in .toml"),
    ],
)
def test_an_unknown_list_is_refused(name, hint):
    with pytest.raises(UsageError, match="no list of terms is called") as refused:
        term_lists.load(name)
    assert refused.value.hint == hint


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read \\(No such file or directory\\)"):
        term_lists.load(str(tmp_path / "none.toml"))


def test_two_lists_of_one_name_are_refused(tmp_path):
    file = written(tmp_path, 'pairs = [["he", "she"]]', "gender.toml")
    with pytest.raises(UsageError, match="two lists are called 'gender'"):
        term_lists.load_all(("gender", str(file)))
    with pytest.raises(UsageError, match="two lists are called 'age'"):
        term_lists.load_all(("age", "age"))
