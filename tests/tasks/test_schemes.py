from __future__ import annotations

import warnings

import numpy as np
import pytest
import seqeval.scheme
from seqeval.metrics.sequence_labeling import get_entities
from tagged import labels_of, random_tags, word_tags

from edgeroberta.tasks import Scheme
from edgeroberta.tasks.schemes import (
    default_spans,
    first_units,
    scheme_of_labels,
    scheme_of_tags,
    strict_spans,
    tag_table,
)

STRICT = {
    Scheme.IOB1: seqeval.scheme.IOB1,
    Scheme.IOB2: seqeval.scheme.IOB2,
    Scheme.BIOES: seqeval.scheme.IOBES,
}


def spans(sentences, labels, read):
    """Return for each sentence its entities: type, first word, the one after the last."""
    tags, table = word_tags(sentences, labels), tag_table(labels)
    prefix, kind = table.of(tags.values)
    firsts, lasts = read(prefix, kind, first_units(tags.offsets))
    found = [[] for _ in sentences]
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        text = int(tags.texts[first])
        begin = int(tags.offsets[text])
        assert tags.texts[last] == text
        found[text].append((table.types[kind[first]], first - begin, last + 1 - begin))
    return found


@pytest.mark.parametrize("scheme", Scheme)
def test_entities_are_those_of_seqeval_by_default(scheme):
    labels = labels_of(scheme)
    sentences = random_tags(labels, 600, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = [[(kind, first, last + 1) for kind, first, last in get_entities(tags)] for tags in sentences]
    assert spans(sentences, labels, default_spans) == wanted


@pytest.mark.parametrize("scheme", STRICT)
def test_entities_are_those_of_seqeval_in_strict_mode(scheme):
    labels = labels_of(scheme)
    sentences = random_tags(labels, 600, seed=2)
    wanted = [
        [(entity.tag, entity.start, entity.end) for entity in each]
        for each in seqeval.scheme.Entities(sentences, STRICT[scheme]).entities
    ]
    assert any(wanted)
    assert spans(sentences, labels, lambda *tags: strict_spans(scheme, *tags)) == wanted


def test_io_has_no_strict_reading_of_its_own():
    labels = labels_of(Scheme.IO)
    sentences = random_tags(labels, 100, seed=3)
    found = spans(sentences, labels, lambda *tags: strict_spans(Scheme.IO, *tags))
    assert found == spans(sentences, labels, default_spans)


def test_no_text_and_texts_without_entities_have_none():
    labels = labels_of(Scheme.IOB2)
    assert spans([["O", "O"], ["O"]], labels, default_spans) == [[], []]
    nothing = np.zeros(0, np.int64)
    for read in (default_spans, lambda *tags: strict_spans(Scheme.IOB2, *tags)):
        assert [len(each) for each in read(nothing, nothing, first_units(np.zeros(1, np.int64)))] == [0, 0]


@pytest.mark.parametrize(
    ("labels", "scheme", "types"),
    [
        (("O", "PER", "LOC"), Scheme.IO, ("PER", "LOC")),
        (("O", "I-PER", "I-LOC"), Scheme.IO, ("PER", "LOC")),
        (("O", "B-PER", "I-PER", "B-LOC"), Scheme.IOB2, ("PER", "LOC")),
        (("B-X-Y", "I-X-Y", "O"), Scheme.IOB2, ("X-Y",)),
        (("O", "B-X", "I-X", "E-X", "S-X"), Scheme.BIOES, ("X",)),
        (("O", "S-X", "B-X"), Scheme.BIOES, ("X",)),
        (("O", "B-X", "I-X", "L-X", "U-X"), Scheme.BIOES, ("X",)),
        # E- is no prefix where nothing begins that could end.
        (("O", "B-NAME", "I-NAME", "E-MAIL", "U-BOAT"), Scheme.IOB2, ("NAME", "E-MAIL", "U-BOAT")),
        (("O", "E-MAIL", "ORG"), Scheme.IO, ("E-MAIL", "ORG")),
        (("O", "B", "I"), Scheme.IOB2, ("_",)),
        (("LABEL_0", "LABEL_1"), Scheme.IO, ("LABEL_0", "LABEL_1")),
        (("O", "B-", "I-"), Scheme.IO, ("B-", "I-")),
    ],
)
def test_the_scheme_is_read_from_the_labels(labels, scheme, types):
    assert scheme_of_labels(labels) is scheme
    assert tag_table(labels).types == types


def test_bilou_is_read_as_bioes():
    labels, others = (("O", *(f"{mark}-X" for mark in marks)) for marks in ("BIES", "BILU"))
    sentences = random_tags(labels, 200, seed=4)
    names = dict(zip(labels, others, strict=True))
    same = [[names[tag] for tag in tags] for tags in sentences]
    assert spans(same, others, default_spans) == spans(sentences, labels, default_spans)


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("I-PER I-PER O I-LOC B-LOC", Scheme.IOB1),
        ("I-PER", Scheme.IOB1),
        ("B-PER I-PER B-PER O B-LOC", Scheme.IOB2),
        ("B-PER I-PER O I-LOC", Scheme.IOB2),  # neither: I-LOC is a mistake in the more frequent of the two
        ("O O", Scheme.IOB2),
    ],
)
def test_tags_tell_iob1_and_iob2_apart(tags, scheme):
    labels = labels_of(Scheme.IOB2)
    assert scheme_of_tags(labels, word_tags([tags.split()], labels)) is scheme


@pytest.mark.parametrize("scheme", [Scheme.IO, Scheme.BIOES])
def test_tags_of_other_schemes_are_told_by_their_labels(scheme):
    labels = labels_of(scheme)
    assert scheme_of_tags(labels, word_tags(random_tags(labels, 5, seed=5), labels)) is scheme


def test_a_tag_that_is_not_known_belongs_to_no_entity():
    table = tag_table(("B-X", "I-X"))
    prefix, kind = table.of(np.array([0, -1, 1]))
    firsts, lasts = default_spans(prefix, kind, first_units(np.array([0, 3])))
    assert (firsts.tolist(), lasts.tolist()) == ([0, 2], [0, 2])
