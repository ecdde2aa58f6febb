from __future__ import annotations

import json
import os
import re
import signal

import fake_cascades
import pytest

from edgeroberta import cli
from edgeroberta.runtime import Runtime


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as leave:
        cli.main(["run", *(str(word) for word in words)])
    return leave.value.code if isinstance(leave.value.code, int) else 0


def test_a_text_is_answered_in_a_line(tiny_bundle, capsys):
    assert run(tiny_bundle, "great film", "word " * 600) == 0
    first, second = capsys.readouterr().out.splitlines()
    label, score, text = first.split("  ")
    assert label in ("negative", "positive")
    assert 0.5 <= float(score) <= 1
    assert text == "great film"
    assert second.endswith("…  (cut off)")
    assert len(second) < 100


def test_json_is_json_and_nothing_else(tiny_bundle, capsys):
    assert run(tiny_bundle, "great film", "--engine", "openvino", "--threads", 1, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bundle"] == str(tiny_bundle)
    assert found["engine"] == "openvino"
    assert len(found["predictions"]) == 1
    answer = found["predictions"][0]
    assert sorted(answer) == ["input", "label", "labels", "score", "scores", "truncated", "windows"]
    assert answer["input"] == "great film"
    assert answer["scores"][answer["label"]] == answer["score"]


def test_a_file_is_answered_line_by_line(tiny_bundle, tmp_path, capsys):
    (tmp_path / "texts.txt").write_text("one\n\nthree\n" * 100)
    assert run(tiny_bundle, "--input", tmp_path / "texts.txt") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 300
    assert lines[299].endswith("  three")


def test_an_input_that_is_refused_is_named_by_its_line_after_the_answers_before_it(
    tiny_bundle, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("edgeroberta.annotation.pacing.FIRST", 2)
    texts, objects = tmp_path / "texts.txt", tmp_path / "texts.jsonl"
    texts.write_text("great\ndull\nfine\na <pad> b\nlost\n")
    objects.write_text('"great"\n"dull"\n"fine"\n5\n')
    for words, named in (
        (("--input", texts), f"{texts}:4"),
        (("--input", objects), f"{objects}:4"),
        (("great", "dull", "fine", "a <pad> b"), "input 3"),
    ):
        assert run(tiny_bundle, *words) == 2
        said = capsys.readouterr()
        assert len(said.out.splitlines()) == 3
        assert said.err.startswith(f"error: {named}: ")


def test_pairs_are_answered(make_bundle, tiny_checkpoint, tmp_path, capsys):
    bundle = make_bundle(tiny_checkpoint, pair=True)
    (tmp_path / "x.jsonl").write_text('["a", "b"]\n{"text": "c", "text_pair": "d"}\n')
    assert run(bundle, "--pair", "a", "b") == 0
    assert run(bundle, "--pair", "--input", tmp_path / "x.jsonl") == 0
    assert [line.split("  ")[-1] for line in capsys.readouterr().out.splitlines()] == [
        "a | b",
        "a | b",
        "c | d",
    ]


def test_a_model_of_pairs_asks_for_pair(make_bundle, tiny_checkpoint, capsys):
    bundle = make_bundle(tiny_checkpoint, pair=True)
    assert run(bundle, "a", "b") == 2
    assert capsys.readouterr().err == (
        f"error: {bundle}: this model takes pairs of texts\n"
        f"  next: edgeroberta run {bundle} --pair 'one text' 'the other'\n"
    )


def test_a_model_of_single_texts_refuses_pair(make_bundle, tiny_checkpoint, capsys):
    bundle = make_bundle(tiny_checkpoint)
    assert run(bundle, "--pair", "a", "b") == 2
    assert capsys.readouterr().err == (
        f"error: --pair: this model takes single texts\n  next: edgeroberta run {bundle} 'one text'\n"
    )


def test_several_labels_and_values_are_printed(
    make_bundle, tiny_multi_label_checkpoint, tiny_regression_checkpoint, capsys
):
    assert run(make_bundle(tiny_regression_checkpoint), "great film") == 0
    value, text = capsys.readouterr().out.strip().split("  ")
    float(value)
    assert text == "great film"
    assert run(make_bundle(tiny_multi_label_checkpoint), "great film") == 0
    labels = capsys.readouterr().out.split("  ")[0].split(", ")
    assert set(labels) <= {"plot", "music", "acting", "none"}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("a", "--input", "x.txt"), 2, "error: texts and --input together\n  next: leave one out\n"),
        (
            ("reveiws.csv",),
            2,
            "error: reveiws.csv: there is no such file\n"
            "  next: where it is a text: echo 'reveiws.csv' | edgeroberta run BUNDLE\n",
        ),
        (("a", "--pair"), 2, "error: TEXT: --pair takes texts two by two, but there are 1\n"),
        (("--input", "none.txt"), 2, "error: none.txt: cannot be read (No such file or directory)\n"),
        (
            ("a", "--engine", "opnvino"),
            2,
            "error: engine: the bundle was not built for 'opnvino', only for onnxruntime, openvino; "
            "did you mean 'openvino'?\n",
        ),
    ],
)
def test_wrong_words_end_with_a_message(tiny_bundle, capsys, words, code, message):
    assert run(tiny_bundle, *words) == code
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", message)


