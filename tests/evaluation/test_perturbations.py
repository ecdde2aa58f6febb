from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from edgeroberta.errors import UsageError
from edgeroberta.evaluation import perturbations
from edgeroberta.evaluation.perturbations import PERTURBATIONS, perturb

EVERY = pytest.mark.parametrize("name", sorted(PERTURBATIONS))


@EVERY
@given(some.text(max_size=60), some.integers(0, 3))
def test_a_perturbation_depends_on_seed_and_text_alone_and_never_empties_one(name, text, seed):
    found = perturb(name, text, seed=seed)
    assert perturb(name, text, seed=seed) == found
    assert bool(found.text.strip()) == bool(text.strip())


def test_another_seed_makes_other_typos():
    text = "the remarkable performance carries an otherwise ordinary picture"
    assert len({perturb("typos", text, seed=seed).text for seed in range(20)}) > 10


@given(some.text(max_size=60))
def test_full_and_half_width_turn_into_each_other(text):
    there = perturb("width", text, seed=0).text
    assert perturb("width", there, seed=0).text == text


def test_width_of_a_chinese_text():
    assert (
        perturb("width", "我在2019年买了iPhone，很好！", seed=0).text
        == "我在２０１９年买了ｉＰｈｏｎｅ,很好!"
    )


@given(
    some.lists(some.text("abcdefghij", min_size=1, max_size=9), min_size=1, max_size=20), some.integers(0, 9)
)
def test_a_typo_is_in_one_of_eight_long_words_and_keeps_the_first_letter(words, seed):
    found = perturb("typos", " ".join(words), seed=seed).text.split(" ")
    assert len(found) == len(words)
    wrong = [(old, new) for old, new in zip(words, found, strict=True) if old != new]
    long = sum(len(word) >= 4 for word in words)
    assert len(wrong) == (max(1, round(long / 8)) if long else 0)
    assert all(len(old) >= 4 and old[0] == new[0] and abs(len(old) - len(new)) <= 1 for old, new in wrong)


def test_a_typo_in_chinese_exchanges_two_characters_or_drops_one():
    made = {perturb("typos", "很好", seed=seed).text for seed in range(20)}
    assert made == {"好很", "很"}


def test_case_takes_each_form_that_differs():
    made = {perturb("case", "Don't ask", seed=seed).text for seed in range(40)}
    assert made == {"don't ask", "DON'T ASK", "Don't Ask"}
    assert {perturb("case", "quiet", seed=seed).text for seed in range(20)} == {"QUIET", "Quiet"}
    assert perturb("case", "很好，2019", seed=0).edits == ()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Well, I don't know (3.5 of 5)!", "Well I don't know 3.5 of 5"),
        ("good,bad...ugly", "good bad ugly"),
        ("很好，我喜欢。真的！", "很好我喜欢真的"),
        ("well-known -- and loved", "well-known  and loved"),
        ("...", "..."),
    ],
)
def test_punctuation_is_left_out_but_not_within_words(text, plain):
    assert perturb("punctuation", text, seed=0).text == plain


@pytest.mark.parametrize(
    ("names", "what", "hint"),
    [
        (("typo",), "no perturbation is called 'typo'", "did you mean 'typos'?"),
        (("noise",), "no perturbation is called 'noise'", "one of typos, case, punctuation, width"),
        (("",), "no perturbation is called ''", "one of typos, case, punctuation, width"),
        (("case", "case"), "'case' is named twice", None),
    ],
)
def test_unknown_perturbations_are_refused(names, what, hint):
    with pytest.raises(UsageError) as refused:
        perturbations.check(names)
    assert (refused.value.what, refused.value.hint, refused.value.code) == (what, hint, "usage.perturb")
