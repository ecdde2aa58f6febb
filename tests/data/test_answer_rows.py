from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from edgeroberta.data import DataSpec, answer_rows, infer_task, judging, load_heldout, load_splits
from edgeroberta.errors import DataError, EdgeRobertaError, UsageError
from edgeroberta.tasks import Problem, Task

TASK = Task(Problem.SPANS, ("start", "end"), pair=True)
CONTEXT = "The tower was built by Gustave Eiffel in Paris, and Paris is proud of it."
EMOJI = "🎉🎉 The café 東京 opened in Paris."
CHINESE = "《红楼梦》是中国古代小说，写于清代，作者是曹雪芹。"


def answer(context, text, start=None):
    return {"text": text, "answer_start": context.index(text) if start is None else start}


def question(context, *texts, number=0, **fields):
    return {
        "id": f"q{number}",
        "question": f"What is asked {number}?",
        "answers": [answer(context, each) for each in texts],
        **fields,
    }


def squad(*articles, version="1.1"):
    return {"version": version, "data": list(articles)}


def article(title, *paragraphs):
    return {
        "title": title,
        "paragraphs": [{"context": context, "qas": list(questions)} for context, *questions in paragraphs],
    }


def many(count, each=2):
    """So many articles of two paragraphs with as many questions each."""
    made, number = [], 0
    for place in range(count):
        paragraphs = []
        for part in range(2):
            context = f"In article {place} part {part} there is one answer and another answer."
            found = [question(context, "one answer", number=number + k) for k in range(each)]
            number += each
            paragraphs.append((context, *found))
        made.append(article(f"Title {place}", *paragraphs))
    return squad(*made)


@pytest.fixture
def write(tmp_path):
    def write(document, name="x.json", *, indent=None):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        if name.endswith(".jsonl"):
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in document)
        else:
            text = document if isinstance(document, str) else json.dumps(document, indent=indent)
        file.write_text(text, encoding="utf-8")
        return str(file)

    return write


def read(file, **fields):
    return load_heldout(DataSpec("-", eval_data=file, **fields), TASK)


def texts_of(rows):
    return [each.texts for each in TASK.truth(rows.labels)]


def refused(file, **fields):
    with pytest.raises(DataError) as caught:
        read(file, **fields)
    return caught.value


@pytest.mark.parametrize("indent", [None, 1])
def test_the_json_of_squad_is_read_on_one_line_or_many(write, indent):
    document = squad(
        article(
            "A", (CONTEXT, question(CONTEXT, "Paris", "Gustave Eiffel"), question(CONTEXT, "Paris", number=1))
        ),
        article("B", (EMOJI, question(EMOJI, "東京", number=2))),
    )
    rows = read(write(document, indent=indent))
    assert texts_of(rows) == [["Paris", "Gustave Eiffel"], ["Paris"], ["東京"]]
    assert rows.pairs == rows.labels.contexts == (CONTEXT, CONTEXT, EMOJI)
    assert rows.labels.documents == ("A", "A", "B")
    assert infer_task(DataSpec(write(document, indent=indent))) == TASK


def test_answers_that_several_people_gave_alike_are_one(write):
    rows = read(write(squad(article("A", (CONTEXT, question(CONTEXT, "Paris", "Paris", "Eiffel"))))))
    assert texts_of(rows) == [["Paris", "Eiffel"]]


def test_questions_of_squad_2_may_have_no_answer(write):
    none = question(CONTEXT, is_impossible=True, plausible_answers=[answer(CONTEXT, "Paris")])
    has = question(CONTEXT, "Paris", number=1, is_impossible=False)
    rows = read(write(squad(article("A", (CONTEXT, none, has)), version="v2.0")))
    assert texts_of(rows) == [[], ["Paris"]]


