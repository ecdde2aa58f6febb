from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgeroberta.errors import BundleError, UsageError
from edgeroberta.runtime.tokenizer import TextTokenizer

DATA = Path(__file__).parents[1] / "fixtures"
FOLDERS = ("tokenizer", "tokenizer-xlm-roberta")
MAX_LENGTH = 24
SURROGATE_HINT = "decode the text with errors='replace'"

# Letters the tokenizers know, the special tokens themselves, and the rest of Unicode.
PIECES = st.one_of(
    st.sampled_from(["great film ", "The story", " ", "  ", "<mask>", "</s>", "<s>", "<pad>", "<unk>", "'t"]),
    st.text(max_size=20),
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)

AWKWARD = (
    "",
    " ",
    "\n\t ",
    "\0",
    "a\0b",
    "line\u2028separator\u2029paragraph",
    "😀👩‍👩‍👧‍👦🏳️‍🌈",
    "שלום עולם، مرحبا بالعالم",
    "\u202eright to left override",
    "\ufeffbyte order mark",
    "e\u0301 \u00e9 ﬁ Ⅷ",
    "great <mask> film</s></s> the end",
    "word " * 3000,
    "x" * 20_000,
)


@cache
def ours(folder: str, max_length: int = MAX_LENGTH) -> TextTokenizer:
    return TextTokenizer.open(DATA / folder, max_length)


@cache
def theirs(folder: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(DATA / folder)


def expected(folder: str, *texts: str, max_length: int = MAX_LENGTH) -> list[int]:
    # As lists of one: called with two texts, Hugging Face drops the second where it is empty; called
    # with two lists it does not.
    batch = theirs(folder)(*([text] for text in texts), truncation=True, max_length=max_length)
    ids: list[int] = batch["input_ids"][0]
    return ids


@pytest.mark.parametrize("folder", FOLDERS)
@settings(max_examples=120, deadline=None, derandomize=True)
@given(text=TEXTS)
def test_ids_are_those_of_hugging_face(folder, text):
    assert ours(folder).encode_one(text).ids.tolist() == expected(folder, text)


@pytest.mark.parametrize("folder", FOLDERS)
@settings(max_examples=120, deadline=None, derandomize=True)
@given(first=TEXTS, second=TEXTS)
@example(first="", second="")
@example(first="short", second="word " * 500)
@example(first="word " * 500, second="short")
@example(first="word " * 500, second="story " * 500)
def test_ids_of_a_pair_are_those_of_hugging_face(folder, first, second):
    assert ours(folder).encode_one((first, second)).ids.tolist() == expected(folder, first, second)


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("text", AWKWARD, ids=[repr(text[:12]) for text in AWKWARD])
def test_awkward_texts_give_the_ids_of_hugging_face(folder, text):
    for max_length in (MAX_LENGTH, 512):
        tokenizer = ours(folder, max_length)
        wanted = expected(folder, text, max_length=max_length)
        assert tokenizer.encode_one(text).ids.tolist() == wanted
        assert tokenizer.encode([text])[0].ids.tolist() == wanted


@settings(max_examples=60, deadline=None, derandomize=True)
@given(text=TEXTS)
def test_truncated_says_whether_tokens_are_missing(text):
    encoding = ours("tokenizer").encode_one(text)
    whole = ours("tokenizer", 100_000).encode_one(text)
    assert encoding.truncated == (len(whole.ids) > MAX_LENGTH)
    assert len(encoding.ids) <= MAX_LENGTH
    assert not whole.truncated


@settings(max_examples=60, deadline=None, derandomize=True)
@given(texts=st.lists(TEXTS, max_size=5))
def test_a_list_gives_what_each_text_gives_alone(texts):
    tokenizer = ours("tokenizer")
    for text, encoding in zip(texts, tokenizer.encode(texts), strict=True):
        alone = tokenizer.encode_one(text)
        assert encoding.ids.tolist() == alone.ids.tolist()
        assert encoding.truncated == alone.truncated


def test_a_text_of_exactly_the_longest_length_is_not_truncated():
    tokenizer = ours("tokenizer")
    text = " film" * (MAX_LENGTH - 2)
    exact = tokenizer.encode_one(text)
    assert (len(exact.ids), exact.truncated) == (MAX_LENGTH, False)
    assert tokenizer.encode([text, text + " film"])[1].truncated


def test_ids_are_int64_in_order_over_many_texts():
    tokenizer = ours("tokenizer")
    texts = [f"film {number}" for number in range(2500)]  # more than one chunk
    encodings = tokenizer.encode(texts)
    assert len(encodings) == len(texts)
    assert encodings[2400].ids.dtype == np.int64
    assert encodings[2400].ids.tolist() == tokenizer.encode_one("film 2400").ids.tolist()


@pytest.mark.parametrize(
    ("item", "what", "hint"),
    [
        ("ab\ud800", "lone surrogate U+D800 at character 2: this is not valid Unicode", SURROGATE_HINT),
        (
            ("fine", "\udfff"),
            "lone surrogate U+DFFF at character 0: this is not valid Unicode",
            SURROGATE_HINT,
        ),
        (None, "an input is a text or a tuple of two texts, not a NoneType", None),
        (b"bytes", "an input is a text or a tuple of two texts, not a bytes", None),
        (7, "an input is a text or a tuple of two texts, not a int", None),
        (("one",), "an input is a text or a tuple of two texts, not a tuple of 1", None),
        (("a", "b", "c"), "an input is a text or a tuple of two texts, not a tuple of 3", None),
        (("a", 3), "an input is a text or a tuple of two texts, not a int", None),
    ],
)
def test_what_is_not_text_is_refused(item, what, hint):
    with pytest.raises(UsageError) as alone:
        ours("tokenizer").encode_one(item)
    assert (alone.value.what, alone.value.hint, alone.value.exit_code) == (what, hint, 2)
    with pytest.raises(UsageError) as listed:
        ours("tokenizer").encode(["fine", "fine", item])
    assert (listed.value.what, listed.value.where) == (what, "input 2")


def test_padding_and_truncation_stored_in_the_file_do_not_count(tokenizer_folder, tmp_path):
    from tokenizers import Tokenizer

    stored = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    stored.enable_padding(length=64, pad_id=1, pad_token="<pad>")
    stored.enable_truncation(4)
    stored.save(str(tmp_path / "tokenizer.json"))
    found = TextTokenizer.open(tmp_path, MAX_LENGTH).encode_one("a great film, really")
    assert found.ids.tolist() == expected("tokenizer", "a great film, really")


@pytest.mark.parametrize("stated", [True, False])
def test_prefix_space_of_the_config_counts_as_in_hugging_face(tokenizer_folder, tmp_path, stated):
    from transformers import AutoTokenizer

    shutil.copytree(tokenizer_folder, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "add_prefix_space": stated}))
    wanted = AutoTokenizer.from_pretrained(tmp_path)("film")["input_ids"]
    assert TextTokenizer.open(tmp_path, MAX_LENGTH).encode_one("film").ids.tolist() == wanted


