from __future__ import annotations

import pytest

from edgeroberta.data import word_list
from edgeroberta.errors import DataError


def test_words_have_the_number_of_their_first_line(tmp_path):
    file = tmp_path / "words.txt"
    file.write_bytes("\ufeffmyocarditis\r\n\r\n  Café \nCafe\u0301\nmyocarditis\n心肌炎".encode())
    assert word_list.read(file) == {"myocarditis": 1, "Café": 3, "心肌炎": 6}


@pytest.mark.parametrize(
    ("content", "what", "line"),
    [
        (None, "no such file", ""),
        (b"", "no word in this file", ""),
        (b" \n\t\n\n", "no word in this file", ""),
        (b"one\ntwo\ncaf\xe9\n", "not UTF-8", ":3"),
    ],
)
def test_a_file_without_readable_words_is_refused(content, what, line, tmp_path):
    file = tmp_path / "words.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        word_list.read(str(file))
    assert (caught.value.what, caught.value.where) == (what, f"{file}{line}")
    assert caught.value.hint
