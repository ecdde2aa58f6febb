from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from edgeroberta.roberta import word_beginnings
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import tokenizerfiles
from edgeroberta.storage.files import TOKENIZER
from edgeroberta.training.masked_tokens import TokenMasking


def words(model: Checkpoint, text: str) -> list[str]:
    """Cut a text where its tokens begin a word."""
    tokenizer, _ = tokenizerfiles.read(model.folder)
    found, begins = tokenizer.encode(text, add_special_tokens=False), word_beginnings.table(model)
    starts = [start for number, (start, _) in zip(found.ids, found.offsets, strict=True) if begins[number]]
    return [text[start:stop].strip() for start, stop in zip(starts, [*starts[1:], len(text)], strict=True)]


def test_over_bytes_a_word_begins_at_a_space_and_at_each_chinese_character(tiny_mask_checkpoint):
    model = Checkpoint(tiny_mask_checkpoint)
    assert words(model, " a Unbelievable (story)") == ["a", "Unbelievable", "", "(story", ")"]
    assert words(model, "我是好电影。") == list("我是好电影。")
    assert words(model, " Привет “naïve”") == ["Привет", "", "“naïve", "”"]


def test_in_sentencepiece_a_piece_of_a_script_without_spaces_is_a_word(tiny_xlmr_checkpoint, tmp_path):
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁the", "我们", "喜欢", "电影", "s", "，", "한국"]
    made = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=3))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny_xlmr_checkpoint.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    made.save(str(folder / TOKENIZER))
    begins = word_beginnings.table(Checkpoint(folder))
    told = {piece: bool(begins[number]) for number, piece in enumerate(pieces)}
    assert {piece for piece in pieces[4:] if not told[piece]} == {"s", "한국"}


@pytest.mark.parametrize("visits", [200])
def test_each_chinese_character_is_masked_as_often(tiny_mask_checkpoint, visits):
    """As one long word, of which the beginning is masked, only the first ones ever were."""
    model = Checkpoint(tiny_mask_checkpoint)
    tokenizer, _ = tokenizerfiles.read(model.folder)
    ids = np.array(tokenizer.encode("我们都很喜欢这部电影的音乐和故事我们都很喜欢").ids)
    masking = TokenMasking.of(model, share=0.2, whole_words=True)
    masked = np.zeros(len(ids))
    for visit in range(visits):
        masked[masking.text(ids, (visit,))[1]] += 1
    assert masked[1:-1].min() > 0.1 * visits
    assert masked[1:-1].max() < 0.3 * visits
