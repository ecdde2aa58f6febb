from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from edgeroberta.evaluation.text_edits import Edit, EditedText


def edited(text: str, *edits: tuple[int, int, str]) -> EditedText:
    return EditedText.of(text, (Edit(*each) for each in edits))


def test_edits_are_made_in_one_go():
    found = edited("he saw her", (0, 2, "she"), (7, 10, "him"))
    assert found.text == "she saw him"
    assert len(found.edits) == 2


def test_an_edit_that_changes_nothing_is_none():
    assert edited("same", (0, 4, "same")).edits == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [((0, 2), (0, 3)), ((3, 6), (4, 7)), ((7, 10), (8, 11)), ((0, 10), (0, 11)), ((3, 3), (4, 4))],
)
def test_places_move_with_the_text_and_back(before, after):
    found = edited("he saw her", (0, 2, "she"), (7, 10, "him"))
    assert found.forth(*before) == after
    assert found.back(*after) == before


def test_a_part_of_what_was_replaced_is_all_of_it():
    found = edited("a policewoman came", (2, 13, "cop"))
    assert found.forth(8, 13) == (2, 5)
    assert found.back(3, 4) == (2, 13)


def test_what_keeps_its_length_is_moved_character_by_character():
    found = edited("In NewYork", (3, 10, "NEWYORK"))
    assert found.forth(6, 10) == (6, 10)


def test_nothing_is_left_of_a_removed_part():
    found = edited('say "no" .', (4, 5, ""), (7, 8, ""), (9, 10, ""))
    assert found.text == "say no "
    assert found.forth(5, 7) == (4, 6)
    assert found.forth(4, 8) == (4, 6)
    start, end = found.forth(9, 10)
    assert start == end


@given(some.text(min_size=1, max_size=20), some.data())
def test_characters_that_were_not_replaced_are_found_again(text, data):
    start = data.draw(some.integers(0, len(text) - 1))
    end = data.draw(some.integers(start, len(text)))
    found = EditedText.of(text, [Edit(start, end, data.draw(some.text(max_size=5)))])
    for place in range(len(text)):
        if start <= place < end:
            continue
        at, after = found.forth(place, place + 1)
        assert found.text[at:after] == text[place]
        assert found.back(at, after) == (place, place + 1)
