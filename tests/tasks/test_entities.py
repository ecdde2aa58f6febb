from __future__ import annotations

import numpy as np
import pytest
from conftest import SIZES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tagged import labels_of

from edgeroberta.errors import EngineError
from edgeroberta.runtime.encoding import WordMarks
from edgeroberta.tasks import AGGREGATIONS, Entity, Outputs, Problem, Scheme, Task
from edgeroberta.tasks.tokens import places

#: With a label that has no prefix, which continues an entity of its type as I- does.
LABELS = (*labels_of(Scheme.IOB2, ("PER", "LOC")), "MISC")
TEXTS = [
    "Angela Merkel lives in Berlin, Germany.",
    "don't-stop (now)! e.g. $3.50/kg",
    "two  spaces   and  more",
    " one before and one after ",
    "\nlines\r\nand\ttabs\n",
    "José Müller from Łódź",
    "combining e\u0301 and x\u0301\u0302",
    "عبد الله في القاهرة",
    "ＦＵＬＬ　ｗｉｄｔｈ 日本語 の テキスト",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 x",
    "小明在上海买了iPhone15，花了６９９９元；北京ＡＢ很好看!unbelievable",
    "nul\x00 in \x00 it",
    "<unk> and<unk> <mask>x</s>y",
    "\u00a0no break",
    "",
    "   ",
]
#: Strings that a tokenizer takes: no halves of surrogate pairs.
STRINGS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n\x00e\u0301\u05d0\uff21"))


@pytest.fixture(scope="module", params=["roberta", "xlm-roberta", "bert"])
def pipeline(request, tokenizer_folder, xlmr_tokenizer_folder, bert_tokenizer_folder):
    """The pipeline of transformers for a tiny seeded model."""
    import torch
    from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer, pipeline

    config = AutoConfig.for_model(
        request.param, **{**SIZES, "vocab_size": 600}, id2label=dict(enumerate(LABELS))
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForTokenClassification.from_config(config).eval()
    folder = {"roberta": tokenizer_folder, "bert": bert_tokenizer_folder}.get(
        request.param, xlmr_tokenizer_folder
    )
    return pipeline("token-classification", model=model, tokenizer=AutoTokenizer.from_pretrained(folder))


def misread(tokenizer, text, spans, ids):
    """Tell whether a token is the inside of a word to the pipeline alone, or to the tokenizer alone.

    Of WordPiece the pipeline takes those for it that are not as long as what they stand for, as those are not
    which lost an accent of its own.
    """
    prefix = getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None)
    if not prefix:
        return False
    return any(
        (len(piece) != stop - start) is not piece.startswith(prefix)
        for piece, (start, stop) in zip(tokenizer.convert_ids_to_tokens(ids), spans, strict=True)
        if stop > start and piece != tokenizer.unk_token
    )


def compare(pipeline, text, seed=None):
    """Hold entities to the pipeline's, of the model's logits or, with a seed, of some by chance."""
    import torch
    from transformers.pipelines.token_classification import AggregationStrategy

    (inputs,) = pipeline.preprocess(text, is_split_into_words=False)
    given = pipeline.forward(inputs)
    if seed is not None:
        draw = np.random.default_rng(seed)
        given["logits"] = torch.tensor(draw.normal(0, 2, given["logits"].shape).astype(np.float32))
    spans, ids = given["offset_mapping"][0].tolist(), given["input_ids"][0].tolist()
    if misread(pipeline.tokenizer, text, spans, ids):
        return
    marks = WordMarks.of(pipeline.tokenizer.backend_tokenizer)
    where = marks.places(text, spans, given["special_tokens_mask"][0].tolist(), ids)
    for aggregation in AGGREGATIONS:
        task = Task(Problem.TOKENS, LABELS, aggregation=aggregation)
        wanted = pipeline.postprocess([dict(given)], aggregation_strategy=AggregationStrategy(aggregation))
        logits = given["logits"][0].numpy()
        found = task.kind.interpret(task, logits, where, text, truncated=False).entities
        wanted = [each for each in wanted if each["start"] < each["end"]]
        assert [(each.label, each.start, each.end) for each in found] == [
            (each["entity_group"], each["start"], each["end"]) for each in wanted
        ], (aggregation, text)
        np.testing.assert_allclose(
            [each.score for each in found], [each["score"] for each in wanted], atol=1e-6
        )
        assert all(each.text == text[each.start : each.end] for each in found)


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("text", TEXTS)
def test_entities_are_those_of_the_pipeline_of_transformers(pipeline, text):
    compare(pipeline, text)
    for seed in range(5):
        compare(pipeline, text, seed)


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=STRINGS, seed=st.integers(0, 1000))
def test_entities_of_any_text_are_those_of_the_pipeline(pipeline, text, seed):
    compare(pipeline, text, seed)


@pytest.fixture(scope="module")
def encode(tokenizer_folder):
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json")).encode


