"""Parsers of single files and of the output of programs."""

from __future__ import annotations

import device_trees
import pytest

from edgeroberta.hardware import clocks, jetson, power_mode, sysfs


def command(name: str, program: str) -> str:
    return device_trees.files(name)[f"commands/{program}.txt"].decode()


@pytest.mark.parametrize(
    ("content", "release"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic", "36.4.3"),
        ("# R35 (release), REVISION: 5.0, GCID: 1", "35.5.0"),
        ("# R39 (release), REVISION: 2, GCID: 1", "39.2.0"),
        ("# R36 (release)", None),
        ("# R36 (release), REVISION: x", None),
        ("", None),
        (None, None),
    ],
)
def test_the_l4t_release_is_read(content, release):
    assert jetson.l4t_release(content) == release


def test_a_package_that_was_removed_is_not_installed(device_tree):
    found = jetson.dpkg_versions(device_tree("orin-nano"), ("libnvinfer8", "libnvinfer10"))
    assert found == {"libnvinfer10": "10.3.0.30-1+cuda12.5"}


def test_without_its_file_the_l4t_release_comes_from_the_package(tmp_path):
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_bytes(device_trees.files("thor")["var/lib/dpkg/status"])
    assert jetson.board(tmp_path).l4t == "38.2.1"


@pytest.mark.parametrize(
    "content", ["{}", "[]", '{"cuda": 3}', '{"cuda": {"version": 12}}', "[" * 100000, ""]
)
def test_a_cuda_file_without_a_version_has_none(content):
    assert jetson.cuda_version(content) is None


@pytest.mark.parametrize(
    ("names", "best"),
    [
        ({0: "15W", 1: "25W", 2: "MAXN_SUPER", 3: "7W"}, 2),
        ({0: "MAXN", 1: "10W", 2: "15W", 3: "25W", 4: "40W", 5: "MAXN_SUPER"}, 5),
        ({0: "15W", 1: "7W"}, 0),
        ({0: "MODE_15W_2CORE", 2: "MODE_15W_6CORE", 3: "MODE_10W_4CORE"}, 2),
        ({}, None),
    ],
)
def test_the_maximal_mode_is_maxn_or_that_of_most_watts_and_cores(names, best):
    assert power_mode.maximal(names) == best


def test_modes_in_comments_do_not_count():
    content = "# < POWER_MODEL ID=9 NAME=OLD >\n< POWER_MODEL ID=0 NAME=MAXN >\n< PM_CONFIG DEFAULT=2 >\n"
    assert power_mode.modes(content) == {0: "MAXN"}


def test_clocks_shown_by_jetson_clocks_are_read():
    shown = {clock.name: clock for clock in clocks.shown(command("agx-orin", "jetson_clocks"))}
    assert len(shown) == 14
    assert shown["cpu11"].maximum_hz == 2_201_600_000
    # The memory's minimum stays low when it is locked: the override tells.
    assert (shown["emc"].minimum_hz, shown["emc"].locked) == (204_000_000, True)
    assert clocks.locked(tuple(shown.values())) is True
    assert clocks.locked(clocks.shown(command("orin-nano", "jetson_clocks"))) is False


def test_processors_that_are_off_are_left_out():
    line = "cpu3: Online=0 Governor=schedutil MinFreq=1 MaxFreq=2 CurrentFreq=1 IdleStates: WFI=1"
    assert clocks.shown(line) == ()


def test_an_absurd_number_is_no_number():
    assert sysfs.whole("9" * 5000) is None
    assert sysfs.whole("0x10") is None
    assert sysfs.whole("ff", 16) == 255
    assert sysfs.decimal("nan") is None
    assert sysfs.decimal("inf") is None