def test_a_folder_that_is_no_bundle_ends_with_1(tmp_path, capsys):
    assert run(tmp_path, "a") == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path}: not a bundle: there is no manifest.json in it\n"
        f"  next: edgeroberta compress {tmp_path} --data DATA -o out/\n"
    )


def test_a_missing_engine_ends_with_4(tiny_bundle, monkeypatch, capsys):
    from edgeroberta.runtime import session

    monkeypatch.setattr(session, "installed", lambda name: False)
    assert run(tiny_bundle, "a") == 4
    assert "pip install 'edgeroberta[onnxruntime]'" in capsys.readouterr().err


def test_threads_below_one_are_a_usage_error(tiny_bundle, capsys):
    assert run(tiny_bundle, "a", "--threads", 0) == 2
    assert "--threads" in capsys.readouterr().err


@pytest.fixture(scope="module")
def tagger(make_bundle, tiny_token_checkpoint):
    return make_bundle(tiny_token_checkpoint, max_length=32)


def test_entities_are_printed_and_are_json(tagger, capsys):
    text = "Ann met Bob in Paris,\tand saw the film."
    with Runtime.open(tagger) as runtime:
        wanted = runtime(text).entities
    assert run(tagger, text, "") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("  Ann met Bob in Paris, and saw the film.")
    for entity in wanted:
        assert f'{entity.label} "{" ".join(entity.text.split())}" {entity.score:.3f}' in first
    assert second == "none"
    assert run(tagger, text, "--json") == 0
    (answer,) = json.loads(capsys.readouterr().out)["predictions"]
    assert sorted(answer) == ["entities", "input", "truncated", "windows"]
    assert [sorted(each) for each in answer["entities"]] == [
        ["end", "label", "score", "start", "text"]
    ] * len(wanted)
    assert all(text[each["start"] : each["end"]] == each["text"] for each in answer["entities"])


def test_long_texts_are_read_in_windows_or_refused(tiny_bundle, tagger, capsys):
    text = "word " * 600
    assert run(tiny_bundle, text, "--long-text", "windows", "--stride", 64) == 0
    assert capsys.readouterr().out.endswith(" windows)\n")
    assert run(tiny_bundle, text, "--long-text", "refuse") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: input 0: the text has ")
    assert run(tagger, "word " * 60, "--long-text", "windows", "--json") == 0
    assert json.loads(capsys.readouterr().out)["predictions"][0]["windows"] > 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--long-text", "window"), "error: long_text: there is no way 'window' with long texts"),
        (
            ("--long-text", "windows", "--stride", 600),
            "error: stride: windows of 510 tokens cannot overlap by 600",
        ),
        (("--stride", 5), "error: stride: windows overlap by a stride, and there are none"),
        (("--aggregation", "first"), "error: aggregation: this model does not label tokens"),
    ],
)
def test_ways_that_cannot_be_are_usage_errors(tiny_bundle, capsys, words, said):
    assert run(tiny_bundle, "a", *words) == 2
    assert capsys.readouterr().err.startswith(said)


