from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeroberta.data import DataSpec, MaskReader, Splits, load_heldout, load_splits
from edgeroberta.errors import DataError, UsageError
from edgeroberta.tasks import MaskedTokens, Problem, Task

TASK = Task(Problem.MASKED, (), dimensions=20, mask_id=4)
FILMS = tuple(f"The film number {i} is great, and I would see it again." for i in range(60))


@pytest.fixture(params=["roberta", "xlm-roberta"])
def masks(request, tokenizer_folder, xlmr_tokenizer_folder) -> MaskReader:
    folder = tokenizer_folder if request.param == "roberta" else xlmr_tokenizer_folder
    return MaskReader.open(folder, 512)


@pytest.fixture
def roberta(tokenizer_folder) -> MaskReader:
    return MaskReader.open(tokenizer_folder, 512)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def load(name: str, masks: MaskReader, told: list[str] | None = None, **fields: object) -> Splits:
    tell = None if told is None else told.append
    return load_splits(DataSpec(name, **fields), task=TASK, masks=masks, tell=tell)  # type: ignore[arg-type]


def write(name: str, texts: tuple[str, ...] = FILMS) -> str:
    suffix = Path(name).suffix
    if suffix == ".txt":
        Path(name).write_text("\n\n".join(texts))
    elif suffix == ".csv":
        Path(name).write_text("sentence,label\n" + "".join(f'"{text}",1\n' for text in texts))
    else:
        Path(name).write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return name


def filled(text: str, tokens: np.ndarray, masks: MaskReader) -> np.ndarray:
    ids = masks.tokenizer.encode_one(text).ids.copy()
    ids[ids == masks.token.id] = tokens
    return ids


@pytest.mark.parametrize("name", ["films.txt", "films.csv", "films.jsonl"])
def test_plain_texts_are_split_into_texts_to_train_on_and_masked_ones_to_measure_on(masks, name):
    found = load(write(name), masks)
    assert found.train.labels is None
    assert set(found.train.texts) < set(FILMS)
    whole = {masks.tokenizer.encode_one(text).ids.tobytes() for text in FILMS}
    for part in (found.validation, found.heldout):
        assert isinstance(part.labels, MaskedTokens)
        assert part.labels.lengths.tolist() == [1] * len(part)
        for text, true in zip(part.texts, part.labels.values, strict=True):
            assert text.count("<mask>") == 1
            # the tokens are those of the text as it was, with one of them masked
            assert filled(text, true, masks).tobytes() in whole
    assert len(found.heldout) == 6


def test_which_token_is_masked_depends_on_the_text_and_the_seed_alone(roberta):
    name = write("films.txt")
    first, again, other = (load(name, roberta, seed=seed) for seed in (0, 0, 1))
    assert first.heldout.digest == again.heldout.digest != other.heldout.digest
    backwards = load(
        write("backwards.txt", ("A story.", "A plot is dull.", "It is fine.")),
        roberta,
        eval_data=write("all.txt", FILMS[::-1]),
    )
    masked = set(backwards.heldout.texts)
    assert set(first.heldout.texts) < masked
    assert len({text.index("<mask>") for text in first.heldout.texts}) > 1


def test_rows_of_the_gate_are_found_again(roberta):
    name = write("films.jsonl")
    spec = DataSpec(name, limit=40)
    assert load_heldout(spec, TASK, masks=roberta).digest == load(name, roberta, limit=40).heldout.digest
    measured = DataSpec("gone.txt", eval_data=name)
    assert len(load_heldout(measured, TASK, masks=roberta)) == len(FILMS)


def test_test_rows_of_a_folder_need_no_labels(roberta):
    Path("data").mkdir()
    for part, texts in (("train", FILMS[:40]), ("valid", FILMS[40:50]), ("test", FILMS[50:])):
        write(f"data/{part}.txt", texts)
    found = load("data", roberta)
    assert [len(part) for part in (found.train, found.validation, found.heldout)] == [40, 10, 10]


def test_special_tokens_and_tokens_after_the_first_128_are_never_masked(roberta):
    long = "</s> film " + "great film, " * 200
    found = load(write("long.txt", tuple(f"{long}{i}" for i in range(30))), roberta)
    for text, true in zip(found.heldout.texts, found.heldout.labels.values, strict=True):
        ids = roberta.tokenizer.encode_one(text).ids
        assert np.flatnonzero(ids == roberta.token.id)[0] < 128
        assert int(true) not in roberta.token.special


def test_texts_of_which_no_token_can_be_masked_are_left_out_and_told(roberta):
    told: list[str] = []
    Path("eval.txt").write_text("\n".join(("</s>", *FILMS)))
    found = load(
        write("films.txt", ("A story.", "It is dull.", "I would go.")), roberta, told, eval_data="eval.txt"
    )
    assert len(found.heldout) == len(FILMS)
    assert any("1 of 61 texts are not measured on" in line for line in told)