#: Settings of ``tokenizer_config.json`` that change ids.
SETTINGS = (
    {"truncation_side": "left"},
    {"truncation_side": "right"},
    {"split_special_tokens": True},
    {"truncation_side": "left", "split_special_tokens": True, "add_prefix_space": True},
)


@cache
def both(index: int, folder: Path) -> tuple[TextTokenizer, Any]:
    from transformers import AutoTokenizer

    return TextTokenizer.open(folder, MAX_LENGTH), AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def set_folders(tmp_path_factory):
    folders = []
    for changed in SETTINGS:
        folders.append(tmp_path_factory.mktemp("set"))
        shutil.copytree(DATA / "tokenizer", folders[-1], dirs_exist_ok=True)
        file = folders[-1] / "tokenizer_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
    return folders


@pytest.mark.parametrize("index", range(len(SETTINGS)), ids=str)
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(first=TEXTS, second=TEXTS)
@example(first="word " * 500 + "end", second="</s>" * 30)
def test_settings_that_change_ids_count_as_in_hugging_face(set_folders, index, first, second):
    tokenizer, reference = both(index, set_folders[index])
    for item in (first, (first, second)):
        columns = ([part] for part in ([item] if isinstance(item, str) else item))
        wanted = reference(*columns, truncation=True, max_length=MAX_LENGTH)["input_ids"][0]
        assert tokenizer.encode_one(item).ids.tolist() == tokenizer.encode([item])[0].ids.tolist() == wanted


def test_the_side_stored_in_the_file_counts_where_the_config_names_none(tokenizer_folder, tmp_path):
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    shutil.copytree(tokenizer_folder, tmp_path, dirs_exist_ok=True)
    stored = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    stored.enable_truncation(4, stride=1, direction="left")
    stored.save(str(tmp_path / "tokenizer.json"))
    text = "word " * 100 + "end"
    found = TextTokenizer.open(tmp_path, MAX_LENGTH).encode_one(text)
    wanted = AutoTokenizer.from_pretrained(tmp_path)(text, truncation=True, max_length=MAX_LENGTH)
    assert (found.ids.tolist(), found.truncated) == (wanted["input_ids"], True)


def test_a_side_that_is_none_is_refused(tokenizer_folder, tmp_path):
    shutil.copytree(tokenizer_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "tokenizer_config.json").write_text('{"truncation_side": "middle"}')
    with pytest.raises(BundleError, match="truncation_side is 'middle', not one of right, left"):
        TextTokenizer.open(tmp_path, MAX_LENGTH)