def test_a_pair_for_a_model_of_entities_is_a_usage_error(tagger, capsys):
    assert run(tagger, "--pair", "a", "b") == 2
    assert "this model takes single texts" in capsys.readouterr().err


@pytest.fixture(scope="module")
def question_bundle(make_bundle, make_checkpoint):
    return make_bundle(make_checkpoint(("LABEL_0", "LABEL_1"), "question_answering"), pair=True)


def test_a_question_and_its_context_are_answered_in_a_line(question_bundle, capsys):
    context = "The film was shot in Paris. " * 60
    assert run(question_bundle, "Where was it shot?", context, "--top-k", 2) == 0
    answer, score, others, text, windows = capsys.readouterr().out.strip().split("  ")
    assert answer[1:-1] in " ".join(context.split())
    assert float(score) > 0
    assert others.startswith('or "')
    assert text.startswith("Where was it shot? | The film")
    assert windows.endswith("windows)")
    assert run(question_bundle, "Where?", "Paris.", "--no-answer", -2) == 0
    assert capsys.readouterr().out.split("  ")[0] == "none"


def test_answers_to_questions_are_json(question_bundle, tmp_path, capsys):
    items = [("Where?", "It was shot in Paris."), ("Who?", "By Anna. And Carol.")]
    lines = [json.dumps({"question": q, "context": c, "id": n}) for n, (q, c) in enumerate(items)]
    (tmp_path / "x.jsonl").write_text("\n".join([*lines, json.dumps(items[0])]))
    (tmp_path / "x.tsv").write_text("\n".join("\t".join(item) for item in [("question", "context"), *items]))
    found = []
    for source in ("x.jsonl", "x.tsv"):
        assert run(question_bundle, "--input", tmp_path / source, "--json") == 0
        found.append(json.loads(capsys.readouterr().out)["predictions"])
    assert found[0][:2] == found[1]
    assert found[0][2] == found[0][0]
    for (question, context), answer in zip(items, found[0], strict=False):
        assert answer["input"] == {"question": question, "context": context}
        assert answer["answer"] == context[answer["start"] : answer["end"]]
        assert [each["text"] for each in answer["answers"]] == [answer["answer"]]
        assert sorted(answer) == [
            *("answer", "answers", "end", "input", "no_answer", "score", "start", "truncated", "windows")
        ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a", "b", "c"), "error: TEXT: a question and its context are two texts, but there are 3\n"),
        (("a", " "), "error: input 0: the context is empty\n"),
        (("why " * 600, "b " * 9), "error: input 0: the question has"),
        (
            ("--input", "x.txt"),
            "x.txt:1: a line is question and context with a tab between them; there is no",
        ),
        (("--input", "x.jsonl"), "this model takes two texts, and only the column 'question' was found"),
        (("--input", "y.jsonl"), 'or an object with the fields "question" and "context"'),
    ],
)
def test_what_is_no_question_with_its_context_is_refused(
    question_bundle, tmp_path, capsys, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.txt").write_text("no tab")
    (tmp_path / "x.jsonl").write_text('{"question": "a"}')
    (tmp_path / "y.jsonl").write_text('["a", "b", "c"]')
    assert run(question_bundle, *words) == 2
    assert message in capsys.readouterr().err


def test_options_of_answers_are_refused_where_there_are_none(tiny_bundle, capsys):
    for option in ("--top-k", "--no-answer", "--max-answer-tokens"):
        assert run(tiny_bundle, "a", option, 2) == 2
        assert option[2:].replace("-", "_") in capsys.readouterr().err


def test_embeddings_are_printed_and_written_as_json(make_bundle, make_embedder, capsys):
    bundle = make_bundle(make_embedder())
    assert run(bundle, "great film") == 0
    assert re.fullmatch(r"\[(-?0\.\d{4}, ){4}…\] \(32 numbers\)  great film\n", capsys.readouterr().out)
    assert run(bundle, "--pair", "great film", "bad plot") == 0
    value, texts = capsys.readouterr().out.strip().split("  ")
    assert -1 <= float(value) <= 1
    assert texts == "great film | bad plot"
    assert run(bundle, "great film", "bad plot", "--json") == 0
    found = json.loads(capsys.readouterr().out)["predictions"]
    assert [len(each["embedding"]) for each in found] == [32, 32]
    assert run(bundle, "great film", "--prompt", "query") == 2
    assert "this model has no prompt 'query'" in capsys.readouterr().err


def test_a_line_of_a_file_is_a_text_to_embed_or_two_to_compare(make_bundle, make_embedder, tmp_path, capsys):
    """A second text is not left out in silence."""
    lines = ['{"text": "one", "id": 7}', '{"text": "one", "text_pair": "other"}', '["one", "other"]', '"one"']
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    assert run(make_bundle(make_embedder()), "--input", tmp_path / "x.jsonl", "--json") == 0
    found = json.loads(capsys.readouterr().out)["predictions"]
    assert [each["input"] for each in found] == ["one", ["one", "other"], ["one", "other"], "one"]
    assert ["similarity" in each for each in found] == [False, True, True, False]


def test_what_a_model_cannot_answer_is_named_by_its_line(tiny_bundle, tmp_path, capsys):
    """Lines are answered in parts of a few hundred, and counted over the whole file."""
    (tmp_path / "x.txt").write_text("short\n" * 299 + "word " * 600)
    assert run(tiny_bundle, "--input", tmp_path / "x.txt", "--long-text", "refuse") == 2
    assert f"error: {tmp_path / 'x.txt'}:300: the text has " in capsys.readouterr().err


def test_the_tier_of_a_cascade_that_answered_is_told(tmp_path, capsys):
    bundle = tmp_path / "out"
    fake_cascades.write(bundle)
    (tmp_path / "texts.txt").write_text("silence\nfilm plot\n" * 300)
    assert run(bundle, "--input", tmp_path / "texts.txt", "--json") == 0
    told = [answer["tier"] for answer in json.loads(capsys.readouterr().out)["predictions"]]
    assert len(told) == 600
    assert set(told) == {"tiny", "int8"}
    assert run(bundle, "--input", tmp_path / "texts.txt") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition("  ")[2] for line in lines] == [f"[{name}]" for name in told]
    assert run(bundle, "silence", "--tier", "tiny", "--json") == 0
    assert "tier" not in json.loads(capsys.readouterr().out)["predictions"][0]
    assert run(bundle, "silence", "--tier", "small") == 2
    assert "there is no tier 'small' (there are: tiny, int8)" in capsys.readouterr().err


def test_tiers_may_have_engines_of_their_own(tmp_path, capsys):
    fake_cascades.write(tmp_path / "out", engines=("onnxruntime", "openvino"))
    assert run(tmp_path / "out", "film", "--engine", "openvino,onnxruntime", "--json") == 0
    assert json.loads(capsys.readouterr().out)["engine"] == "openvino,onnxruntime"


def test_a_run_that_is_told_to_end_leaves_nothing_behind(tiny_bundle, tmp_path, monkeypatch):
    (tmp_path / "in.csv").write_text("text\na\n")
    monkeypatch.setattr(
        "edgeroberta.annotation.filtering._write", lambda *_: os.kill(os.getpid(), signal.SIGTERM)
    )
    former = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main(["run", str(tiny_bundle), str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv")])
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, former)
    assert ended.value.code == 143
    assert [each.name for each in tmp_path.iterdir()] == ["in.csv"]
