from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report, f1_score, precision_score, recall_score
from seqeval.scheme import IOB2, IOBES
from tagged import TYPES, changed, labels_of, outputs_of, random_tags, word_tags

from edgeroberta import metrics
from edgeroberta.metrics.agreement import agrees
from edgeroberta.tasks import Outputs, Problem, Scheme, Task, WordTags
from edgeroberta.tasks.tokens import places

LABELS = labels_of(Scheme.IOB2)
TASK = Task(Problem.TOKENS, LABELS)


def scores(said, true, labels=LABELS):
    return metrics.all_metrics(
        Task(Problem.TOKENS, labels), outputs_of(said, labels), word_tags(true, labels)
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scheme", Scheme)
def test_the_metrics_are_those_of_seqeval(scheme):
    labels = labels_of(scheme)
    readers = {Scheme.IOB2: IOB2, Scheme.BIOES: IOBES}
    for seed in range(100):
        true = random_tags(labels, 5, seed)
        said = changed(true, labels, seed)
        found = scores(said, true, labels)
        assert found["f1"] == pytest.approx(f1_score(true, said))
        assert found["precision"] == pytest.approx(precision_score(true, said))
        assert found["recall"] == pytest.approx(recall_score(true, said))
        assert found["macro_f1"] == pytest.approx(f1_score(true, said, average="macro"))
        for kind, each in classification_report(true, said, output_dict=True).items():
            if kind in TYPES:
                assert found[f"precision[{kind}]"] == pytest.approx(each["precision"])
                assert found[f"recall[{kind}]"] == pytest.approx(each["recall"])
                assert found[f"f1[{kind}]"] == pytest.approx(each["f1-score"])
        if scheme in readers:
            strict = f1_score(true, said, mode="strict", scheme=readers[scheme])
            assert found["f1_strict"] == pytest.approx(strict)


WORDS = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=6),
    min_size=1,
    max_size=9,
)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sentences=st.lists(WORDS, min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_f1_of_words_that_are_joined_by_spaces_is_that_of_their_tags(tokenizer_folder, sentences, seed):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    draw = np.random.default_rng(seed)
    rows, spans, true, said, ids = [], [], [], [], []
    for words in sentences:
        found = tokenizer.encode(" ".join(words))
        spans.append(places(" ".join(words), found.offsets, found.special_tokens_mask))
        wanted, given_ids = (draw.integers(0, len(LABELS), len(words)) for _ in range(2))
        values = draw.normal(size=(len(found.ids), len(LABELS)))
        starts = np.cumsum([0, *(len(word) + 1 for word in words)])
        for start, tag in zip(starts[:-1], given_ids, strict=True):
            # The first token of the word; what the model says of the others makes no difference.
            values[np.flatnonzero((spans[-1][:, 0] == start) & (spans[-1][:, 2] >= 0))[0], tag] = 9
        rows.append(values.astype(np.float32))
        true.append([LABELS[tag] for tag in wanted])
        said.append([LABELS[tag] for tag in given_ids])
        ids.append((wanted, np.stack([starts[:-1], starts[1:] - 1, np.arange(len(words))], axis=1)))
    tags = WordTags.pack(*zip(*ids, strict=True))
    found = metrics.all_metrics(TASK, Outputs.pack(rows, spans), tags)
    assert found["f1"] == pytest.approx(f1_score(true, said))
    assert found["f1_strict"] == pytest.approx(f1_score(true, said, mode="strict", scheme=IOB2))


def test_strict_can_be_higher_than_the_default():
    found = scores([["B-PER", "I-LOC"]], [["B-PER", "O"]])
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["f1_strict"] == 1.0


def test_entities_that_begin_with_i_do_not_count_in_strict_mode():
    tags = [["I-PER", "I-PER", "O", "I-LOC"]]
    found = scores(tags, tags)
    assert (found["f1"], found["f1_strict"]) == (1.0, 0.0)


def test_where_there_is_nothing_all_is_zero():
    found = scores([["O", "O"]], [["O", "O"]])
    assert found == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "f1_strict": 0.0, "macro_f1": 0.0}


