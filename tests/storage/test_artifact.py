"""Artifacts: sealed whole, read back, found out when changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.storage import artifact
from edgeroberta.storage.artifact import Artifact, Kind, Lineage

LINEAGE = Lineage("export", "k" * 64, {"a": 1}, 7, {"checkpoint": "c" * 64}, {"numpy": "2.0"}, 1.5, {"n": 2})


def make(folder: Path) -> Artifact:
    (folder / "new" / "inner").mkdir(parents=True)
    (folder / "new" / "inner" / "weights").write_bytes(b"\x00\x01")
    return artifact.finish(folder / "new", Kind.GRAPH, LINEAGE, folder / "done")


def test_a_finished_artifact_reads_back_with_its_lineage(tmp_path):
    made = make(tmp_path)
    assert not (tmp_path / "new").exists()
    read = artifact.load(tmp_path / "done")
    assert read.kind is Kind.GRAPH
    assert read.lineage == made.lineage
    assert read.lineage.content == read.digest
    assert artifact.verify(read)


def test_a_lineage_is_json_with_a_version_sorted_keys_and_a_final_newline(tmp_path):
    make(tmp_path)
    text = (tmp_path / "done" / "artifact.json").read_text()
    fields = json.loads(text)
    assert fields["schema_version"] == 1
    assert list(fields) == sorted(fields)
    assert text.endswith("}\n")


@pytest.mark.parametrize("change", ["flip", "rename", "add", "remove"])
def test_any_change_of_a_file_is_found_out(tmp_path, change):
    make(tmp_path)
    file = tmp_path / "done" / "inner" / "weights"
    if change == "flip":
        file.write_bytes(b"\x00\x00")
    elif change == "rename":
        file.rename(file.with_name("weight"))
    elif change == "add":
        file.with_name("more").write_bytes(b"")
    else:
        file.unlink()
    assert not artifact.verify(artifact.load(tmp_path / "done"))


def test_an_artifact_sealed_without_a_content_digest_is_not_trusted(tmp_path):
    assert not artifact.verify(Artifact(tmp_path, Kind.GRAPH, LINEAGE))


def test_hidden_files_and_lineages_are_no_part_of_the_digest(tmp_path):
    (tmp_path / "a").write_text("a")
    before = artifact.digest_tree(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").write_text("x")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "artifact.json").write_text("{}")
    assert artifact.digest_tree(tmp_path) == before


def test_the_digest_tells_where_one_file_ends_and_the_next_begins(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a").write_text("bc")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "ab").write_text("c")
    assert artifact.digest_tree(tmp_path / "one") != artifact.digest_tree(tmp_path / "two")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema_version": "x"}', '{"schema_version": 1}'])
def test_a_folder_without_a_readable_lineage_is_not_an_artifact(tmp_path, text):
    (tmp_path / "artifact.json").write_text(text)
    with pytest.raises(EdgeRobertaError, match="not a finished artifact") as caught:
        artifact.load(tmp_path)
    assert caught.value.where == str(tmp_path / "artifact.json")
    assert caught.value.hint == "delete the folder and run the command again"
    assert caught.value.exit_code == 1


def test_a_newer_lineage_with_fields_of_its_own_is_refused_as_newer(tmp_path):
    make(tmp_path)
    file = tmp_path / "done" / "artifact.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema_version": 2, "colour": "blue"}))
    with pytest.raises(EdgeRobertaError) as caught:
        artifact.load(tmp_path / "done")
    assert caught.value.what == "written by a newer version (schema 2, this one reads 1)"
    assert caught.value.hint == "pip install --upgrade edgeroberta"


def test_a_write_that_fails_leaves_the_former_file(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    artifact.write_json(file, {"a": 1})

    def refuse(handle: int) -> None:
        raise OSError("no")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="no"):
        artifact.write_json(file, {"a": 2})
    assert json.loads(file.read_text()) == {"a": 1}


def test_the_digest_of_a_value_does_not_depend_on_the_order_of_its_keys():
    assert artifact.digest_value({"a": 1, "b": 2}) == artifact.digest_value({"b": 2, "a": 1})
    assert artifact.digest_value({"a": 1}) != artifact.digest_value({"a": 1.5})


def test_reports_are_not_written_over_files_of_others(tmp_path):
    names = ("report.json", "report.md")
    artifact.check_place(tmp_path / "absent", names)
    (tmp_path / "report.md").write_text("my report")
    with pytest.raises(UsageError) as caught:
        artifact.check_place(tmp_path, names)
    assert caught.value.what == "report.md is there, and not a report of edgeroberta; it is left untouched"
    artifact.write_json(tmp_path / "report.json", {"kind": "edgeroberta-report"})
    artifact.check_place(tmp_path, names)


def test_a_file_that_cannot_be_written_whole_leaves_the_former_one_and_nothing_else(tmp_path):
    (tmp_path / "report.json").write_text("former")

    def fail() -> None:
        with artifact.replacing(tmp_path / "report.json") as handle:
            handle.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [file.read_text() for file in tmp_path.iterdir()] == ["former"]
