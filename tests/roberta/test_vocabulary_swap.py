from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from edgeroberta.errors import CheckpointError
from edgeroberta.parity import tokens as parity
from edgeroberta.roberta import bpe_training, checkpoint_validation, vocabulary_growth, vocabulary_swap
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.new_words import WordReader

RANDOM = random.Random(1)
WORDS = ["film", "the", "cardio", "great", "terrible", "电影", "story", "unexpected", "naïve", "is"]
TEXTS = [" ".join(RANDOM.choices(WORDS, k=9)) for _ in range(300)]


def swap(source: Path, output: Path, size: int = 310) -> tuple[dict[str, int], int]:
    model, reader = Checkpoint(source), WordReader.open(source / "tokenizer.json")
    fields = bpe_training.train([TEXTS], size=size, min_frequency=2)
    bpe_training.write(fields, output, max_length=model.max_length)
    vocabulary = fields["model"]["vocab"]
    rows, kept = vocabulary_swap.row_sources(reader, vocabulary)
    changed = vocabulary_swap.config(model, reader, vocabulary)
    vocabulary_growth.write_model(model, output, rows, fields=changed)
    return vocabulary, kept


def test_tokens_that_were_there_keep_their_rows_and_others_start_from_their_pieces(
    tiny_mask_checkpoint, tmp_path
):
    vocabulary, kept = swap(tiny_mask_checkpoint, tmp_path)
    checkpoint_validation.check(Checkpoint(tmp_path))
    reader = WordReader.open(tiny_mask_checkpoint / "tokenizer.json")
    old, new = (load_file(folder / "model.safetensors") for folder in (tiny_mask_checkpoint, tmp_path))
    for name in ("roberta.embeddings.word_embeddings.weight", "lm_head.bias"):
        assert len(new[name]) == 310
        for piece, number in vocabulary.items():
            if piece in reader.file.ids:
                assert torch.equal(new[name][number], old[name][reader.file.ids[piece]]), piece
            else:
                parts = list(reader.pieces(piece))
                assert len(parts) > 1
                assert torch.equal(new[name][number], old[name][parts].double().mean(0).float()), piece
    assert kept == len(vocabulary.keys() & reader.file.ids.keys())
    assert 261 <= kept < 310
    assert "Ġcardio" in vocabulary.keys() - reader.file.ids.keys()


def test_the_head_of_masked_words_answers_in_the_new_tokens(tiny_mask_checkpoint, tmp_path):
    from transformers import AutoModelForMaskedLM

    swap(tiny_mask_checkpoint, tmp_path)
    model, record = AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not record["missing_keys"]
    assert model(torch.tensor([[0, 7, 309, 2]])).logits.shape == (1, 4, 310)
    found = Checkpoint(tmp_path)
    assert found.task.mask_id == 309


@pytest.mark.parametrize("name", ["tiny_checkpoint", "tiny_xlmr_checkpoint"])
def test_transformers_and_the_runtime_read_the_same_ids(name, request, tmp_path):
    swap(request.getfixturevalue(name), tmp_path)
    assert parity.check(Checkpoint(tmp_path), [*TEXTS[:20], "Unheard-of: фильм", "a <mask>"]) is None


def test_ids_of_the_config_follow_the_tokens_and_those_of_none_are_left_out(tiny_checkpoint, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(tiny_checkpoint, source)
    config = json.loads((source / "config.json").read_text())
    config |= {"mask_token_id": 4, "sep_token_id": 599, "cls_token_id": 0, "decoder_start_token_id": None}
    (source / "config.json").write_text(json.dumps({**config, "tokenizer_class": "XLMRobertaTokenizer"}))
    output = tmp_path / "output"
    output.mkdir()
    swap(source, output)
    found = json.loads((output / "config.json").read_text())
    assert found["vocab_size"] == 310
    ids = {name: value for name, value in found.items() if name.endswith("_token_id")}
    assert ids == {
        "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "mask_token_id": 309, "cls_token_id": 0,
    }  # fmt: skip
    assert found["tokenizer_class"] == "RobertaTokenizer"


def test_pieces_of_sentencepiece_are_found_by_their_text(tiny_xlmr_checkpoint, tmp_path):
    vocabulary, kept = swap(tiny_xlmr_checkpoint, tmp_path)
    reader = WordReader.open(tiny_xlmr_checkpoint / "tokenizer.json")
    old, new = (load_file(folder / "model.safetensors") for folder in (tiny_xlmr_checkpoint, tmp_path))
    name = "roberta.embeddings.word_embeddings.weight"

    def row(piece: str) -> torch.Tensor:
        return new[name][vocabulary[piece]]

    assert torch.equal(row("<mask>"), old[name][155])
    for piece, text in {"Ġfilm": "▁film", "film": "▁film", "Ġthe": "▁the", "x": "▁x"}.items():
        if piece in vocabulary:
            parts = list(reader.pieces(text))
            assert torch.equal(row(piece), old[name][parts].double().mean(0).float()), piece
    # half of a character, and one that it does not know
    assert torch.equal(row("ï"), old[name][3])
    assert torch.equal(row("<unk>"), old[name][3])
    assert kept < len(vocabulary)


def test_a_model_whose_padding_is_elsewhere_is_refused(tiny_bert_checkpoint, make_checkpoint):
    vocabulary_swap.check(Checkpoint(make_checkpoint()))
    with pytest.raises(CheckpointError) as caught:
        vocabulary_swap.check(Checkpoint(tiny_bert_checkpoint))
    assert caught.value.what == (
        "a tokenizer like RoBERTa's has its padding at 1, and this is a BERT with its own at 0"
    )
    with pytest.raises(CheckpointError):
        vocabulary_swap.check(Checkpoint(make_checkpoint(pad_token_id=3)))