def test_outputs_without_places_are_a_word_a_unit():
    tags = [["B-PER", "I-PER", "O"], ["B-LOC"]]
    known = outputs_of(tags, LABELS)
    (first, second) = TASK.decide(Outputs(known.values, known.offsets))
    assert first.entities == ((0, 0, 2),)
    assert second.entities == ((1, 0, 1),)


def tokens(*parts):
    """Outputs of one text: label, start, end and word of each token, ``None`` for special ones."""
    values, where = [], []
    for part in (None, *parts, None):
        label, *place = part or ("O", 0, 0, -1)
        values.append(5 * np.eye(len(LABELS), dtype=np.float32)[LABELS.index(label)])
        where.append(place)
    return Outputs.pack([np.array(values)], [np.array(where, np.int64)])


def test_the_first_token_of_a_word_gives_it_its_label():
    known = tokens(("B-PER", 0, 3, 0), ("I-LOC", 3, 5, 0), ("O", 6, 8, 1), ("B-LOC", 8, 9, 1))
    assert TASK.decide(known)[0].entities == ((0, 0, 5),)
    simple = Task(Problem.TOKENS, LABELS, aggregation="simple")
    assert simple.decide(known)[0].entities == ((0, 0, 3), (1, 3, 5), (1, 8, 9))


def test_tokens_of_one_character_are_one_word_where_entities_are_counted():
    # The two bytes of a letter after a space, each with the letter's place.
    text, spans = "a é", [(0, 1), (2, 3), (2, 3)]
    where = places(text, spans, [0, 0, 0])
    assert where[:, 2].tolist() == [0, 1, 2]  # as transformers' pipeline has it
    known = tokens(("O", *where[0]), ("B-PER", *where[1]), ("O", *where[2]))
    assert TASK.decide(known)[0].entities == ((0, 2, 3),)


@pytest.mark.parametrize("aggregation", ["simple", "first", "average", "max"])
def test_entities_that_are_counted_are_those_that_a_device_finds(aggregation):
    task = Task(Problem.TOKENS, LABELS, aggregation=aggregation)
    draw = np.random.default_rng(0)
    text = "one two three four five six seven"
    words = [(i, i + len(word)) for word in text.split() for i in [text.index(word)]]
    pieces = [part for start, end in words for part in ((start, start + 2), (start + 2, end))]
    where = places(text, [(0, 0), *pieces, (0, 0)], [1, *[0] * len(pieces), 1])
    values = draw.normal(size=(200, len(where), len(LABELS))).astype(np.float32)
    counted = task.decide(Outputs.pack(list(values), [where] * 200))
    kinds = dict(enumerate(("PER", "LOC", "E-MAIL")))
    for row, answer in zip(values, counted, strict=True):
        found = task.kind.interpret(task, row, where, text, truncated=False).entities
        assert [(each.label, each.start, each.end) for each in found] == [
            (kinds[kind], start, end) for kind, start, end in answer.entities
        ]


def test_answers_agree_where_the_entities_are_the_same():
    one = [["B-PER", "I-PER", "O"], ["B-LOC", "O"], ["O"]]
    two = [["I-PER", "I-PER", "O"], ["B-LOC", "I-LOC"], ["O"]]
    both = [outputs_of(each, LABELS) for each in (one, two)]
    assert agrees(TASK, *both).tolist() == [True, False, True]


def test_what_there_is_to_lose_are_texts_with_a_right_entity():
    said = TASK.decide(outputs_of([["B-PER", "O"], ["B-LOC", "O"], ["O", "O"]], LABELS))
    true = TASK.truth(word_tags([["B-PER", "O"], ["O", "B-LOC"], ["O", "O"]], LABELS))
    kept, lost, truth = TASK.kind.lost(TASK, said, true)
    assert (len(kept), len(lost), len(truth)) == (1, 1, 1)
    assert kept[0] == truth[0] == said[0]
    assert lost[0].entities == lost[0].strict == ()
    assert len(TASK.kind.lost(TASK, said[1:], true[1:])[0]) == 2  # none is right: all of them


