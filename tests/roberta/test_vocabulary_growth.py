from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from odd_inputs import TEXTS as ODD
from safetensors.torch import load_file, save_file

from edgeroberta.errors import CheckpointError
from edgeroberta.parity import tokens as parity
from edgeroberta.roberta import checkpoint_validation, new_words, vocabulary_growth
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.new_words import NewPiece, WordReader
from edgeroberta.runtime import mask_token
from edgeroberta.runtime.tokenizer import TextTokenizer

NEW = ("myocarditis", "naïveté", "Thrombus", "cardio")
#: No word of theirs begins with a new one; parts of new ones are in there.
OTHERS = (
    "The film is great.", "submyocarditis, pseudothrombus", "myocardit naïvet thromb", "my ocarditis nai",
    "  two  spaces\t<mask> \n", "café \U0001f600 电影 心肌", "It's 42% (not) myo-carditi",
)  # fmt: skip
#: Texts with new words, in the middle of a sentence, at its start and behind a bracket.
WITH = (
    "a case of myocarditis.", "myocarditis is bad", "naïveté, naïveté!", "The Thrombus; cardio",
    "cardio <mask> myocarditis", "say myocarditis's name",
)  # fmt: skip
FAMILIES = ["tiny_checkpoint", "tiny_xlmr_checkpoint", "tiny_bert_checkpoint"]


def grow(source: Path, words: tuple[str, ...], output: Path) -> list[NewPiece]:
    reader = WordReader.open(source / "tokenizer.json")
    vocabulary_growth.check(reader)
    pieces = new_words.distinct(reader.candidate(word, {}) for word in words)
    vocabulary_growth.write_tokenizer(reader, output, pieces)
    model = Checkpoint(source)
    vocabulary_growth.write_model(model, output, vocabulary_growth.row_sources(model, reader.file, pieces))
    return pieces


def ids(folder: Path, texts) -> list[list[int]]:
    return [one.ids.tolist() for one in TextTokenizer.open(folder, 512).encode(list(texts))]


@pytest.fixture(params=FAMILIES)
def source(request) -> Path:
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture
def grown(source, tmp_path) -> Path:
    grow(source, NEW, tmp_path)
    return tmp_path


def test_texts_without_the_words_keep_every_id(source, grown):
    texts = (*OTHERS, *(text for text in ODD.values() if len(text) < 5000), *parity.ODD)
    assert ids(grown, texts) == ids(source, texts)


def test_texts_with_the_words_have_fewer_tokens_and_come_back(source, grown):
    old, new = (WordReader.open(folder / "tokenizer.json") for folder in (source, grown))
    parts = {number: old.pieces(piece) for piece, number in new.file.ids.items() if piece not in old.file.ids}
    first, then = TextTokenizer.open(source, 512), TextTokenizer.open(grown, 512)
    for text, before, after in zip(WITH, ids(source, WITH), ids(grown, WITH), strict=True):
        assert len(after) < len(before), text
        # a new token stands for its pieces, and what is around it is cut as ever
        assert [part for each in after for part in parts.get(each, (each,))] == before
        if old.file.kind == "BPE":  # the others' pieces leave characters out
            assert then.decode(after, skip_special_tokens=False) == first.decode(
                before, skip_special_tokens=False
            )


@pytest.mark.parametrize("name", FAMILIES[1:])
def test_words_of_known_characters_come_back(name, request, tmp_path):
    source = request.getfixturevalue(name)
    grow(source, ("warmer", "unexpected"), tmp_path)
    first, then = TextTokenizer.open(source, 512), TextTokenizer.open(tmp_path, 512)
    text = "a warmer film, unexpected and warmer."
    before, after = first.encode_one(text).ids.tolist(), then.encode_one(text).ids.tolist()
    assert len(after) < len(before)
    assert then.decode(after, skip_special_tokens=True) == first.decode(before, skip_special_tokens=True)
    assert "warmer film" in then.decode(after, skip_special_tokens=True)


