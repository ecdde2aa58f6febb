from __future__ import annotations

import numpy as np
import pytest

from edgeroberta import metrics
from edgeroberta.errors import CheckpointError, EngineError
from edgeroberta.metrics.agreement import agrees
from edgeroberta.tasks import AnswerSpans, Outputs, Problem, Task
from edgeroberta.tasks.span_search import FIRST, OTHER
from edgeroberta.tasks.spans import KnownAnswers

TASK = Task(Problem.SPANS, ("start", "end"), pair=True)
TWO = Task(Problem.SPANS, ("start", "end"), pair=True, no_answer=0.0)
CONTEXT = "The tower was built by Gustave Eiffel in Paris ."


def words(context):
    """Start and end of each word of a context."""
    starts = [i for i, c in enumerate(context) if c != " " and (i == 0 or context[i - 1] == " ")]
    return [(start, start + len(context[start:].split(" ")[0])) for start in starts]


def outputs_of(asked):
    """Outputs that say (start, end) of each context, or None for no answer."""
    values, places = [], []
    for context, said in asked:
        spans = words(context)
        rows = [(0, 0, FIRST), (0, 0, OTHER), *((*span, i) for i, span in enumerate(spans)), (0, 0, OTHER)]
        logits = np.zeros((len(rows), 2), np.float32)
        first, last = (0, 0)
        if said is not None:
            first = 2 + [span[0] for span in spans].index(said[0])
            last = 2 + [span[1] for span in spans].index(said[1])
        logits[first, 0] = logits[last, 1] = 9
        values.append(logits)
        places.append(np.array(rows, np.int64))
    return Outputs.pack(values, places)


def spans_of(context, *texts):
    return [(context.index(text), context.index(text) + len(text)) for text in texts]


def labels_of(known):
    """True answers: of each question its context and the answers' texts."""
    spans = [np.array(spans_of(context, *texts), np.int64).reshape(-1, 2) for context, texts in known]
    contexts = tuple(context for context, _ in known)
    packed = AnswerSpans.pack(spans)
    return AnswerSpans(packed.values, packed.offsets, contexts=contexts, documents=contexts)


def test_answers_are_the_characters_of_the_best_span_or_none():
    span = spans_of(CONTEXT, "Gustave Eiffel")[0]
    outputs = outputs_of([(CONTEXT, span), (CONTEXT, None)])
    assert TWO.decide(outputs).tolist() == [span, None]
    assert TASK.decide(outputs)[1] is not None  # where each question has an answer


def test_what_is_measured_is_what_a_user_reads():
    for task in (TASK, TWO):
        outputs = outputs_of([(CONTEXT, each) for each in (*words(CONTEXT), None)])
        for row, decided in enumerate(task.decide(outputs)):
            told = task.kind.interpret(task, *outputs.part(row), ("Who?", CONTEXT), truncated=False)
            assert (None if told.answer is None else (told.start, told.end)) == decided
            assert told.answer == (None if decided is None else CONTEXT[slice(*decided)])
            assert told.score == (told.no_answer if decided is None else told.answers[0].score)


def test_as_many_answers_are_told_as_the_task_says():
    task = Task(Problem.SPANS, ("start", "end"), pair=True, top_k=4, max_answer_tokens=1)
    values, places = outputs_of([(CONTEXT, spans_of(CONTEXT, "Paris")[0])]).part(0)
    told = task.kind.interpret(task, values, places, ("Where?", CONTEXT), truncated=True)
    assert told.answer == told.answers[0].text == "Paris"
    assert told.truncated
    assert len(told.answers) == 4
    assert all(" " not in each.text for each in told.answers)


def test_metrics_are_the_means_over_questions():
    known = labels_of([(CONTEXT, ["Gustave Eiffel"]), (CONTEXT, ["Paris"]), (CONTEXT, [])])
    said = [spans_of(CONTEXT, "by Gustave Eiffel")[0], spans_of(CONTEXT, "Paris")[0], None]
    found = metrics.all_metrics(TWO, outputs_of([(CONTEXT, each) for each in said]), known)
    assert found["f1"] == pytest.approx((0.8 + 1 + 1) / 3)
    assert found["exact_match"] == pytest.approx(2 / 3)
    assert found["f1[HasAns]"] == pytest.approx(0.9)
    assert found["exact_match[HasAns]"] == pytest.approx(0.5)
    assert found["f1[NoAns]"] == found["exact_match[NoAns]"] == 1


def test_chinese_is_measured_by_its_characters_where_that_is_asked_for():
    context = "《红楼梦》 是 小说"
    known = labels_of([(context, ["《红楼梦》"]), (context, ["小说"])])
    said = [(0, 5), (6, 7)]
    known.values[0] = 1, 4  # 红楼梦
    found = metrics.all_metrics(TASK, outputs_of([(context, each) for each in said]), known)
    assert (found["f1"], found["exact_match"]) == (0, 0)
    assert (found["cmrc_f1"], found["cmrc_exact_match"]) == (0.5, 0.5)
    judged = TASK.judge_by("cmrc_f1")
    assert next(iter(metrics.all_metrics(judged, outputs_of([(context, None)]), known[:1]))) == "cmrc_f1"
    none = labels_of([(context, ["小说"]), (context, [])])
    assert {"cmrc_f1[HasAns]", "cmrc_exact_match[NoAns]"} <= metrics.all_metrics(
        judged, outputs_of([(context, None)] * 2), none
    ).keys()


