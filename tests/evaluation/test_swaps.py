from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from edgeroberta.evaluation import term_lists
from edgeroberta.evaluation.swaps import Swapper
from edgeroberta.evaluation.term_lists import NAMES, TermList

GENDER, AGE, NATIONALITY, RELIGION = (
    Swapper(term_lists.load(name)) for name in ("gender", "age", "nationality", "religion")
)


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("He gave the man a book.", "She gave the woman a book."),
        ("HE IS A GENTLEMAN", "SHE IS A LADY"),
        ("the man's hat, the woman’s coat", "the woman's hat, the man’s coat"),
        ("she'll come, he's here", "he'll come, she's here"),
        ("a man--or a boy--cries", "a woman--or a girl--cries"),
        ("他说她不来，爸爸也不来。", "她说他不来，妈妈也不来。"),
        ("小明的外甥女和外甥", "小明的外甥和外甥女"),
    ],
)
def test_all_terms_of_a_text_are_swapped_in_one_go(text, swapped):
    assert GENDER.swap(text).text == swapped
    assert GENDER.swap(swapped).text == text


@pytest.mark.parametrize(
    "text",
    [
        "the manner of the chef at the other theatre",  # man, he
        "a man-made lake, a one-man show",
        "hépatite, the\u0301 shE hE",  # accents, and letters in no word's case
        "this is no man's land",
        "其他人都会弹吉他",
        "别管他人的眼光",
        "Iron Man and the Warner Brothers",
    ],
)
def test_parts_of_words_and_names_stay(text):
    assert GENDER.swap(text).edits == ()


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("I saw her again", "I saw him again"),
        ("I saw her book", "I saw his book"),
        ("Her own idea", "His own idea"),
        ("it is his.", "it is hers."),
        ("it is his film", "it is her film"),
        ("it is hers", "it is his"),
        ("give it to him", "give it to her"),
        ("gave her a ring", "gave him a ring"),
    ],
)
def test_the_next_word_tells_what_a_pronoun_stands_for(text, swapped):
    assert GENDER.swap(text).text == swapped
    assert GENDER.guessed(text) == any(word in text.lower().split() for word in ("her", "his", "his."))


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("a young man and an old woman", "an old man and a young woman"),
        ("A young man. An old one, a  young man", "An old man. An old one, an  old man"),
        ("A YOUNG MAN", "AN OLD MAN"),
        ("a 30-year-old", "an 80-year-old"),
        ("a\nyoung man, vitamin-a young man", "a\nold man, vitamin-a old man"),  # no article of theirs
    ],
)
def test_an_article_follows_its_term(text, swapped):
    assert AGE.swap(text).text == swapped


def test_an_article_stays_where_both_terms_sound_alike():
    assert GENDER.swap("an heir, a uncle").text == "an heiress, a aunt"
    assert NATIONALITY.swap("an American and a Belgian").text == "an Algerian and a Congolese"


def test_a_chinese_term_is_found_inside_a_sentence_but_not_in_a_longer_number():
    assert AGE.swap("一位20岁的年轻人").text == "一位70岁的老年人"
    assert AGE.swap("120岁").edits == ()
    assert NATIONALITY.swap("英美国家的法国人").text == "英美国家的阿尔及利亚人"


@pytest.mark.parametrize("name", NAMES)
def test_built_in_lists_are_whole_and_written_alike_on_both_sides(name):
    terms = term_lists.load(name)
    english = [pair for pair in terms.pairs if pair[0].isascii()]
    chinese = [pair for pair in terms.pairs if not pair[0].isascii()]
    assert len(english) >= 30
    assert len(chinese) >= 20
    for first, second in english:
        assert first[0].isupper() == second[0].isupper()
    assert TermList.from_json(terms.to_json()) == terms


@pytest.mark.parametrize("name", NAMES)
def test_swapping_twice_gives_each_term_of_the_built_in_lists_back(name):
    terms = term_lists.load(name)
    swapper = Swapper(terms)
    for first, second in terms.pairs:
        for term, other in ((first, second), (second, first)):
            for case in (str, str.lower, str.upper):
                text = f"- {case(term)} -"
                assert swapper.swap(text).text == f"- {case(other)} -"
                assert swapper.swap(swapper.swap(text).text).text == text


LETTERS = some.text("abcdefgäéñ", min_size=2, max_size=6)
LISTS = some.lists(LETTERS, min_size=2, max_size=8, unique_by=str.casefold).map(
    lambda words: TermList("mine", tuple(zip(words[::2], words[1::2], strict=False)), {}, {}, ())
)


@given(LISTS, some.data())
def test_swapping_twice_gives_the_text_back(terms, data):
    words = [word for pair in terms.pairs for word in pair]
    case = some.sampled_from([str.lower, str.upper, str.title])
    word = some.one_of(
        some.sampled_from(words).flatmap(lambda each: case.map(lambda how: how(each))), LETTERS
    )
    gap = some.sampled_from([" ", ", ", " – ", "'s ", "\n", ' "', "-"])
    text = "".join(data.draw(some.lists(some.one_of(word, gap, some.text(max_size=3)), max_size=12)))
    swapper = Swapper(terms)
    assert swapper.swap(swapper.swap(text).text).text == text


@given(some.text(max_size=60))
def test_swaps_of_any_text_touch_whole_words_alone(text):
    for swapper in (GENDER, RELIGION):
        for edit in swapper.swap(text).edits:
            assert edit.new
            if text[edit.start].isascii():
                assert not text[edit.start - 1 : edit.start].isalnum()
                assert not text[edit.end : edit.end + 1].isalnum()


@given(LISTS, LETTERS)
def test_a_word_that_only_contains_a_term_stays(terms, more):
    known = {word.casefold() for pair in terms.pairs for word in pair}
    term = terms.pairs[0][0]
    for word in (term + more, more + term, f"{term}_{more}", f"{more}-{term}", f"{term}-{more}", f"d'{term}"):
        if word.casefold() not in known:
            assert Swapper(terms).swap(f"a {word}.").edits == ()