def test_a_mask_that_is_written_with_its_word_is_measured_on_and_its_text_learnt_from(roberta):
    rows = [{"text": f"The <mask> number {i} is great.", "word": "film"} for i in range(40)]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = load("rows.jsonl", roberta)
    film = roberta.tokenizer.encode_one("The film").ids[-2]
    assert set(found.heldout.labels.values.tolist()) == {int(film)}
    assert all("The <mask> number" in text for text in found.heldout.texts)
    assert all(text.startswith("The film number") for text in found.train.texts)


def test_a_text_may_have_several_masks_and_a_file_rows_without_any(roberta):
    rows = [
        {"text": f"The <mask> number {i} is <mask>.", "label": "film|great"}
        if i % 2
        else {"text": f"It is dull {i}."}
        for i in range(40)
    ]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = load(write("films.txt"), roberta, eval_data="rows.jsonl")
    assert sorted(set(found.heldout.labels.lengths.tolist())) == [1, 2]


def test_a_text_that_is_measured_on_is_not_learnt_from_whether_masked_or_not(roberta):
    Path("eval.jsonl").write_text(
        json.dumps({"text": "The <mask> number 3 is great, and I would see it again.", "word": "film"})
    )
    found = load(write("films.txt"), roberta, eval_data="eval.jsonl")
    assert FILMS[3] not in found.train.texts
    assert found.leaked == 1


BAD = {
    "a mask without a column of words": (
        '{"text": "fine"}\n{"text": "The <mask> is great."}',
        "bad.jsonl:2",
        "no column says which word",
        "data.mask",
    ),
    "another family's mask": (
        '{"text": "The [MASK] is great."}',
        "bad.jsonl:1",
        "another family",
        "data.mask",
    ),
    "an empty word": (
        '{"text": "The <mask> is great.", "word": ""}',
        "bad.jsonl:1",
        "is empty",
        "data.mask-word",
    ),
    "no word": (
        '{"text": "The <mask> is great.", "word": "film"}\n{"text": "The <mask> is."}',
        "bad.jsonl:2",
        "is empty",
        "data.mask-word",
    ),
    "a word of several tokens": (
        '{"text": "The <mask> is great.", "word": "storyteller"}',
        "bad.jsonl:1",
        "tokens, and a mask stands for one",
        "data.mask-word",
    ),
    "two words for one mask": (
        '{"text": "The <mask> is great.", "word": "film|story"}',
        "bad.jsonl:1",
        "1 mask and 2 words",
        "data.mask-word",
    ),
    "one word for two masks": (
        '{"text": "The <mask> is <mask>.", "word": ["film"]}',
        "bad.jsonl:1",
        "2 masks and 1 word",
        "data.mask-word",
    ),
    "a special token as the word": (
        '{"text": "The<mask> is great.", "word": "</s>"}',
        "bad.jsonl:1",
        "not in the vocabulary",
        "data.mask-word",
    ),
    "a mask beyond the model's length": (
        json.dumps({"text": "great " * 600 + "<mask>", "word": "film"}),
        "bad.jsonl:1",
        "beyond the 512 tokens",
        "data.mask",
    ),
    "an empty text": ('{"text": "fine"}\n{"text": "  "}', "bad.jsonl:2", "empty text", "data"),
    "a text that is none": ('{"text": 3}', "bad.jsonl:1", "not text", "data"),
    "no text column": ('{"n": "a"}', "bad.jsonl", "no text column", "data"),
    "nothing that can be masked": (
        '{"text": "</s>"}\n{"text": "<s>"}\n{"text": "</s> </s>"}\n{"text": "<s></s>"}',
        "bad.jsonl",
        "no text is left",
        "data.mask",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_used_is_named_with_its_line(roberta, case):
    content, where, what, code = BAD[case]
    Path("bad.jsonl").write_text(content)
    with pytest.raises(DataError, match=what) as raised:
        load("bad.jsonl", roberta)
    assert (raised.value.where, raised.value.code) == (where, code)


def test_pairs_and_formats_of_labels_are_refused(roberta):
    name = write("films.csv")
    with pytest.raises(DataError, match="not in pairs") as raised:
        load(name, roberta, text="sentence", text_pair="label")
    assert raised.value.where == "--text-pair"
    with pytest.raises(UsageError, match="masks stand for words") as other:
        load(name, roberta, label_format="ids")
    assert other.value.where == "--label-format"


def test_a_column_of_words_that_is_not_there_is_named(roberta):
    Path("rows.csv").write_text("text,word\nThe <mask> is great.,film\n")
    with pytest.raises(DataError, match="no column 'wrod'") as raised:
        load("rows.csv", roberta, label="wrod")
    assert "did you mean 'word'?" in str(raised.value.hint)