def test_both_layouts_of_cmrc_are_read_alike(write):
    own = [
        {
            "context_id": "DEV_0",
            "context_text": CHINESE,
            "title": "红楼梦",
            "qas": [
                {"query_id": "DEV_0_Q", "query_text": "作者是谁？", "answers": ["曹雪芹", "作者是曹雪芹"]}
            ],
        }
    ]
    like_squad = squad(
        {
            "id": "DEV_0",
            "title": "红楼梦",
            "paragraphs": [
                {
                    "id": "DEV_0",
                    "context": CHINESE,
                    "qas": [
                        {
                            "id": "DEV_0_Q",
                            "question": "作者是谁？",
                            "answers": [answer(CHINESE, "曹雪芹"), answer(CHINESE, "作者是曹雪芹")],
                        }
                    ],
                }
            ],
        },
        version="v1.0",
    )
    first, second = read(write(own)), read(write(like_squad, "y.json"))
    assert first.digest == second.digest
    assert texts_of(first) == [["曹雪芹", "作者是曹雪芹"]]


ROWS = {
    "hub": {"answers": {"text": ["Paris", "Eiffel"], "answer_start": [41, 31]}},
    "squad": {"answers": [{"text": "Paris", "answer_start": 41}, {"text": "Eiffel", "answer_start": 31}]},
    "listed": {"answers": ["Paris", "Eiffel"], "answer_start": [41, 31]},
    "sought": {"answers": ["Paris", "Eiffel"]},
}


@pytest.mark.parametrize("form", ROWS)
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_rows_of_every_layout_and_format_give_the_same_answers(write, tmp_path, form, kind):
    row = {"question": "Where?", "context": CONTEXT, **ROWS[form]}
    if kind == "parquet":
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

        file = str(tmp_path / "x.parquet")
        parquet.write_table(pyarrow.Table.from_pylist([row]), file)
    elif kind == "csv":
        file = str(tmp_path / "x.csv")
        with Path(file).open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, row)
            writer.writeheader()
            writer.writerow(row)
    else:
        file = write([row], "x.jsonl")
    assert texts_of(read(file)) == [["Paris", "Eiffel"]]
    assert infer_task(DataSpec(file)) == TASK


def test_one_answer_a_row_may_stand_in_columns_of_its_own(write):
    lines = (
        f'question,context,answer,answer_start\nWhere?,"{CONTEXT}",Paris,52\nWho?,"{CONTEXT}",Eiffel,31.0\n'
    )
    rows = read(write(lines, "x.csv"))
    assert rows.labels.values.tolist() == [[52, 57], [31, 37]]
    named = lines.replace("question,context,answer,", "q,c,a,")
    assert read(write(named, "y.csv"), text="q", text_pair="c", label="a").digest == rows.digest


def test_an_array_of_numpy_in_a_cell_is_read_as_pandas_writes_it(write):
    cell = "{'text': ['Paris'], 'answer_start': array([41], dtype=int32)}"
    lines = f'question,context,answers\nWhere?,"{CONTEXT}","{cell}"\n'
    assert texts_of(read(write(lines, "x.csv"))) == [["Paris"]]


def test_answers_without_a_start_are_sought_and_it_is_said_where_that_is_not_sure(write):
    rows = [{"question": f"Where {i}?", "context": f"{CONTEXT} {i}", "answers": ["Paris"]} for i in range(40)]
    told = []
    splits = load_splits(DataSpec(write(rows, "x.jsonl")), task=None, tell=told.append)
    assert {tuple(each) for each in splits.train.labels.values.tolist()} == {(41, 46)}
    assert any("40 answers without answer_start stand at several places" in line for line in told)
    assert any("40 questions on 40 contexts" in line for line in told)


def test_a_model_of_questions_reads_answers_that_are_all_the_same(write):
    rows = [{"question": f"Where {i}?", "context": f"{CONTEXT} {i}", "answer": "Paris"} for i in range(40)]
    spec = DataSpec(write(rows, "x.jsonl"))
    splits = load_splits(spec, task=TASK)
    assert {tuple(each) for each in splits.train.labels.values.tolist()} == {(41, 46)}
    rows[7]["answer"] = None
    with pytest.raises(DataError) as caught:
        load_splits(DataSpec(write(rows, "x.jsonl")), task=TASK)
    assert caught.value.where.endswith("x.jsonl:8")
    assert caught.value.code == "data.answers"


