"""The rows of examples/ to try redaction on."""

from __future__ import annotations

import subprocess
import sys

import served

from edgeroberta.data import DataSpec, load_splits
from edgeroberta.tasks.schemes import tag_table


def test_rows_to_try_redaction_on_are_read_as_texts_with_spans(tmp_path):
    script = served.ROOT / "examples" / "personal_data.py"
    made = subprocess.run([sys.executable, str(script), "300"], stdout=subprocess.PIPE, check=True).stdout
    (tmp_path / "personal.jsonl").write_bytes(made)
    splits = load_splits(DataSpec(str(tmp_path / "personal.jsonl")), task=None)
    assert len(made.splitlines()) == 300
    assert set(tag_table(splits.labels).types) == {"NAME", "EMAIL", "PHONE", "ADDRESS", "IBAN"}
    assert splits.train.labels.labelled == "all"
