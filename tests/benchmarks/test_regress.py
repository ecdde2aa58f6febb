"""The comparison with the last release: which commit that is, what the ratio says, whose code runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import regress, rounds
from benchmarks.peers.contestants import edgeroberta
from edgeroberta.errors import EdgeRobertaError


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A repository with versions 0.1.0 and 0.2.0 and a later change of another line."""
    monkeypatch.setattr(rounds, "ROOT", tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "someone")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "someone@example.org")
    regress.git("init", "--quiet")
    for text in ('version = "0.1.0"\n', 'version = "0.2.0"\n', 'version = "0.2.0"\nname = "x"\n'):
        (tmp_path / "pyproject.toml").write_text(text)
        regress.git("add", ".")
        regress.git("commit", "--quiet", "-m", text.split()[-1])
    return tmp_path


def timings(base: float, own: float, **errors: str) -> dict[str, rounds.Timings]:
    made = {}
    for engine in regress.ENGINES:
        made[f"base/{engine}"] = rounds.Timings(rounds=[[base] * 3] * 2, answers=[0, 1, 1])
        made[f"here/{engine}"] = rounds.Timings(rounds=[[own] * 3] * 2, answers=[0, 1, 0])
    for name, error in errors.items():
        made[f"{name}/openvino"].error = error
    return made


def test_the_last_release_is_the_commit_that_set_another_version(repository):
    assert regress.last_release() == regress.git("rev-parse", "HEAD~2")


def test_a_tag_says_better_what_was_released(repository):
    regress.git("tag", "v0.2.0", "HEAD~1")
    assert regress.last_release() == "v0.2.0"


def test_a_repository_of_one_version_asks_for_a_base(repository):
    regress.git("checkout", "--quiet", "HEAD~2")
    with pytest.raises(EdgeRobertaError, match="no release to compare with") as caught:
        regress.last_release()
    assert caught.value.hint == "name one with --base"


def test_a_worktree_is_gone_afterwards(repository, tmp_path):
    with regress.checked_out("HEAD~2", tmp_path / "tree") as tree:
        assert (tree / "pyproject.toml").read_text() == 'version = "0.1.0"\n'
    assert not tree.exists()
    assert len(regress.git("worktree", "list").splitlines()) == 1


def test_a_slower_tree_is_named_when_it_is_slower_than_the_margin():
    found = regress.ratios(timings(2.0, 2.2))
    assert found == {"onnxruntime": pytest.approx(0.909), "openvino": pytest.approx(0.909)}
    told = regress.report(timings(2.0, 2.2), found, 0.05).splitlines()
    assert told[1].split() == ["onnxruntime", "2.00", "2.20", "0.91", "66.7", "%", "SLOWER"]
    assert "SLOWER" not in regress.report(timings(2.0, 2.2), found, 0.10)


def test_a_version_that_fails_ends_the_comparison():
    with pytest.raises(EdgeRobertaError, match="here/openvino failed: no such kernel"):
        regress.ratios(timings(2.0, 2.0, here="no such kernel"))


def test_a_contestant_runs_the_code_it_is_told_to_or_none(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(ImportError, match="is not of"):
        edgeroberta("bundle", "onnxruntime", 1, source=str(tmp_path))


def test_git_s_own_words_are_told(repository):
    with pytest.raises(EdgeRobertaError, match="git show failed"):
        regress.git("show", "nothing")