@settings(max_examples=2000, deadline=None)
@given(text=STRINGS, seed=st.integers(0, 1000), aggregation=st.sampled_from(list(AGGREGATIONS)))
def test_what_is_returned_is_what_stands_in_the_text_at_its_place(encode, text, seed, aggregation):
    found = encode(text)
    where = places(text, found.offsets, found.special_tokens_mask)
    task = Task(Problem.TOKENS, LABELS, aggregation=aggregation)
    logits = np.random.default_rng(seed).normal(size=(len(where), len(LABELS))).astype(np.float32)
    before = 0
    for each in task.kind.interpret(task, logits, where, text, truncated=False).entities:
        assert 0 <= each.start < each.end <= len(text)
        assert each.text == text[each.start : each.end]
        assert before <= each.start
        assert 0 < each.score <= 1
        before = each.start


def answer(tags, labels, aggregation="first"):
    """Read a text of one letter a word."""
    text = " ".join("abcdefghi"[: len(tags)])
    where = places(text, [(2 * i, 2 * i + 1) for i in range(len(tags))], [0] * len(tags))
    logits = 20 * np.eye(len(labels), dtype=np.float32)[[labels.index(tag) for tag in tags]]
    task = Task(Problem.TOKENS, labels, aggregation=aggregation)
    return task.kind.interpret(task, logits, where, text, truncated=True)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_bioes_is_read_right_where_the_pipeline_cuts_at_each_ending(aggregation):
    labels = labels_of(Scheme.BIOES, ("PER", "LOC"))
    found = answer(["B-PER", "I-PER", "E-PER", "S-PER", "O", "S-LOC", "E-LOC"], labels, aggregation)
    assert [(each.label, each.text) for each in found.entities] == [
        ("PER", "a b c"),
        ("PER", "d"),
        ("LOC", "f"),
        ("LOC", "g"),
    ]
    assert found.truncated


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_space_that_is_a_token_by_itself_is_no_entity(aggregation):
    text = "a b"
    where = places(text, [(0, 1), (2, 2), (2, 3)], [0, 0, 0])
    logits = 20 * np.eye(len(LABELS), dtype=np.float32)[[0, 1, 1]]
    task = Task(Problem.TOKENS, LABELS, aggregation=aggregation)
    found = task.kind.interpret(task, logits, where, text, truncated=False).entities
    assert [(each.start, each.end) for each in found] == [(2, 3)]
    assert task.decide(Outputs.pack([logits], [where]))[0].entities == ((0, 2, 3),)


def test_a_type_with_a_hyphen_keeps_its_name():
    labels = ("O", "E-MAIL", "B-DATE-TIME", "I-DATE-TIME")
    found = answer(["E-MAIL", "E-MAIL", "O", "B-DATE-TIME", "I-DATE-TIME"], labels)
    assert [(each.label, each.text) for each in found.entities] == [("E-MAIL", "a b"), ("DATE-TIME", "d e")]


def test_an_entity_says_where_it_stands_and_how_sure_it_is():
    (found,) = answer(["O", "B-PER", "I-PER"], LABELS).entities
    assert found == Entity("PER", 2, 5, "b c", pytest.approx(1.0))


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_text_of_special_tokens_alone_has_no_entities(aggregation):
    task = Task(Problem.TOKENS, LABELS, aggregation=aggregation)
    where = places("", [(0, 0)] * 2, [1, 1])
    for tokens in (2, 0):
        logits = np.ones((tokens, len(LABELS)), np.float32)
        assert task.kind.interpret(task, logits, where[:tokens], "", truncated=False).entities == ()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_an_error_of_the_engine(wrong):
    task = Task(Problem.TOKENS, LABELS)
    logits = np.zeros((1, len(LABELS)), np.float32)
    logits[0, 3] = wrong
    with pytest.raises(EngineError, match="not finite"):
        task.kind.interpret(task, logits, places("a", [(0, 1)], [0]), "a", truncated=False)


def test_numbers_whose_sum_is_not_finite_are_read():
    task = Task(Problem.TOKENS, LABELS)
    logits = np.full((1, len(LABELS)), 3e38, np.float32)
    with np.errstate(over="ignore"):
        assert task.kind.interpret(task, logits, places("a", [(0, 1)], [0]), "a", truncated=False)


def test_tokens_without_places_are_refused():
    task = Task(Problem.TOKENS, LABELS)
    with pytest.raises(EngineError, match="which characters"):
        task.kind.interpret(task, np.zeros((1, len(LABELS)), np.float32), None, "a", truncated=False)


def test_pieces_inside_of_words_are_known_by_their_mark_where_the_pipeline_goes_by_length(
    bert_tokenizer_folder,
):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(bert_tokenizer_folder / "tokenizer.json"))
    text = "北京ＡＢ cafe\u0301 la film2023年9月"
    found = tokenizer.encode(text)
    marks = WordMarks.of(tokenizer)
    assert marks.unknown == 4
    words = marks.places(text, found.offsets, found.special_tokens_mask, found.ids)[:, 2].tolist()
    wanted, word = [], -1
    for piece in found.tokens:
        word += not piece.startswith("##") and piece not in ("[CLS]", "[SEP]")
        wanted.append(-1 if piece in ("[CLS]", "[SEP]") else word)
    assert words == wanted
    assert words.count(0) == words.count(1) == 1  # each Chinese character is a word