def test_a_test_part_whose_answers_are_all_the_same_is_measured_on(write):
    for part in ("train", "test"):
        rows = [
            {"question": f"Where {i}?", "context": f"{CONTEXT} {part} {i}", "answer": "Paris"}
            for i in range(40)
        ]
        file = write(rows, f"{part}.jsonl")
    assert len(load_splits(DataSpec(str(Path(file).parent)), task=TASK).heldout) == 40


def test_labels_beside_a_question_and_a_passage_are_not_taken_for_answers(write):
    rows = [
        {"question": f"is it {i}", "passage": "it is so, yes or no", "answer": bool(i % 2)} for i in range(20)
    ]
    with pytest.raises(EdgeRobertaError):  # BoolQ's column is no label by its name
        infer_task(DataSpec(write(rows, "x.jsonl")))
    task = infer_task(DataSpec(write(rows, "x.jsonl"), text="question", text_pair="passage", label="answer"))
    assert task.problem is Problem.SINGLE_LABEL


def test_articles_are_not_divided_between_the_parts(write):
    splits = load_splits(DataSpec(write(many(20)), eval_fraction=0.25), task=TASK)
    parts = [set(each.labels.documents) for each in (splits.train, splits.validation, splits.heldout)]
    assert [len(each) for each in parts] == [14, 1, 5]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert len(splits.train) + len(splits.validation) + len(splits.heldout) == 80


def test_of_few_articles_contexts_are_not_divided(write):
    splits = load_splits(DataSpec(write(many(5, each=4))), task=TASK)
    parts = [set(each.pairs) for each in (splits.train, splits.validation, splits.heldout)]
    assert [len(each) for each in parts] == [8, 1, 1]
    assert not parts[0] & parts[2]
    assert not parts[0] & parts[1]


def test_questions_on_a_context_that_is_also_held_out_are_left_out_of_training(write):
    document = many(12)
    heldout = squad(article("Other", (document["data"][3]["paragraphs"][1]["context"],)))
    context = heldout["data"][0]["paragraphs"][0]["context"]
    heldout["data"][0]["paragraphs"][0]["qas"] = [question(context, "another answer", number=500)]
    splits = load_splits(DataSpec(write(document), eval_data=write(heldout, "dev.json")), task=TASK)
    assert splits.leaked == 1
    assert context not in {*splits.train.pairs, *splits.validation.pairs}


def test_contexts_without_answers_may_be_distilled_on_but_not_those_held_out(write):
    document = many(12)
    splits = load_splits(DataSpec(write(document)), task=TASK)
    more = [{"question": "What else?", "context": splits.heldout.pairs[0]}]
    more += [{"question": f"What {i}?", "context": "Nobody has asked of this."} for i in range(3)]
    again = load_splits(DataSpec(write(document), unlabelled=write(more, "more.jsonl")), task=TASK)
    assert [rows.pairs for rows in again.unlabelled.chunks()] == [("Nobody has asked of this.",) * 3]


@pytest.mark.parametrize(
    "names", [("train-v2.0.json", "dev-v2.0.json"), ("cmrc2018_train.json", "cmrc2018_dev.json")]
)
def test_a_folder_of_squad_or_cmrc_is_read_by_the_names_of_its_files(write, names):
    train = many(12)
    for each in train["data"]:
        for paragraph in each["paragraphs"]:
            paragraph["context"] += " Of train."
    write(train, f"set/{names[0]}")
    file = write(many(3), f"set/{names[1]}")
    splits = load_splits(DataSpec(file.rpartition("/")[0]), task=TASK)
    assert len(splits.heldout) == 12
    assert len(splits.train) + len(splits.validation) == 48


def test_a_test_part_without_answers_is_not_measured_on(write):
    document = many(12)
    for name, changed in (("train", False), ("dev", False), ("test", True)):
        part = json.loads(json.dumps(document).replace("article", name.rjust(len("article"), "_")))
        for each in part["data"] if changed else ():
            for paragraph in each["paragraphs"]:
                for asked in paragraph["qas"]:
                    asked.pop("answers")
        file = write(part, f"set/{name}.json")
    told = []
    splits = load_splits(DataSpec(file.rpartition("/")[0]), task=TASK, tell=told.append)
    assert "dev" in splits.heldout.source
    assert any("the test rows are not used, they have no labels" in line for line in told)


