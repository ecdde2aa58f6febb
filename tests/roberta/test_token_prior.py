from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgeroberta.roberta import files, names, token_prior
from edgeroberta.roberta.checkpoint import Checkpoint


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_tokens_like_the_used_ones_score_higher_than_others(tmp_path, dtype):
    random = np.random.default_rng(0)
    kinds = random.integers(0, 2, 6000)
    table = random.normal(size=(6000, 16)) + 3 * np.where(kinds[:, None], np.eye(16)[0], np.eye(16)[1])
    save_file({f"roberta.{names.WORDS}": torch.tensor(table).to(dtype)}, str(tmp_path / files.WEIGHTS))
    used = (kinds == 1) & (random.random(6000) < 0.5)
    ranks = random.permutation(6000).astype(float)
    ranks[:10] = np.inf
    scores = token_prior.score(Checkpoint(tmp_path), used, ranks)
    assert (scores[:10] == -np.inf).all()
    unused = ~used & np.isfinite(ranks)
    best = np.argsort(-np.where(unused, scores, -np.inf))[:1000]
    assert kinds[best].mean() > 0.95


def test_general_tokens_score_higher_where_embeddings_tell_nothing(tmp_path):
    table = torch.ones(500, 4)
    save_file({names.WORDS: table}, str(tmp_path / files.WEIGHTS))
    ranks = np.arange(500.0)
    scores = token_prior.score(Checkpoint(tmp_path), ranks < 50, ranks)
    assert (np.diff(scores) < 0).all()


def test_nothing_used_is_no_error(tmp_path):
    save_file({names.WORDS: torch.zeros(8, 4)}, str(tmp_path / files.WEIGHTS))
    assert np.isfinite(token_prior.score(Checkpoint(tmp_path), np.zeros(8, bool), np.arange(8.0))).all()
