from __future__ import annotations

import json
import shutil

import pytest

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.training import foreign


def test_a_tokenizer_that_pads_on_the_left_is_refused_but_for_a_roberta(tiny_checkpoint, tmp_path):
    folder = tmp_path / "left"
    shutil.copytree(tiny_checkpoint, folder)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "padding_side": "left"}))
    assert foreign._tokenizer(Checkpoint(folder)).pad_token_id == 1
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "electra"}))
    with pytest.raises(CheckpointError, match=r"pads on the left \(padding_side\)"):
        foreign._tokenizer(Checkpoint(folder))
