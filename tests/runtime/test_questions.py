"""Questions and their contexts: windows, answers, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer

from edgeroberta.errors import UsageError
from edgeroberta.runtime import Runtime, SpanPrediction
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.tasks import Problem

ENGLISH = "The film was shot in Paris, in 1999; it's great, and nobody would believe it. " * 12
CHINESE = "电影《红楼梦》于2023年9月在北京上映，导演是张三。iPhone手机的价格是5999元！" * 8
QUESTION = "Where was the film shot?"


@pytest.fixture(params=["roberta", "xlm-roberta", "bert"])
def folder(request, tokenizer_folder, xlmr_tokenizer_folder, bert_tokenizer_folder):
    return {
        "roberta": tokenizer_folder,
        "xlm-roberta": xlmr_tokenizer_folder,
        "bert": bert_tokenizer_folder,
    }[request.param]


@pytest.fixture(scope="module")
def bundle(make_checkpoint, make_build_context):
    from edgeroberta.stages.build import BuildConfig, build

    checkpoint = make_checkpoint(("LABEL_0", "LABEL_1"), "question_answering", max_position_embeddings=98)
    context = make_build_context(checkpoint, ("onnxruntime", "openvino"), pair=True)
    build(BuildConfig(check=False), context)
    return context.output


@pytest.mark.parametrize("context", [ENGLISH, CHINESE, "short"])
@pytest.mark.parametrize("length", [48, 96, 512])
def test_windows_are_those_that_tokenizers_cuts_with_the_question_whole_in_each(folder, context, length):
    ours = TextTokenizer.open(folder, length, questions=True).encode_one((QUESTION, context))
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
    theirs.enable_truncation(length, stride=ours.overlap, strategy="only_second")
    first = theirs.encode(QUESTION, context)
    parts, windows = [first, *first.overflowing], [ours, *ours.rest]
    assert [one.ids.tolist() for one in windows] == [part.ids for part in parts]
    for part, window in zip(parts, windows, strict=True):
        rows = [row for row, text in enumerate(part.sequence_ids) if text == 1]
        assert window.places[rows, :2].tolist() == [list(part.offsets[row]) for row in rows]
        assert window.places[0, 2] == -2
        assert (window.places[rows, 2] >= 0).all()
        others = np.setdiff1d(np.arange(1, len(part.ids)), rows)
        assert (window.places[others, 2] == -1).all()


def test_pairs_of_which_places_are_asked_for_are_questions_whatever_the_tokenizer_was_opened_for(folder):
    known = TextTokenizer.open(folder, 64, questions=True).encode([(QUESTION, ENGLISH)])
    found = TextTokenizer.open(folder, 64).encode([(QUESTION, ENGLISH)], places=True)
    assert [one.ids.tolist() for one in (found[0], *found[0].rest)] == [
        one.ids.tolist() for one in (known[0], *known[0].rest)
    ]


def test_words_are_the_tokenizers_but_for_scripts_without_spaces(xlmr_tokenizer_folder):
    tokenizer = TextTokenizer.open(xlmr_tokenizer_folder, 512, questions=True)

    def words(context: str) -> list[str]:
        places = tokenizer.encode_one((QUESTION, context)).places
        own = places[places[:, 2] >= 0]
        spans = [own[own[:, 2] == word] for word in np.unique(own[:, 2])]
        return [context[span[0, 0] : span[-1, 1]] for span in spans]

    assert words("it's in Paris, today") == ["it's", "in", "Paris,", "today"]
    assert [word for word in words("iPhone手机 today") if word] == [
        "iPhone",
        "手机",
        "today",
    ]  # unknown: one token


def test_a_question_that_leaves_too_little_room_is_refused_before_it_can_do_harm(folder):
    tokenizer = TextTokenizer.open(folder, 64, questions=True)
    for question in ("why " * 60, "why " * 25):
        with pytest.raises(UsageError, match="leaves room for") as caught:
            tokenizer.encode_one((question, ENGLISH))
        assert caught.value.code == "usage.question-too-long"
    with pytest.raises(UsageError, match="leaves room for") as caught:
        tokenizer.encode([(QUESTION, "short"), ("why " * 60, ENGLISH)])
    assert caught.value.where == "input 1"
    # Where the context fits as well, nothing is wrong with a long question.
    assert not tokenizer.encode_one(("why " * 10, "a b")).rest


def test_windows_never_overlap_by_more_than_half_of_their_context(folder):
    tokenizer = TextTokenizer.open(folder, 64, questions=True, long_text="windows", stride=25)
    for words in range(1, 12):
        found = tokenizer.encode_one(("why " * words, ENGLISH))
        room = int((found.places[:, 2] >= 0).sum())
        assert found.overlap <= room // 2
        context = sum(int((one.places[:, 2] >= 0).sum()) for one in (found, *found.rest))
        assert len(found.rest) < 3 * context / room


def test_a_question_or_a_context_without_a_token_is_refused(bert_tokenizer_folder):
    # BERT passes over characters without width.
    tokenizer = TextTokenizer.open(bert_tokenizer_folder, 32, questions=True)
    for item, code in ((("\u200b", "b"), "usage.question-empty"), (("a", "\u200b"), "usage.context-empty")):
        with pytest.raises(UsageError) as caught:
            tokenizer.encode_one(item)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("item", "code"),
    [(("", "b"), "usage.question-empty"), (("a", " \n"), "usage.context-empty")],
)
def test_an_empty_question_or_context_is_refused(folder, item, code):
    with pytest.raises(UsageError) as caught:
        TextTokenizer.open(folder, 64, questions=True).encode_one(item)
    assert caught.value.code == code


def test_long_contexts_are_cut_or_refused_where_somebody_says_so(folder):
    cut = TextTokenizer.open(folder, 64, questions=True, long_text="truncate")
    found = cut.encode_one((QUESTION, ENGLISH))
    assert (found.truncated, found.rest, len(found.ids)) == (True, (), 64)
    with pytest.raises(UsageError) as caught:
        TextTokenizer.open(folder, 64, questions=True, long_text="refuse").encode_one((QUESTION, ENGLISH))
    assert caught.value.code == "usage.text-too-long"


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_bundle_answers_questions_in_windows_however_it_is_asked(bundle, engine):
    with Runtime.open(bundle, engine=engine, threads=1, top_k=3) as runtime:
        assert runtime.task.problem is Problem.SPANS
        items = [
            (QUESTION, ENGLISH),
            ("谁是导演？", CHINESE),
            ("Who?", "Anna did."),
            (QUESTION, ENGLISH[:60]),
        ]
        found = runtime(items)
        for (question, context), one in zip(items, found, strict=True):
            assert isinstance(one, SpanPrediction)
            assert one.answer == context[one.start : one.end]
            assert len({each.text.lower() for each in one.answers}) == len(one.answers) <= 3
            assert 0 <= one.no_answer <= 1
            alone = runtime(question=question, context=context)
            assert (alone.start, alone.end, alone.windows) == (one.start, one.end, one.windows)
            assert runtime((question, context)).answer == one.answer
        assert found[0].windows > 2
        assert found[2].windows == 1
        both = runtime(question=["Who?", "Where?"], context="Anna did.")
        assert [one.answer for one in both] == [
            runtime(("Who?", "Anna did.")).answer,
            runtime(("Where?", "Anna did.")).answer,
        ]


def test_options_of_answers_win_over_the_bundle(bundle):
    with Runtime.open(bundle, engine="onnxruntime", no_answer=-2.0) as runtime:
        nothing = runtime(question=QUESTION, context=ENGLISH)
        assert (nothing.answer, nothing.start, nothing.end) == (None, None, None)
        assert nothing.score == nothing.no_answer
    with Runtime.open(bundle, engine="onnxruntime", no_answer=True) as runtime:
        assert runtime.task.no_answer == 0.0
    with Runtime.open(bundle, engine="onnxruntime", no_answer=False, max_answer_tokens=1) as runtime:
        assert runtime.task.no_answer is None
        assert len(runtime(question=QUESTION, context=ENGLISH).answer.split()) == 1
    for wrong in (
        {"top_k": 0},
        {"no_answer": "yes"},
        {"no_answer": float("nan")},
        {"max_answer_tokens": 1.5},
    ):
        with pytest.raises(UsageError):
            Runtime.open(bundle, **wrong)


def test_questions_without_contexts_and_the_reverse_are_refused():
    runtime = Runtime.fake(problem=Problem.SPANS)
    for arguments in (
        {"question": "a"},
        {"context": "b"},
        {"question": "a", "context": ["b"]},
        {"question": ["a", "b"], "context": ["c"]},
    ):
        with pytest.raises(UsageError):
            runtime(**arguments)
    with pytest.raises(UsageError, match="not both"):
        runtime(("a", "b"), question="a", context="b")
    with pytest.raises(UsageError, match="a question and its context"):
        runtime("a")


def test_a_fake_answers_from_its_table():
    asked = ("Where?", "We met in Paris.")
    runtime = Runtime.fake(problem=Problem.SPANS, answers={asked: "Paris", ("Who?", "Nobody."): None})
    found = runtime(asked)
    assert (found.answer, found.start, found.end) == ("Paris", 10, 15)
    assert found.score > 0.9
    assert runtime(("Who?", "Nobody.")).answer is None
    assert runtime(question="Why?", context="We met in Paris.").answer is None
    with pytest.raises(UsageError, match="is not in its context"):
        Runtime.fake(problem=Problem.SPANS, answers={asked: "Rome"})