def test_a_limit_draws_questions(write):
    splits = load_splits(DataSpec(write(many(30)), limit=40), task=TASK)
    assert len(splits.train) + len(splits.validation) + len(splits.heldout) == 40


def test_chinese_answers_are_judged_by_their_characters_unless_another_metric_is_asked_for(write):
    chinese = read(write(squad(article("A", (CHINESE, question(CHINESE, "曹雪芹"))))))
    english = read(write(squad(article("A", (CONTEXT, question(CONTEXT, "Paris")))), "y.json"))
    told = []
    assert judging.judge(TASK, None, chinese, None, told.append).metric == "cmrc_f1"
    assert "characters" in told[0]
    assert "--metric f1" in told[0]
    assert judging.judge(TASK, None, chinese, "exact_match", told.append).metric == "exact_match"
    assert judging.judge(TASK, None, english, None, told.append).metric == "f1"
    assert len(told) == 1
    with pytest.raises(UsageError, match="question answering has no bleu"):
        judging.judge(TASK, None, english, "bleu", told.append)


def test_a_row_is_written_so_that_it_reads_back_as_it_is(write):
    rows = read(
        write(
            squad(
                article(
                    "A",
                    (CONTEXT, question(CONTEXT, "Paris", "Eiffel")),
                    (EMOJI, question(EMOJI, "東京", number=1)),
                )
            )
        )
    )
    records = [
        {"text": text, "text_pair": context, "label": answer_rows.record(rows.labels, row)}
        for row, (text, context) in enumerate(rows.inputs())
    ]
    again = read(write(records, "y.jsonl"), text="text", text_pair="text_pair", label="label")
    assert again.digest == rows.digest


def one(answers, context=CONTEXT, **fields):
    return squad(article("A", (context, {"id": "a", "question": "Where?", "answers": answers, **fields})))