def test_recall_counts_each_type():
    said = TASK.decide(outputs_of([["B-PER", "B-PER", "B-LOC"], ["O"]], LABELS))
    true = TASK.truth(word_tags([["B-PER", "O", "B-PER"], ["B-LOC"]], LABELS))
    labels, counts = TASK.kind.recall(TASK)
    assert labels == TYPES
    assert counts(said, true).tolist() == [[1, 0, 0, 2, 0, 0], [0, 0, 0, 0, 1, 0]]


def test_a_loss_of_the_gate_has_an_interval():
    true = random_tags(LABELS, 300, seed=1)
    full, ours = (outputs_of(changed(true, LABELS, seed), LABELS) for seed in (2, 3))
    for metric in TASK.metrics:
        found = metrics.drop_interval(
            TASK, full, ours, word_tags(true, LABELS), metrics.BootstrapOptions(), metric=metric
        )
        assert found.low < found.mean < found.high
    same = metrics.agreement_interval(TASK, full, full, metrics.BootstrapOptions())
    assert same.mean == 1.0 > same.low


@pytest.mark.parametrize("types", [("PER",), TYPES])
def test_labels_that_fit_the_answers_are_told_from_those_of_other_rows(types):
    from edgeroberta.evaluation.soundness import association

    labels = labels_of(Scheme.IOB2, types)
    task = Task(Problem.TOKENS, labels)
    sentences = random_tags(labels, 200, seed=4)
    answers = task.decide(outputs_of(changed(sentences, labels, 5), labels))
    true = task.truth(word_tags(sentences, labels))
    assert association(*task.kind.indicators(task, answers, true)) > 5
    assert abs(association(*task.kind.indicators(task, answers, np.roll(true, 7)))) < 3


def test_indicators_of_no_text_and_of_texts_without_entities_are_empty():
    nothing = TASK.truth(word_tags([["O"], ["O"]], LABELS))
    for rows in (nothing, nothing[:0]):
        said, known = TASK.kind.indicators(TASK, rows, rows)
        assert said.shape == known.shape == (0, len(TYPES))


def test_the_most_telling_change_is_where_the_baseline_was_surest():
    full = outputs_of([["B-PER", "O"], ["B-PER", "O"], ["O", "O"]], LABELS)
    ours = outputs_of([["B-PER", "O"], ["B-LOC", "O"], ["O", "B-LOC"]], LABELS)
    full.values[full.offsets[1]] *= 2
    assert TASK.kind.sureness(TASK, full, ours).tolist() == [0.0, 10.0, 5.0]


def test_an_answer_is_written_with_the_words_or_their_places():
    answer = TASK.truth(word_tags([["B-PER", "I-PER", "B-LOC"]], LABELS))[0]
    assert TASK.kind.named(TASK, answer) == "PER: 0-3, LOC: 4-5"
    assert TASK.kind.named(TASK, answer, "a b c") == "PER: a b, LOC: c"
    many, none = TASK.truth(word_tags([["B-PER"] * 9, ["O"]], LABELS))
    assert TASK.kind.named(TASK, many, "a b c d e f g h i").endswith("PER: f, …")
    assert TASK.kind.named(TASK, none) == "nothing"


def test_answers_are_chosen_as_an_array_is():
    tags = word_tags([["B-PER"], ["O"], ["B-LOC"]], LABELS)
    chosen = TASK.truth(tags[[2, 0]])
    assert [answer.entities for answer in chosen] == [((1, 0, 1),), ((0, 0, 1),)]
    assert isinstance(tags[:1], WordTags)


def test_words_begin_at_spaces_and_at_unknown_tokens():
    text, spans = " ab c?d", [(0, 0), (1, 2), (2, 3), (4, 5), (5, 6), (6, 7), (0, 0)]
    special = [1, 0, 0, 0, 0, 0, 1]
    assert places(text, spans, special)[:, 2].tolist() == [-1, 0, 0, 1, 1, 1, -1]
    assert places(text, spans, special, unknown=[4])[:, 2].tolist() == [-1, 0, 0, 1, 2, 2, -1]
    assert places("", [], []).shape == (0, 3)
