from __future__ import annotations

import pytest

from edgeroberta.tasks.span_scores import cmrc, normalized, segments, squad


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Eiffel Tower.", "eiffel tower"),
        ("  an   apple,  a pear ", "apple pear"),
        ("theatre", "theatre"),
        ("the", ""),
        ("U.S.", "us"),
        ("well-known", "wellknown"),
        ("$3,000", "3000"),
        ("A–B", "–b"),  # a dash of typography is no ASCII punctuation, and stands at the end of a word
        ("《红楼梦》", "《红楼梦》"),
    ],
)
def test_texts_are_normalized_as_by_the_script_of_squad(text, expected):
    assert normalized(text) == expected


#: What was said, what is right, and F1 and exact match as the definition gives them by hand.
SQUAD = [
    ("Eiffel tower.", ["the Eiffel Tower"], 1.0, 1.0),
    ("Paris", ["in Paris, France"], 0.5, 0.0),  # 1 of 1 word and of 3
    ("in the north of Paris", ["Paris"], 0.4, 0.0),  # the article does not count: 1 of 4 and of 1
    ("Berlin", ["Paris"], 0.0, 0.0),
    ("Berlin", ["Paris", "Berlin, Germany", "in Berlin"], 2 / 3, 0.0),
    ("a a b", ["b a"], 1.0, 1.0),  # "a" is an article
    ("x x y", ["x y y"], 2 / 3, 0.0),  # words are counted as often as they are there
    ("", [], 1.0, 1.0),
    ("Paris", [], 0.0, 0.0),
    ("", ["Paris"], 0.0, 0.0),
    ("the", ["."], 1.0, 1.0),  # right answers of nothing but punctuation are none
    ("Paris", ["the", "Paris"], 1.0, 1.0),
    ("红楼梦", ["《红楼梦》"], 0.0, 0.0),
    ("2023年9月", ["2023 年 9 月"], 0.0, 0.0),
]


@pytest.mark.parametrize(("said", "known", "f1", "exact"), SQUAD)
def test_f1_and_exact_match_are_those_of_squad(said, known, f1, exact):
    assert squad(said, known) == (pytest.approx(f1), exact)


CMRC = [
    ("红楼梦", ["《红楼梦》"], 1.0, 1.0),
    ("2023年9月", ["2023 年 9 月"], 1.0, 0.0),  # spaces between words do not count, but for exact match
    ("２０２３年９月", ["2023年9月"], 0.25, 0.0),  # full-width digits are other words: 年 of 4, 月 of 4
    ("北京市", ["北京"], 0.8, 0.0),
    ("京北", ["北京"], 0.5, 0.0),  # the longest run, not a bag of characters
    ("在北京大学", ["北京大学", "大学"], 8 / 9, 0.0),
    ("iPhone手机", ["iphone 手机"], 1.0, 0.0),
    ("New York", ["new york"], 1.0, 1.0),
    ("3,000人", ["3,000人"], 1.0, 1.0),
    ("上海", ["北京"], 0.0, 0.0),
    ("上海……", ["上海"], 0.8, 0.0),  # the ellipsis is two characters to the script, and one word to NLTK
    ("", ["北京"], 0.0, 0.0),
    ("", [], 1.0, 1.0),
    ("北京", [], 0.0, 0.0),
    ("北京", ["上海", "北京"], 1.0, 1.0),
]


@pytest.mark.parametrize(("said", "known", "f1", "exact"), CMRC)
def test_f1_and_exact_match_are_those_of_cmrc(said, known, f1, exact):
    assert cmrc(said, known) == (pytest.approx(f1), exact)


#: Words of the Penn Treebank, as NLTK 3.10 has them.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023 年 9 月", ["2023", "年", "9", "月"]),
        ("《红楼梦》", ["红", "楼", "梦"]),
        ("it's 3,000 km, don't", ["it", "'s", "3,000", "km", ",", "do", "n't"]),
        ("apple inc.", ["apple", "inc", "."]),
        ("u.s. dollar (usd)", ["u.s.", "dollar", "(", "usd", ")"]),
        ("5% & $3", ["5", "%", "&", "$", "3"]),
        ("a b", ["a", "b"]),
        ("wi-fi", ["wifi"]),
        ("cannot", ["can", "not"]),
        ("ａｂｃ中", ["ａｂｃ", "中"]),
    ],
)
def test_texts_are_cut_into_characters_and_words(text, expected):
    assert segments(text) == expected
