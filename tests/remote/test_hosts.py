from __future__ import annotations

from pathlib import Path

import pytest

from edgeroberta.errors import UsageError
from edgeroberta.remote import hosts


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    file = tmp_path / "config.toml"
    monkeypatch.setenv("EDGEROBERTA_CONFIG", str(file))
    return file


def test_a_name_of_the_configuration_counts_first(config):
    config.write_text(
        '[hosts.kitchen]\nssh = "me@jetson:2222"\ntarget = "jetson"\npip_args = ["-q"]\nkeep = false\n'
        'wheelhouse = "wheels"\n'
    )
    kitchen, other = hosts.find(["kitchen", "you@orin"])
    assert kitchen.destination == ("-p", "2222", "--", "me@jetson")
    assert (kitchen.target, kitchen.pip_args, kitchen.keep) == ("jetson", ("-q",), False)
    assert kitchen.wheelhouse == str(config.parent / "wheels")
    assert (other.name, other.destination, other.python) == ("you@orin", ("--", "you@orin"), "python3")


def test_the_configuration_lies_where_xdg_says(tmp_path, monkeypatch):
    monkeypatch.delenv("EDGEROBERTA_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert hosts.config_file() == tmp_path / ".config" / "edgeroberta" / "config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert hosts.config_file() == tmp_path / "xdg" / "edgeroberta" / "config.toml"
    assert hosts.read(hosts.config_file()) == {}


@pytest.mark.parametrize(
    ("text", "where", "what", "hint"),
    [
        ("[host.a]\n", "", "unknown key 'host'", "did you mean 'hosts'?"),
        ('[hosts.a]\nssh="b"\npyton="x"\n', "hosts.a", "unknown key 'pyton'", "did you mean 'python'?"),
        ("[hosts.a]\n", "hosts.a.ssh", "this field is required", 'ssh = "user@host"'),
        ('[hosts.a]\nssh="b"\nkeep="no"\n', "hosts.a.keep", "must be true or false, not 'no'", None),
        ('[hosts.a]\nssh="b"\npip_args="-q"\n', "hosts.a.pip_args", "must be a list of texts", None),
        ('[hosts.a]\nssh="b"\npython="x; rm"\n', "hosts.a.python", "'x; rm' is not the path", None),
        ("hosts = 3\n", "hosts", "must be tables", None),
        ("[hosts\n", "", "cannot be read", None),
    ],
)
def test_what_is_wrong_in_the_configuration_is_named(config, text, where, what, hint):
    config.write_text(text)
    with pytest.raises(UsageError, match=what) as caught:
        hosts.find(["a"])
    assert str(caught.value.where) == (f"{config}: {where}" if where else str(config))
    assert caught.value.hint == hint


@pytest.mark.parametrize("name", ["-oProxyCommand=touch x", "me@-oProxyCommand=x", "a b", "", "a:b:c", "a\n"])
def test_what_ssh_would_take_for_an_option_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("EDGEROBERTA_CONFIG", raising=False)
    with pytest.raises(UsageError, match="is not a host"):
        hosts.find([name])


def test_an_ipv6_address_stands_in_brackets():
    assert hosts.Host("x", "me@[fe80::1]:22").destination == ("-p", "22", "--", "me@fe80::1")


def test_a_host_is_named_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("EDGEROBERTA_CONFIG", raising=False)
    with pytest.raises(UsageError, match="named twice"):
        hosts.find(["a", "a"])