def test_two_models_agree_where_they_say_the_same_characters():
    paris, eiffel = spans_of(CONTEXT, "Paris", "Eiffel")
    first = outputs_of([(CONTEXT, each) for each in (paris, paris, None, None)])
    second = outputs_of([(CONTEXT, each) for each in (paris, eiffel, None, paris)])
    assert agrees(TWO, first, second).tolist() == [True, False, True, False]


def test_what_a_model_may_lose_is_each_answer_with_something_right_in_it():
    known = TWO.truth(labels_of([(CONTEXT, ["Paris"]), (CONTEXT, []), (CONTEXT, ["Eiffel"])]))
    said = TWO.decide(outputs_of([(CONTEXT, each) for each in (*spans_of(CONTEXT, "Paris"), None, None)]))
    good, bad, truth = TWO.kind.lost(TWO, said, known)
    assert len(truth) == 2
    for name, metric in TWO.metrics.items():
        assert metric.value(metric.statistics(good, truth, TWO).sum(axis=0)) == 1, name
        assert metric.value(metric.statistics(bad, truth, TWO).sum(axis=0)) == 0, name


def test_recall_tells_answered_from_unanswered_questions():
    known = labels_of([(CONTEXT, ["Paris"]), (CONTEXT, ["Eiffel"]), (CONTEXT, [])])
    said = TWO.decide(outputs_of([(CONTEXT, each) for each in (*spans_of(CONTEXT, "Eiffel"), None, None)]))
    names, count = TWO.kind.recall(TWO)
    assert names == ("HasAns", "NoAns")
    assert count(said, TWO.truth(known)).sum(axis=0).tolist() == [1, 1, 2, 1]
    assert TASK.kind.recall(TASK) is None


def test_no_answer_to_every_question_is_the_constant_answer():
    known = labels_of([(CONTEXT, ["Paris"]), (CONTEXT, [])])
    row, named = TWO.kind.constant(TWO, TWO.truth(known))
    always = np.tile(row, (2, 1))
    assert named == "nothing"
    assert metrics.score(TWO, always, known) == 0.5
    assert TWO.kind.constant(TWO, TWO.truth(known[:1])) is None


def test_answers_are_named_by_their_place_and_by_their_text_only_where_it_may_be_shown():
    spans = spans_of(CONTEXT, "Paris", "Eiffel", "tower", "built")
    known = KnownAnswers(CONTEXT, tuple(spans))
    named = TWO.kind.named
    assert named(TWO, spans[0]) == f"{spans[0][0]}-{spans[0][1]}"
    assert named(TWO, spans[0], ("Where?", CONTEXT)) == "'Paris'"
    assert named(TWO, known, ("Where?", CONTEXT)) == "'Paris' or 'Eiffel' or 'tower' or …"
    assert CONTEXT[4:9] not in named(TWO, known)
    assert named(TWO, None) == named(TWO, KnownAnswers(CONTEXT, ())) == "no answer"


def test_changed_answers_are_shown_by_how_sure_the_baseline_was():
    outputs = outputs_of([(CONTEXT, each) for each in (spans_of(CONTEXT, "Paris")[0], None)])
    sure = TWO.kind.sureness(TWO, outputs, outputs)
    outputs.values[:] /= 3
    less = TWO.kind.sureness(TWO, outputs, outputs)
    assert (sure > less).all()
    assert (less > 0).all()


def test_windows_become_one_entry_in_which_each_is_found_again():
    paris = spans_of(CONTEXT, "Paris")[0]
    windows = outputs_of([(CONTEXT, None), (CONTEXT, paris)])
    merged = TWO.kind.merge(TWO, windows, 3)
    assert len(merged) == 1
    assert (merged.places[:, 2] == FIRST).sum() == 2
    assert TWO.decide(merged).tolist() == [paris]


def test_outputs_are_refused_that_are_not_finite_or_of_no_place():
    outputs = outputs_of([(CONTEXT, None)])
    with pytest.raises(EngineError, match="which characters"):
        TWO.decide(Outputs(outputs.values, outputs.offsets))
    outputs.values[3] = np.nan
    with pytest.raises(EngineError, match="not finite"):
        TWO.decide(outputs)


def test_questions_are_chosen_with_their_contexts():
    known = labels_of([("a b", ["a"]), ("c d", []), ("e f", ["e", "f"])])
    chosen = known[[2, 0]]
    assert chosen.contexts == chosen.documents == ("e f", "a b")
    assert TWO.truth(chosen)[0].texts == ["e", "f"]
    assert [len(known[np.array([True, True, False])]), known[1:].contexts] == [2, ("c d", "e f")]


@pytest.mark.parametrize("family", ["Roberta", "XLMRoberta", "Camembert", "Bert"])
def test_a_model_for_question_answering_is_one_by_its_class(family):
    config = {
        "architectures": [f"{family}ForQuestionAnswering"],
        "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
    }
    assert Task.from_config(config) == TASK
    assert Task.from_json({**TASK.to_json()}) == TASK


@pytest.mark.parametrize(
    "config", [{"num_labels": 3}, {"num_labels": 1}, {"id2label": {"0": "a", "1": "b", "2": "c"}}]
)
def test_a_model_for_question_answering_with_other_than_two_outputs_is_refused(config):
    with pytest.raises(CheckpointError, match="two outputs") as caught:
        Task.from_config({"architectures": ["BertForQuestionAnswering"], **config})
    assert caught.value.where == "config.json: id2label"


def test_what_was_fitted_is_kept():
    task = Task(Problem.SPANS, ("start", "end"), pair=True, no_answer=-0.25, max_answer_tokens=40, top_k=3)
    assert Task.from_json(task.to_json()) == task