def test_bytes_come_back_as_they_were(tiny_checkpoint, tmp_path):
    grow(tiny_checkpoint, NEW, tmp_path)
    tokenizer = TextTokenizer.open(tmp_path, 512)
    for text in (*WITH, "naïveté\u00a0(naïveté)\n\n naïveté"):
        found = tokenizer.decode(tokenizer.encode_one(text).ids.tolist(), skip_special_tokens=True)
        assert found == text.replace(" <mask>", "")


def test_a_word_over_bytes_is_one_token_wherever_it_stands_by_itself(tiny_checkpoint, tmp_path):
    grow(tiny_checkpoint, ("myocarditis",), tmp_path)
    texts = ("myocarditis", "a myocarditis", "(myocarditis", "a-myocarditis,", "\nmyocarditis")
    assert [[each for each in one if each >= 600] for one in ids(tmp_path, texts)] == [
        [600], [601], [600], [600], [600],
    ]  # fmt: skip
    longer = ("myocarditises", "a submyocarditis", "Myocarditis")
    assert ids(tmp_path, longer) == ids(tiny_checkpoint, longer)


@pytest.mark.parametrize("name", FAMILIES[1:])
def test_other_models_also_find_a_word_at_the_start_of_a_longer_one(name, request, tmp_path):
    source = request.getfixturevalue(name)
    grow(source, ("myocarditis",), tmp_path)
    first = Checkpoint(source).config.vocab_size if name.endswith("bert_checkpoint") else 156
    for text in ("myocarditis", "a myocarditis.", "the myocarditises"):
        assert len([each for each in ids(tmp_path, [text])[0] if each >= first]) == 1
    assert ids(tmp_path, ["a submyocarditis"]) == ids(source, ["a submyocarditis"])


def test_of_two_words_that_begin_alike_the_longer_one_is_found(source, tmp_path):
    pieces = grow(source, ("myo", "myocard", "myocarditis", "myocarditisx"), tmp_path)
    reader = WordReader.open(tmp_path / "tokenizer.json")
    for piece in pieces:
        assert reader.pieces(piece.text) == (reader.file.ids[piece.text],)


def test_new_rows_are_the_means_of_their_pieces_and_old_ones_the_same_bits(source, tmp_path):
    pieces = grow(source, NEW, tmp_path)
    old, new = (load_file(folder / "model.safetensors") for folder in (source, tmp_path))
    name = next(each for each in old if each.endswith("word_embeddings.weight"))
    model = Checkpoint(tmp_path)
    checkpoint_validation.check(model)
    first = max(WordReader.open(source / "tokenizer.json").file.ids.values()) + 1
    assert len(new[name]) == max(first + len(pieces), len(old[name])) == model.config.vocab_size
    assert torch.equal(new[name][:first], old[name][:first])
    assert torch.equal(new[name][first + len(pieces) :], old[name][first + len(pieces) :])
    reader = WordReader.open(tmp_path / "tokenizer.json")
    for number, piece in enumerate(pieces, start=first):
        assert reader.file.ids[piece.text] == number
        mean = old[name][list(piece.parts)].double().mean(0).float()
        assert torch.equal(new[name][number], mean)
    assert {each: tensor for each, tensor in new.items() if each != name}.keys() == old.keys() - {name}
    assert all(torch.equal(new[each], old[each]) for each in old if each != name)