@pytest.mark.parametrize("value", ["true", 1, 0, None, []], ids=str)
@pytest.mark.parametrize("name", ["split_special_tokens", "add_prefix_space", "truncation_side"])
def test_a_setting_of_another_type_is_refused_by_name(tokenizer_folder, tmp_path, name, value):
    shutil.copy(tokenizer_folder / "tokenizer.json", tmp_path)
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps({name: value}))
    with pytest.raises(BundleError, match=f": {name} is .*, not ") as caught:
        TextTokenizer.open(tmp_path, MAX_LENGTH)
    assert caught.value.where == str(file)


@pytest.mark.parametrize("max_length", [-1, 0, 1, 2])
def test_a_length_without_room_for_a_text_is_refused(tokenizer_folder, max_length):
    with pytest.raises(UsageError) as caught:
        TextTokenizer.open(tokenizer_folder, max_length)
    wanted = f"max_length: {max_length} tokens leave no room for a text: 2 are special tokens"
    assert (str(caught.value), caught.value.exit_code) == (wanted, 2)


@pytest.mark.parametrize("max_length", [2.5, "12", None, True])
def test_a_length_that_is_no_whole_number_is_refused(tokenizer_folder, max_length):
    with pytest.raises(UsageError, match="must be a whole number"):
        TextTokenizer.open(tokenizer_folder, max_length)


def test_a_length_without_room_for_the_special_tokens_of_a_pair_is_refused(tokenizer_folder):
    tokenizer = TextTokenizer.open(tokenizer_folder, 3)
    assert len(tokenizer.encode_one("a film").ids) == 3
    for ask in (tokenizer.encode_one, lambda pair: tokenizer.encode(["one", pair])):
        with pytest.raises(UsageError) as caught:
            ask(("a film", "another"))
        assert caught.value.what == "3 tokens leave no room for a pair: 4 are special tokens"
    assert len(TextTokenizer.open(tokenizer_folder, 4).encode_one(("a film", "another")).ids) == 4


@pytest.mark.parametrize("content", [None, "", "{}", "not json", '{"model": {"type": "BPE"}}'])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path, content):
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(BundleError) as caught:
        TextTokenizer.open(tmp_path, MAX_LENGTH)
    assert caught.value.what.startswith("not a readable tokenizer (")
    assert (caught.value.where, caught.value.exit_code) == (str(file), 1)
    assert caught.value.hint == "copy the folder again from where it was made"


def test_a_template_with_tokens_that_it_does_not_define_is_refused(xlmr_tokenizer_folder, tmp_path):
    shutil.copytree(xlmr_tokenizer_folder, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "tokenizer.json"
    fields = json.loads(file.read_text())
    del fields["post_processor"]["special_tokens"]["</s>"]
    file.write_text(json.dumps(fields))
    with pytest.raises(BundleError, match="its template names '</s>' and does not define it"):
        TextTokenizer.open(tmp_path, MAX_LENGTH)


def test_a_tokenizer_config_that_is_no_object_is_refused(tokenizer_folder, tmp_path):
    shutil.copytree(tokenizer_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(BundleError, match="not a JSON object"):
        TextTokenizer.open(tmp_path, MAX_LENGTH)


class Refusing:
    """Stands for the Rust side on a text that it cannot take."""

    def num_special_tokens_to_add(self, is_pair):
        return 4 if is_pair else 2

    def encode(self, *texts):
        raise Exception("Unk token `<unk>` not found in the vocabulary")

    def token_to_id(self, token):
        return None

    encode_batch_fast = encode


@pytest.mark.parametrize("threads", [None, 1])
def test_a_text_that_the_rust_side_refuses_is_a_clear_error(threads):
    tokenizer = TextTokenizer(Refusing(), MAX_LENGTH, threads)
    with pytest.raises(UsageError) as alone:
        tokenizer.encode_one("film")
    assert str(alone.value) == "the tokenizer refuses this text"
    with pytest.raises(UsageError) as listed:
        tokenizer.encode(["film"])
    assert str(listed.value) == "input 0: the tokenizer refuses this text"


def test_a_list_is_tokenized_without_the_thread_pool_where_one_thread_is_asked_for(tokenizer_folder):
    class Alone:
        """The real tokenizer, whose thread pool must not be used."""

        def __init__(self, real):
            self.encode = real.encode

        def encode_batch_fast(self, inputs):
            pytest.fail("the thread pool was used")

    tokenizer = TextTokenizer.open(tokenizer_folder, MAX_LENGTH, threads=1)
    tokenizer._tokenizer = Alone(tokenizer._tokenizer)
    texts = ["a great film", ("first", "second"), "word " * 70]
    for found, wanted in zip(tokenizer.encode(texts), ours("tokenizer").encode(texts), strict=True):
        assert (found.ids.tolist(), found.truncated) == (wanted.ids.tolist(), wanted.truncated)
