from __future__ import annotations

import torch

from edgeroberta.measure.torch_baseline import TorchBaseline
from edgeroberta.roberta import loading
from edgeroberta.roberta.checkpoint import Checkpoint


def test_no_model_that_was_loaded_has_cudnn_plan_its_attention(tiny_checkpoint):
    source = Checkpoint(tiny_checkpoint)
    made = (
        lambda: loading.random_model(source, source.task, {}, seed=0, dropout=0.0, attention_dropout=0.0),
        lambda: loading.load_classifier(source, source.task, seed=0),
        lambda: TorchBaseline(source),
    )
    for make in made:
        torch.backends.cuda.enable_cudnn_sdp(True)
        make()
        assert not torch.backends.cuda.cudnn_sdp_enabled()