def test_the_head_of_masked_words_grows_as_well(tiny_mask_checkpoint, tmp_path):
    from transformers import AutoModelForMaskedLM

    source = tmp_path / "source"
    shutil.copytree(tiny_mask_checkpoint, source)
    tensors = load_file(source / "model.safetensors")
    # Stored though it is tied, as older versions of transformers have it.
    tensors["lm_head.decoder.weight"] = tensors["roberta.embeddings.word_embeddings.weight"].clone()
    tensors["lm_head.decoder.bias"] = tensors["lm_head.bias"].clone()
    save_file(tensors, str(source / "model.safetensors"), metadata={"format": "pt"})
    output = tmp_path / "output"
    output.mkdir()
    pieces = grow(source, NEW, output)
    new = load_file(output / "model.safetensors")
    for name in ("lm_head.bias", "lm_head.decoder.bias", "lm_head.decoder.weight"):
        assert torch.equal(new[name][:600], tensors[name])
        for number, piece in enumerate(pieces, start=600):
            mean = tensors[name][list(piece.parts)].double().mean(0).float()
            assert torch.equal(new[name][number], mean)
    model, before = (AutoModelForMaskedLM.from_pretrained(folder).eval() for folder in (output, source))
    assert model.lm_head.decoder.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    text = torch.tensor(ids(output, ["The <mask> is great."]))
    with torch.inference_mode():
        found, expected = model(text).logits, before(text).logits
    assert found.shape[-1] == 600 + len(pieces)
    torch.testing.assert_close(found[..., :600], expected)
    assert mask_token.find(output) == mask_token.find(source)
    assert mask_token.find(output).special == mask_token.find(source).special


def test_transformers_and_the_runtime_read_the_same_ids(grown):
    assert parity.check(Checkpoint(grown), [*OTHERS, *WITH, "myocarditises"]) is None


def test_transformers_saves_what_it_read(grown, tmp_path):
    from transformers import AutoTokenizer

    again = tmp_path / "again"
    AutoTokenizer.from_pretrained(grown).save_pretrained(again)
    assert ids(again, [*OTHERS[:4], *WITH]) == ids(grown, [*OTHERS[:4], *WITH])


def test_words_can_be_added_a_second_time(source, grown, tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    pieces = grow(grown, ("stenosis", "myocarditis"), more)
    assert {piece.text.strip("Ġ▁") for piece in pieces} == {"stenosis"}
    texts = (*OTHERS, *WITH)
    assert ids(more, texts) == ids(grown, texts)
    assert len(ids(more, ["a stenosis"])[0]) < len(ids(source, ["a stenosis"])[0])


def test_a_piece_that_no_merge_makes_is_refused_since_it_would_be_found(tokenizer_folder, tmp_path):
    for file in tokenizer_folder.glob("*.json"):
        shutil.copy(file, tmp_path)
    fields = json.loads((tmp_path / "tokenizer.json").read_text())
    fields["model"]["vocab"]["Ġmadeupword"] = 600
    (tmp_path / "tokenizer.json").write_text(json.dumps(fields))
    reader = WordReader.open(tmp_path / "tokenizer.json")
    with pytest.raises(CheckpointError) as caught:
        vocabulary_growth.check(reader)
    assert "its token 'Ġmadeupword' is made by no merge" in caught.value.what
    assert "vocabulary: train" in str(caught.value.hint)
    # One with a digit behind letters is two words to the tokenizer, and is never found as a whole.
    del fields["model"]["vocab"]["Ġmadeupword"]
    fields["model"]["vocab"]["madeupword0000"] = 600
    (tmp_path / "tokenizer.json").write_text(json.dumps(fields))
    vocabulary_growth.check(WordReader.open(tmp_path / "tokenizer.json"))


def test_rows_that_no_token_has_are_taken_first(make_checkpoint, tmp_path):
    source = make_checkpoint(vocab_size=640)
    pieces = grow(source, ("myocarditis", "thrombus"), tmp_path)
    assert len(pieces) == 4
    assert Checkpoint(tmp_path).config.vocab_size == 640
    old, new = (load_file(folder / "model.safetensors") for folder in (source, tmp_path))
    name = "roberta.embeddings.word_embeddings.weight"
    assert torch.equal(new[name][604:], old[name][604:])
    assert not torch.equal(new[name][600:604], old[name][600:604])
