from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import tablecopy
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.row_means import RowMeans

SOURCES = ((3,), (0, 1), (2, 2, 4), (1,), (4, 0, 1, 2, 3))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(5, 3), (5,)])
def test_rows_are_means_and_single_ones_the_same_bits(dtype, shape, tmp_path, monkeypatch):
    monkeypatch.setattr(tablecopy, "_ROWS", 2)
    old = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    save_file({"lm_head.bias": old, "other": old.clone()}, str(tmp_path / "model.safetensors"))
    file = tmp_path / "new.safetensors"
    tablecopy.copy(Checkpoint(tmp_path), file, {"lm_head.bias": RowMeans.of(SOURCES)})
    found = load_file(file)
    new = found["lm_head.bias"]
    assert torch.equal(found["other"], old)
    assert (new.dtype, new.shape) == (dtype, old.shape)
    expected = torch.stack([old[list(each)].double().mean(0) for each in SOURCES])
    # bfloat16 is rounded from float32, as torch does it
    assert torch.equal(new, (expected.float() if dtype == torch.bfloat16 else expected).to(dtype))
    assert torch.equal(new[0], old[3])
    assert torch.equal(new[3], old[1])


def test_a_table_of_whole_numbers_has_no_means_but_may_be_copied(tmp_path):
    save_file({"lm_head.bias": torch.arange(5, dtype=torch.int8)}, str(tmp_path / "model.safetensors"))
    model, file = Checkpoint(tmp_path), tmp_path / "new.safetensors"
    tablecopy.copy(model, file, {"lm_head.bias": RowMeans.of([(4,), (4,)])})
    assert load_file(file)["lm_head.bias"].tolist() == [4, 4]
    with pytest.raises(CheckpointError) as caught:
        tablecopy.copy(model, file, {"lm_head.bias": RowMeans.of(SOURCES)})
    assert caught.value.what == "rows stored as I8 have no mean"


def test_there_is_a_start_for_every_row():
    rows = RowMeans.of(SOURCES)
    assert len(rows) == 5
    assert rows.ids.dtype == rows.starts.dtype == np.int64
    assert rows.starts.tolist() == [0, 1, 3, 6, 7, 12]
