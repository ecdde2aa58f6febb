"""What is published of a bundle, what stays here, and what is refused."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path

import fake_bundles
import fake_cascades
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import edgeroberta
from edgeroberta import bundle_writer, cli
from edgeroberta.errors import BundleError, GateError, UsageError
from edgeroberta.hub import ids, private, published
from edgeroberta.runtime import manifest
from edgeroberta.storage import artifact

NAME = "someone/reviews"
SECRET = "/home/anna/customers/complaints.csv"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

CARD = """---
library_name: edgeroberta
---

# Reviews

```python
# pip install 'edgeroberta[onnxruntime]'
from edgeroberta.runtime import Runtime

runtime = Runtime.open("path/to/this/folder")
```

More is in [reports/report.md](reports/report.md).
"""


def sealed(folder: Path, **changes) -> Path:
    """Seal a folder again, with other fields."""
    fields = json.loads((folder / "manifest.json").read_bytes())
    bundle_writer.seal(folder, {**fields, **changes})
    return folder


@pytest.fixture
def bundle(tmp_path):
    """Make a bundle with all that a bundle may have, and with what must stay here."""
    folder = fake_bundles.write(tmp_path / "out")
    flips = [{"row": 3, "text": "Anna never pays", "pair": None, "truth": "negative"}]
    report = {
        "kind": "edgeroberta-report",
        "flips": flips,
        "labels": ["/home/label/stays"],
        "data": {"source": SECRET, "rows": 9},
        "warnings": [f"rows of {SECRET} are copies."],
    }
    (folder / "reports" / "reference").mkdir(parents=True)
    artifact.write_json(folder / "reports" / "report.json", report)
    (folder / "reports" / "report.md").write_text("| 3 | Anna never pays |\n")
    (folder / "reports" / "report.html").write_text("<p>Anna never pays</p>\n")
    (folder / "reports" / "reference" / "reference.json").write_text("{}")
    (folder / "README.md").write_text(CARD)
    (folder / "recipe.yaml").write_text(f"stages:\n- distill:\n    teacher: {SECRET}\n")
    lineage = [
        {"stage": "source", "seconds": 0.0, "config": {"data": {"data": SECRET}, "model": "~/models/x"}}
    ]
    return sealed(folder, lineage=lineage)


def test_what_comes_back_is_what_was_published_and_answers_the_same(hub, bundle):
    done = edgeroberta.push(bundle, NAME)
    folder = edgeroberta.pull(NAME)
    found = manifest.read(folder)
    manifest.check_files(found)
    assert found.digest == done.digest == manifest.read(bundle).digest
    with edgeroberta.load(NAME) as there, edgeroberta.load(bundle) as here:
        assert there("a great film") == here("a great film")
    assert set(done.files) == set(hub.files(NAME)) - {".gitattributes"}
    assert set(found.files) == set(done.files) - {"README.md", "manifest.json"}


def test_the_published_form_is_the_same_each_time(hub, bundle, tmp_path, monkeypatch):
    first = published.form(bundle, ids.require(NAME))
    again = shutil.copytree(bundle, tmp_path / "somewhere" / "else")
    monkeypatch.chdir(again)
    second = published.form(again, ids.require(NAME))
    assert {name: file.sha256 for name, file in first.files.items()} == {
        name: file.sha256 for name, file in second.files.items()
    }
    commit = edgeroberta.push(bundle, NAME).commit
    repeated = edgeroberta.push(again, NAME)
    assert (repeated.commit, repeated.new) == (commit, False)


def test_what_was_pulled_can_be_published_again_as_it_is(hub, bundle, tmp_path):
    edgeroberta.push(bundle, NAME)
    copy = edgeroberta.pull(NAME, tmp_path / "copy")
    assert not [each for each in copy.rglob("*") if each.is_symlink()]
    assert (copy / "README.md").is_file()
    (edgeroberta.pull(NAME) / "model.safetensors").write_bytes(b"of another program")
    again = edgeroberta.pull(NAME, tmp_path / "again")
    assert {each.name for each in again.iterdir()} == {each.name for each in copy.iterdir()}
    edgeroberta.push(copy, "other/reviews")
    assert hub.files(NAME)["manifest.json"] == hub.files("other/reviews")["manifest.json"]


def test_nothing_private_is_published(hub, bundle):
    (bundle / "notes.txt").write_text("mine")
    (bundle / ".git" / "objects").mkdir(parents=True)
    (bundle / "reports" / "bench.json").write_text("{}")
    done = edgeroberta.push(bundle, NAME)
    sent = hub.files(NAME)
    for name, data in sent.items():
        for secret in (b"Anna", b"anna", b"/home/anna", b"customers", b"~/models"):
            assert secret not in data, name
    assert not {"notes.txt", "reports/report.md", "reports/reference/reference.json"} & set(sent)
    assert set(done.left_out) == {
        ".git/",
        "notes.txt",
        "reports/bench.json",
        "reports/report.md",
        "reports/report.html",
        "reports/reference/reference.json",
    }
    report = json.loads(sent["reports/report.json"])
    assert report["data"]["source"] == "complaints.csv"
    assert report["warnings"] == ["rows of complaints.csv are copies."]
    assert report["labels"] == ["/home/label/stays"]
    assert b"teacher: complaints.csv" in sent["recipe.yaml"]
    config = json.loads(sent["manifest.json"])["lineage"][0]["config"]
    assert config == {"data": {"data": "complaints.csv"}, "model": "x"}


def test_examples_are_published_where_they_are_asked_for(hub, bundle):
    edgeroberta.push(bundle, NAME, with_examples=True)
    assert b"Anna never pays" in hub.files(NAME)["reports/report.json"]
    assert b"Anna never pays" in hub.files(NAME)["reports/report.md"]


def test_the_card_says_how_the_bundle_is_loaded_from_the_hub_and_may_be_edited_there(hub, bundle):
    done = edgeroberta.push(bundle, NAME)
    card = hub.files(NAME)["README.md"].decode()
    assert f'import edgeroberta\n\nruntime = edgeroberta.load("{NAME}")' in card
    assert "pip install 'edgeroberta[hub,onnxruntime]'" in card
    assert "[reports/report.json](reports/report.json)" in card
    found = hub.repositories[NAME]
    edited = dict(found.commits[str(done.commit)])
    edited["README.md"] = type(edited["README.md"])(b"# Mine\n", False)
    found.commit("main", edited)
    assert manifest.read(edgeroberta.pull(NAME)).digest == done.digest


def test_a_dry_run_asks_nobody_and_shows_files_card_and_what_stays(hub, bundle):
    result = CliRunner().invoke(cli.application(), ["push", str(bundle), NAME, "--dry-run"])
    assert result.exit_code == 0
    assert hub.requests == []
    shown = " ".join(result.stdout.split())
    size = (bundle / "model.onnx").stat().st_size
    for part in (
        f"model.onnx {size:,}",
        "reports/report.md texts of your data",
        f'edgeroberta.load("{NAME}")',
    ):
        assert part in shown, part
    told = CliRunner().invoke(cli.application(), ["push", str(bundle), NAME, "--dry-run", "--json"])
    assert json.loads(told.stdout)["commit"] is None


def test_a_new_repository_is_private_unless_told_otherwise(hub, bundle):
    assert edgeroberta.push(bundle, NAME).private
    assert not edgeroberta.push(bundle, "someone/shown", public=True).private
    assert (hub.repositories[NAME].private, hub.repositories["someone/shown"].private) == (True, False)


def test_a_public_repository_is_pushed_to_only_where_that_is_said(hub, bundle):
    edgeroberta.push(bundle, NAME, public=True)
    before = dict(hub.repositories[NAME].branches)
    with pytest.raises(UsageError) as caught:
        edgeroberta.push(bundle, NAME)
    assert (caught.value.code, caught.value.where) == ("hub.public", NAME)
    assert hub.repositories[NAME].branches == before


def test_a_repository_that_is_private_stays_so_and_that_is_said(hub, bundle, caplog):
    edgeroberta.push(bundle, NAME)
    assert edgeroberta.push(bundle, NAME, public=True).private
    assert "stays private" in caplog.text


def test_a_branch_is_made_and_named_again_to_load(hub, bundle, tmp_path):
    edgeroberta.push(bundle, NAME)
    other = fake_bundles.write(tmp_path / "other", table=-fake_bundles.default_table())
    done = edgeroberta.push(other, NAME, revision="next", message="Try another one")
    assert hub.repositories[NAME].messages[str(done.commit)] == "Try another one"
    assert manifest.read(edgeroberta.pull(f"{NAME}@next")).digest == done.digest
    assert manifest.read(edgeroberta.pull(NAME, revision=done.commit)).digest == done.digest
    assert manifest.read(edgeroberta.pull(NAME)).digest != done.digest


def test_files_of_the_former_bundle_go_and_those_of_others_stay(hub, bundle, tmp_path):
    edgeroberta.push(bundle, NAME)
    found = hub.repositories[NAME]
    head = found.commits[found.branches["main"]]
    found.commit("main", {**head, "picture.png": head["README.md"]})
    other = fake_bundles.write(tmp_path / "other")
    edgeroberta.push(other, NAME)
    there = set(hub.files(NAME))
    assert {"picture.png", "README.md"} <= there
    assert not {"recipe.yaml", "reports/report.json"} & there


def test_a_file_of_the_former_bundle_that_somebody_removed_is_not_removed_again(hub, bundle, tmp_path):
    edgeroberta.push(bundle, NAME)
    found = hub.repositories[NAME]
    head = found.commits[found.branches["main"]]
    found.commit("main", {name: file for name, file in head.items() if name != "recipe.yaml"})
    edgeroberta.push(fake_bundles.write(tmp_path / "other"), NAME)
    assert manifest.read(edgeroberta.pull(NAME)).digest == manifest.read(tmp_path / "other").digest


@pytest.mark.parametrize("there", ["model.safetensors", "manifest.json"])
def test_a_repository_of_something_else_is_left_alone(hub, bundle, tmp_path, there):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / there).write_text("{}")
    hub.seed(NAME, tmp_path / "model")
    before = hub.files(NAME)
    with pytest.raises(UsageError) as caught:
        edgeroberta.push(bundle, NAME)
    assert caught.value.code == "hub.occupied"
    assert there in caught.value.what
    assert hub.files(NAME) == before


def test_a_bundle_that_did_not_pass_is_published_only_where_that_is_said(hub, bundle):
    sealed(bundle, gate={"verdict": "FAIL", "reason": "it lost 9 points"})
    with pytest.raises(GateError) as caught:
        edgeroberta.push(bundle, NAME)
    assert (caught.value.code, hub.requests) == ("hub.not-passed", [])
    assert edgeroberta.push(bundle, NAME, publish_failed=True).commit


def test_a_damaged_bundle_is_not_published(hub, bundle):
    (bundle / "recipe.yaml").write_text("another one")
    with pytest.raises(BundleError):
        edgeroberta.push(bundle, NAME)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("file", "field", "place"),
    [
        ("config.json", {"_name_or_path": SECRET}, "config.json: _name_or_path"),
        ("tokenizer_config.json", {"extra": {"files": ["C:\\Users\\anna\\x"]}}, "extra.files[0]"),
        ("config.json", {"trained_by": "on WORKSTATION-7 at night"}, "config.json: trained_by"),
        ("config.json", {"trained_by": "workstation-7_night.csv"}, "config.json: trained_by"),
        ("config.json", {"files": {SECRET: 1}}, f"config.json: files.{SECRET}"),
        ("config.json", {"copied_from": "pi@board:/home/berta/out"}, "config.json: copied_from"),
        ("tokenizer_config.json", {"use_auth_token": f"hf_{'Zz4' * 11}"}, "use_auth_token"),
        ("tokenizer_config.json", {"source": "https://anna:secret-7@example.org/x"}, "json: source"),
    ],
)
def test_what_is_private_and_cannot_be_rewritten_is_refused_with_its_place(
    hub, bundle, monkeypatch, file, field, place
):
    monkeypatch.setattr(platform, "node", lambda: "workstation-7")
    artifact.write_json(bundle / file, {**json.loads((bundle / file).read_bytes()), **field})
    sealed(bundle)
    with pytest.raises(UsageError) as caught:
        edgeroberta.push(bundle, NAME)
    assert (caught.value.code, caught.value.where, hub.requests) == ("hub.private", file, [])
    assert place in caught.value.what
    assert not [each for each in ("Zz4Zz4", "secret-7") if each in caught.value.what]
    if "trained_by" in field:
        assert edgeroberta.push(bundle, NAME, allow_names="workstation-7").commit


def test_a_path_among_numbers_is_seen(tmp_path):
    file = tmp_path / "weights.bin"
    file.write_bytes(b"\0\1" * 999 + SECRET.encode() + b"\0")
    (found,) = private.findings("weights.bin", file, ())
    assert (found.place, SECRET in found.what) == ("byte 1,998", True)
    assert (
        list(private.findings("empty.bin", tmp_path / "empty.bin", ())) == [] if _empty(tmp_path) else False
    )


def _empty(folder: Path) -> bool:
    (folder / "empty.bin").write_bytes(b"")
    return True


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("read /home/anna/a.csv, then stop", "read a.csv, then stop"),
        ("from C:\\Users\\anna\\rows.csv and D:/data/x", "from rows.csv and x"),
        ("~/x/y.csv.", "y.csv."),
        ("scp pi@board:/home/berta/out failed", "scp pi@board:out failed"),
        ("PATH=/usr/bin:/home/anna/bin", "PATH=bin:bin"),
        ("file:///tmp/x.csv", "x.csv"),
        ("\\\\server\\share\\rows.csv", "rows.csv"),
        ("ibm-granite/granite-embedding", "ibm-granite/granite-embedding"),
        ("https://example.org/home/x", "https://example.org/home/x"),
        ("</td></data/x>", "</td></data/x>"),
        ("and/or 3/4 ~5.7x a/home/b", "and/or 3/4 ~5.7x a/home/b"),
        ("POST /predict, /v2/models", "POST /predict, /v2/models"),
        ("flags of /proc/cpuinfo, /dev/null", "flags of /proc/cpuinfo, /dev/null"),
    ],
)
def test_paths_become_names_and_other_words_stay(text, public):
    assert private.without_places(text) == public


_PIECES = (
    "/home/",
    "/tmp/",
    "~/",
    "C:\\",
    "\\\\host\\",
    "file://",
    "/",
    "\\",
    ":",
    ".",
    " ",
    "anna",
    "x.csv",
    '"',
    "<",
    "\n",
)


@given(st.lists(st.sampled_from(_PIECES), max_size=12).map("".join))
def test_no_path_is_left_of_any_text(text):
    public = private.without_places(text)
    assert not list(private.findings("report.md", public.encode(), ()))
    assert private.without_places(public) == public


@pytest.mark.parametrize(
    "path",
    ["/Users/anna/Google Drive/Acme/x.csv", "C:\\Users\\Anna Berg\\x.csv", "\\\\server\\Anna Berg\\x.csv"],
)
def test_a_source_with_blanks_in_its_path_is_its_name(path):
    assert private.rewritten({"lineage": [{"model": path}]}) == {"lineage": [{"model": "x.csv"}]}


def test_names_that_many_have_are_no_secret(monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "annas-laptop.example.org")
    monkeypatch.setattr("getpass.getuser", lambda: "ubuntu")
    found = private.local_names(())
    assert {"annas-laptop", "annas-laptop.example.org"} <= set(found)
    assert "ubuntu" not in found
    for common in ("test", "worker"):  # fields are called test, too
        monkeypatch.setattr("getpass.getuser", lambda name=common: name)
        assert common not in private.local_names(())
    assert "annas-laptop" not in private.local_names(("Annas-Laptop",))


def test_tiers_are_published_with_manifests_of_their_own(hub, tmp_path):
    bundle = fake_cascades.write(tmp_path / "cascade", data=Path(SECRET)).folder
    done = edgeroberta.push(bundle, NAME)
    found = manifest.read(edgeroberta.pull(NAME))
    assert found.digest == done.digest == manifest.read(bundle).digest
    assert not [name for name, data in hub.files(NAME).items() if b"/home/anna" in data]
    edgeroberta.pull(NAME, tmp_path / "copy")
    for name in (NAME, tmp_path / "copy"):
        with edgeroberta.load(name) as there, edgeroberta.load(bundle) as here:
            assert there("a great film") == here("a great film")


def test_a_second_name_of_a_file_is_a_file_on_the_hub(hub, tmp_path):
    folder = fake_bundles.write(tmp_path / "out")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").hardlink_to(folder / "model.onnx")
    sealed(folder, links={"onnx/model.onnx": "model.onnx"})
    edgeroberta.push(folder, NAME)
    assert hub.files(NAME)["onnx/model.onnx"] == hub.files(NAME)["model.onnx"]
    with edgeroberta.load(NAME) as runtime:
        assert runtime("a great film").label
    copy = edgeroberta.pull(NAME, tmp_path / "copy")
    assert (copy / "onnx" / "model.onnx").samefile(copy / "model.onnx")
    manifest.check_files(manifest.read(copy))


@pytest.mark.parametrize("name", ["reviews", "a/b/c", "a/b c", "a/b@", "a/b--c", "a/b@x@y", "a/b@../x"])
def test_a_name_that_the_hub_does_not_take_is_refused(hub, bundle, name):
    with pytest.raises(UsageError) as caught:
        edgeroberta.push(bundle, name)
    assert (caught.value.code, hub.requests) == ("hub.name", [])


def test_pull_leaves_what_is_there_untouched(hub, bundle, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError) as caught:
        edgeroberta.pull(NAME, tmp_path / "mine")
    assert (caught.value.where, hub.requests) == (str(tmp_path / "mine"), [])


def test_commands_push_pull_and_run(hub, bundle, tmp_path):
    def run(*words: str) -> str:
        result = CliRunner().invoke(cli.application(), words)
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "commit" in run("push", str(bundle), NAME)
    place = tmp_path / "copy"
    assert run("pull", NAME, "-o", str(place)).strip() == str(place)
    assert json.loads(run("pull", NAME, "--json"))["bundle"].endswith(hub.repositories[NAME].branches["main"])
    assert run("run", NAME, "a great film") == run("run", str(place), "a great film")
