"""Bundles come from the Hub as a whole, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import fake_bundles
import pytest

import edgeroberta
from edgeroberta.errors import BundleError, UnavailableError, UsageError

NAME = "someone/reviews"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return fake_bundles.write(tmp_path_factory.mktemp("bundle"))


def answer(name: str, **options) -> str | None:
    with edgeroberta.load(name, **options) as runtime:
        return runtime("a great film").label


def test_a_bundle_is_loaded_by_its_name_on_the_hub(hub, bundle):
    hub.seed(NAME, bundle)
    assert answer(NAME) == answer(str(bundle))
    assert answer(f"{NAME}@main") == answer(NAME, revision="main") == answer(str(bundle))


def test_what_is_here_is_not_fetched_again_and_serves_without_a_network(hub, bundle, monkeypatch, caplog):
    hub.seed(NAME, bundle)
    answer(NAME)
    hub.requests.clear()
    answer(NAME)
    assert not [each for each in hub.requests if each.startswith("GET") and "/resolve/" in each]
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert answer(NAME) == answer(str(bundle))
    assert hub.requests == []
    assert "cannot be reached" in caplog.text


def test_a_commit_that_is_here_is_opened_without_asking(hub, bundle):
    commit = hub.seed(NAME, bundle)
    answer(NAME, revision=commit)
    hub.requests.clear()
    assert answer(f"{NAME}@{commit}") == answer(str(bundle))
    assert hub.requests == []


def test_a_folder_of_that_name_wins(hub, bundle, monkeypatch, tmp_path):
    shutil.copytree(bundle, tmp_path / "someone" / "reviews")
    monkeypatch.chdir(tmp_path)
    assert answer(NAME) is not None
    assert hub.requests == []
    with pytest.raises(UsageError) as caught:
        edgeroberta.load(NAME, revision="main")
    assert caught.value.code == "hub.name"


def test_a_folder_that_went_missing_is_not_looked_for_on_the_hub(hub, monkeypatch, tmp_path):
    (tmp_path / "someone").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError) as caught:
        edgeroberta.load(NAME)
    assert (caught.value.where, hub.requests) == (NAME, [])
    assert f"{NAME}@main" in str(caught.value.hint)


def test_without_the_package_it_is_said_how_to_come_by_a_bundle(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UnavailableError) as caught:
        edgeroberta.load(NAME)
    assert caught.value.code == "unavailable.extra"
    assert "edgeroberta[hub]" in str(caught.value.hint)
    assert f"edgeroberta pull {NAME} -o out/" in str(caught.value.hint)


def test_a_file_that_was_damaged_in_the_cache_is_fetched_once_more(hub, bundle, tmp_path):
    hub.seed(NAME, bundle)
    answer(NAME)
    (blob,) = (tmp_path / "hub-cache").glob("models--*/snapshots/*/model.onnx")
    target = Path(blob).resolve()
    target.write_bytes(target.read_bytes()[::-1])
    assert answer(NAME) == answer(str(bundle))


def test_a_branch_is_what_was_last_whole_without_a_network(hub, bundle, monkeypatch, tmp_path):
    from huggingface_hub import constants

    hub.seed(NAME, bundle)
    answer(NAME)
    half = shutil.copytree(bundle, tmp_path / "half")
    (half / "goldens.json").unlink()
    hub.seed(NAME, half)
    with pytest.raises(BundleError) as caught:
        edgeroberta.load(NAME)
    assert caught.value.code == "hub.incomplete"
    assert "goldens.json" in str(caught.value.where)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert answer(NAME) == answer(str(bundle))


@pytest.mark.parametrize(
    "name", ["someone/re views", "someone", "a/b/c", "someone/reviews@", "someone/reviews@/x", "a/b--c"]
)
def test_what_is_no_name_on_the_hub_is_a_folder(hub, name):
    with pytest.raises(BundleError):
        edgeroberta.load(name)
    assert hub.requests == []


def fetched(hub) -> list[str]:
    return [asked for asked in hub.requests if "/resolve/" in asked or "/store/" in asked]


@pytest.mark.parametrize("name", ["manifest.json", "README.md"])
def test_a_huge_file_that_would_be_read_as_a_whole_is_not_fetched(hub, bundle, monkeypatch, tmp_path, name):
    from edgeroberta.hub import pulling

    large = shutil.copytree(bundle, tmp_path / "large")
    (large / name).write_bytes(b" " * 5000)
    monkeypatch.setitem(pulling._MOST, name, 4999)
    hub.seed(NAME, large)
    with pytest.raises(BundleError) as caught:
        edgeroberta.load(NAME)
    assert (caught.value.code, caught.value.where) == ("hub.too-large", f"{NAME}: {name}")
    assert fetched(hub) == []
    monkeypatch.setitem(pulling._MOST, name, 5000)
    if name == "README.md":
        assert answer(NAME) == answer(str(bundle))


def test_a_file_of_another_size_than_the_manifest_says_is_not_fetched(hub, bundle, tmp_path):
    other = shutil.copytree(bundle, tmp_path / "other")
    with (other / "model.onnx").open("ab") as file:
        file.write(b"0" * 1000)
    hub.seed(NAME, other)
    with pytest.raises(BundleError) as caught:
        edgeroberta.load(NAME)
    assert (caught.value.code, caught.value.where) == ("hub.incomplete", f"{NAME}: model.onnx")
    assert {asked.rsplit("/", 1)[-1] for asked in fetched(hub)} == {"manifest.json"}


def test_a_branch_that_moves_during_a_pull_stays_in_the_cache_at_what_is_whole(
    hub, bundle, monkeypatch, tmp_path
):
    from huggingface_hub import constants
    from loopback_hub import Fault

    commit = hub.seed(NAME, bundle)
    half = shutil.copytree(bundle, tmp_path / "half")
    (half / "goldens.json").unlink()
    moves = Fault("GET .*/resolve/.*/goldens.json", act=lambda: hub.seed(NAME, half) and None, times=1)
    hub.faults.append(moves)
    assert answer(NAME) == answer(str(bundle))
    assert moves.times == 0
    (ref,) = (tmp_path / "hub-cache").glob("models--*/refs/main")
    assert ref.read_text() == commit
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert answer(NAME) == answer(str(bundle))


def test_without_a_network_a_branch_is_the_newest_commit_that_was_whole(hub, bundle, monkeypatch, tmp_path):
    from huggingface_hub import constants

    hub.seed(NAME, bundle)
    answer(NAME)
    newer = shutil.copytree(bundle, tmp_path / "newer")
    (newer / "README.md").write_text("# A card")
    commit = hub.seed(NAME, newer)
    answer(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert edgeroberta.pull(NAME).name == commit


def test_a_branch_with_a_slash_in_its_name_serves_without_a_network(hub, bundle, monkeypatch):
    from huggingface_hub import constants

    hub.seed(NAME, bundle, branch="of/mine")
    assert answer(f"{NAME}@of/mine") == answer(str(bundle))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert answer(f"{NAME}@of/mine") == answer(str(bundle))