AT = EMOJI.index("Paris")
FIRST = "x.json: data[0].paragraphs[0].qas[0]"
#: Bad files of SQuAD's layout: the document, where, what is said, what the hint says, and the code.
BAD = {
    "offset": (
        one([{"text": "Paris", "answer_start": 40}]),
        FIRST,
        "it is at 41, 52",
        "answer_start right",
        "data.answers",
    ),
    "offset beyond": (
        one([{"text": "Paris", "answer_start": 4000}]),
        FIRST,
        "where the end is; it is at 41",
        "",
        "data.answers",
    ),
    "negative": (
        one([{"text": "Paris", "answer_start": -1}]),
        FIRST,
        "is -1, and characters are counted from 0",
        "",
        "data.answers",
    ),
    "nowhere": (
        one([{"text": "London", "answer_start": 3}]),
        FIRST,
        "'London' is nowhere in the context",
        "character by character",
        "data.answers",
    ),
    "case": (
        one([{"text": "paris", "answer_start": 41}]),
        FIRST,
        "but for upper and lower case it is there",
        "as the context does",
        "data.answers",
    ),
    "space": (
        one([{"text": "Gustave  Eiffel", "answer_start": 23}]),
        FIRST,
        "but for white space",
        "",
        "data.answers",
    ),
    "width": (
        one([{"text": "Ｐaris", "answer_start": 41}]),
        FIRST,
        "but for full-width or composed",
        "",
        "data.answers",
    ),
    "second": (
        one([answer(CONTEXT, "Paris"), {"text": "Rome", "answer_start": 1}]),
        FIRST,
        "answer 2: 'Rome' is not",
        "",
        "data.answers",
    ),
    "float": (
        one([{"text": "Paris", "answer_start": 41.5}]),
        FIRST,
        "answer_start is 41.5, not a whole number",
        "",
        "data.answers",
    ),
    "boolean": (
        one([{"text": "Paris", "answer_start": True}]),
        FIRST,
        "answer_start is True",
        "",
        "data.answers",
    ),
    "words": (
        one([{"text": "Paris", "answer_start": "here"}]),
        FIRST,
        "answer_start is 'here'",
        "",
        "data.answers",
    ),
    "empty answer": (one([{"text": " ", "answer_start": 3}]), FIRST, "an empty answer", "[]", "data.answers"),
    "answer of a number": (
        one([{"text": 308, "answer_start": 3}]),
        FIRST,
        "the answer is 308, not a text",
        "",
        "data.answers",
    ),
    "no text": (one([{"answer": "Paris", "answer_start": 41}]), FIRST, "answer 1 is", "", "data.answers"),
    "a label": (one("Paris is nice and far"), FIRST, "nowhere", "", "data.answers"),
    "a number": (one(7), FIRST, "7 where answers are needed", "", "data.answers"),
    "no answers": (one([]), FIRST, "no answer", "is_impossible", "data.answers"),
    "no field of answers": (one(None), FIRST, "no answer", "is_impossible", "data.answers"),
    "impossible with answers": (
        one([answer(CONTEXT, "Paris")], is_impossible=True),
        FIRST,
        "is_impossible, and yet there are answers",
        "",
        "data.answers",
    ),
    "possible without": (
        one([], is_impossible=False),
        FIRST,
        "no answer, though is_impossible is false",
        "",
        "data.answers",
    ),
    "impossible perhaps": (
        one([], is_impossible="perhaps"),
        FIRST,
        "is_impossible is 'perhaps'",
        "true or false",
        "data.answers",
    ),
    "empty question": (
        squad(article("A", (CONTEXT, question(CONTEXT, "Paris", question="  ")))),
        FIRST,
        "empty text in column 'question'",
        "",
        "data",
    ),
    "empty context": (
        squad(article("A", (" ", question(CONTEXT, "Paris")))),
        FIRST,
        "empty text in column 'context'",
        "",
        "data",
    ),
    "context of a list": (
        squad(article("A", ([CONTEXT], question(CONTEXT, "Paris")))),
        FIRST,
        "column 'context' holds list",
        "",
        "data",
    ),
    "surrogate": (
        squad(article("A", ("half \ud83d of Paris", question("half \ud83d of Paris", "Paris")))),
        FIRST,
        "half of a surrogate pair",
        "",
        "data",
    ),
    "same id": (
        squad(article("A", (CONTEXT, question(CONTEXT, "Paris"), question(CONTEXT, "Eiffel")))),
        "x.json: data[0].paragraphs[0].qas[1]",
        "the id 'q0' is that of data[0].paragraphs[0].qas[0], too",
        "",
        "data.answers",
    ),
    "data of an object": (
        {"data": {"title": "A"}, "version": "1.1"},
        "x.json: data",
        "where a list is needed",
        "paragraphs",
        "data.questions",
    ),
    "article of a text": (
        squad("A"),
        "x.json: data[0]",
        "'A' where an object is needed",
        "",
        "data.questions",
    ),
    "no paragraphs": (
        squad(article("A", (CONTEXT, question(CONTEXT, "Paris"))), {"title": "B"}),
        "x.json: data[1]",
        "no paragraphs",
        "",
        "data.questions",
    ),
    "no questions": (
        squad({"title": "A", "paragraphs": [{"context": CONTEXT}]}),
        "x.json: data[0].paragraphs[0]",
        "no questions (qas)",
        "",
        "data.questions",
    ),
    "questions of a text": (
        squad({"title": "A", "paragraphs": [{"context": CONTEXT, "qas": "Where?"}]}),
        "x.json: data[0].paragraphs[0].qas",
        "'Where?' where a list is needed",
        "",
        "data.questions",
    ),
    "nothing asked": (squad(article("A", (CONTEXT,))), "x.json", "no questions", "", "data"),
    "bytes": (
        one([{"text": "Paris", "answer_start": len(EMOJI[:AT].encode())}], context=EMOJI),
        FIRST,
        f"counts bytes of UTF-8, as characters it is {AT}",
        "decode",
        "data.answers",
    ),
    "utf-16": (
        one([{"text": "Paris", "answer_start": AT + 2}], context=EMOJI),
        FIRST,
        f"counts units of UTF-16, of which an emoji has two, as characters it is {AT}",
        "code points",
        "data.answers",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_of_squad_is_refused_with_the_path_to_what_is_wrong(write, case):
    document, where, what, hint, code = BAD[case]
    file = write(document)
    found = refused(file)
    assert found.where == where.replace("x.json", file)
    assert what in found.what
    assert hint in (found.hint or "")
    assert (found.code, found.exit_code) == (code, 2)


#: Bad rows: what is said, the hint, and the code; the row is the second of the file.
BAD_ROWS = {
    "unequal": ({"text": ["Paris"], "answer_start": [41, 52]}, "1 answers, but 2 places", "", "data.answers"),
    "without text": ({"answer_start": [41]}, "without the field 'text'", "", "data.answers"),
    "null": (None, "no answer", "[] of answers", "data.answers"),
    "starts of another text": ({"text": ["Paris"], "answer_start": [5]}, "it is at 41", "", "data.answers"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_refused_with_its_line(write, case):
    answers, what, hint, code = BAD_ROWS[case]
    good = {"question": "Where?", "context": CONTEXT, "answers": {"text": ["Paris"], "answer_start": [41]}}
    file = write([good, {**good, "answers": answers}], "x.jsonl")
    found = refused(file)
    assert found.where == f"{file}:2"
    assert what in found.what
    assert hint in (found.hint or "")
    assert found.code == code


def test_a_list_of_no_answers_says_that_there_is_none(write):
    rows = [
        {"question": "Where?", "context": CONTEXT, "answers": {"text": ["Paris"], "answer_start": [41]}},
        {"question": "When?", "context": CONTEXT, "answers": {"text": [], "answer_start": []}},
    ]
    assert texts_of(read(write(rows, "x.jsonl"))) == [["Paris"], []]


def test_all_rows_that_cannot_be_used_are_counted(write):
    qas = [question(CONTEXT, "Paris", number=i) for i in range(5)]
    for each in qas[1:4]:
        each["answers"][0]["answer_start"] += 1
    found = refused(write(squad(article("A", (CONTEXT, *qas)))))
    assert found.where.endswith("qas[1]")
    assert "(the first of 3 of 5 rows that cannot be used)" in found.what


def test_a_table_without_questions_is_refused_for_a_model_that_answers_them(write):
    found = refused(write([{"text": "fine", "label": "a"}], "x.jsonl"))
    assert "no column of question and context and answers found among 'text', 'label'" in found.what
    assert found.code == "data.not-questions"
    found = refused(write([{"question": "a", "context": "b", "answers": ["b"]}], "y.jsonl"), label="answer")
    assert "no column 'answer'" in found.what


def test_questions_are_refused_for_a_model_that_gives_labels(write):
    file = write(many(12))
    with pytest.raises(DataError) as caught:
        load_splits(DataSpec(file), task=Task(Problem.SINGLE_LABEL, ("a", "b"), pair=True))
    assert caught.value.code == "data.not-questions"


def test_a_format_of_labels_is_none_of_answers(write):
    file = write(many(12))
    with pytest.raises(UsageError) as caught:
        load_splits(DataSpec(file, label_format="names"), task=TASK)
    assert caught.value.where == "--label-format"


def test_other_json_is_read_as_before(write):
    good = {"question": "Where?", "context": CONTEXT, "answers": ["Paris"]}
    listed = read(write([good, good], "x.json"))
    lines = read(write(f"{json.dumps(good)}\n{json.dumps(good)}\n", "y.json"))
    assert listed.digest == lines.digest
    found = refused(write('{"a": 1,\n', "z.json"))
    assert "not valid JSON" in found.what
    assert found.where.endswith("z.json:1")


def test_too_few_questions_are_not_said_to_lack_labels(tmp_path):
    row = {
        "question": "When?",
        "context": "It opens at nine.",
        "answers": {"text": ["nine"], "answer_start": [12]},
    }
    (tmp_path / "x.jsonl").write_text(f"{json.dumps(row)}\n" * 2)
    task = Task(Problem.SPANS, ("start", "end"), pair=True)
    with pytest.raises(DataError) as caught:
        load_splits(DataSpec(str(tmp_path / "x.jsonl")), task=task)
    assert caught.value.what == "2 rows are too few to split: some must remain to validate and to measure on"
