from __future__ import annotations

from dataclasses import replace

import fake_latency
import pytest
from page_reader import PageReader, check_policy, skeleton

from edgeroberta.report import latency
from edgeroberta.roberta.shape import EncoderShape, LayerShape

pytest.importorskip("jinja2")
TABLE = fake_latency.table(
    EncoderShape(1000, 64, 16, 66, 1, 2, (LayerShape(4, 256),) * 6), lengths=(4, 16, 64)
)


def test_a_page_draws_the_model_by_length_and_layers_by_shape():
    read = PageReader(latency.page(TABLE))
    check_policy(read)
    words = "".join(read.words)
    assert read.tags.count("svg") == 1
    assert "One layer, milliseconds for 64 tokens" in words
    assert f"{1000 * TABLE.layer(LayerShape(4, 256), 64):.3f}" in words
    for cell in latency.rows(TABLE).rows[1]:
        assert cell in words


def test_a_device_s_name_never_becomes_markup():
    hostile = replace(TABLE, device='<b>"&</script>', engine="</title><script>alert(1)</script>")
    assert skeleton(PageReader(latency.page(hostile))) == skeleton(PageReader(latency.page(TABLE)))
