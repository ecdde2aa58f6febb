from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ssh_server import Device, host_of

from edgeroberta.errors import EdgeRobertaError, UnavailableError
from edgeroberta.remote.failures import UnreachableError, unreachable
from edgeroberta.remote.hosts import Host
from edgeroberta.remote.ssh import SshConnection

HELLO = {"job": "0" * 16, "blobs": {}}


def hello(device: Device, **changes: object) -> dict[str, object]:
    with SshConnection(host_of(device, **changes)) as connection:  # type: ignore[arg-type]
        return connection.call("hello", HELLO)


def test_one_login_serves_all_requests(device):
    before = len(device.connections)
    with SshConnection(host_of(device)) as connection:
        for _ in range(3):
            facts = connection.call("hello", HELLO)["facts"]
        sockets = Path(connection._sockets)
    assert facts["root"] == str(device.root)
    assert len(device.connections) == before + 1
    assert not sockets.exists()


@pytest.mark.parametrize(
    ("changes", "what", "hint"),
    [
        (
            {"key": "stranger"},
            "refused the login",
            "ssh-copy-id device, or load the key into the agent: ssh-add",
        ),
        ({"known": "empty"}, "host key is not known yet", "ssh device once, to see and accept it"),
        ({"known": "changed_hosts"}, "not the one that ssh knows", "ssh-keygen -R device"),
    ],
    ids=["user key", "host key", "changed host key"],
)
def test_a_key_that_is_not_accepted_is_told_with_exit_4(fresh, changes, what, hint):
    fresh.write_config(**changes)
    with pytest.raises(UnreachableError, match=what) as caught:
        hello(fresh)
    assert (caught.value.exit_code, caught.value.code) == (4, "device.unreachable")
    assert hint in str(caught.value.hint)
    assert not (fresh.folder / "empty").exists(), "no host key is accepted"


def test_a_name_that_is_no_host_and_a_closed_port_are_told_apart(fresh):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        fresh.port = unused.getsockname()[1]
        fresh.write_config()
        with pytest.raises(UnreachableError, match="refuses connections"):
            hello(fresh)
    text = fresh.config.read_text().replace("127.0.0.1", "no-such-host.invalid")
    fresh.config.write_text(text)
    with pytest.raises(UnreachableError, match="there is no host of this name"):
        hello(fresh)


@pytest.mark.parametrize(
    ("said", "ssh", "hint", "transient"),
    [
        ("Permission denied", "pi@lap:2299", "ssh-copy-id -p 2299 pi@lap, or load the key into", False),
        ("Host key verification failed.", "pi@lap:22", "ssh -p 22 pi@lap once, to see and accept it", False),
        ("Could not resolve hostname", "pi@lop:22", "check the name: ssh -p 22 pi@lop", False),
        ("Connection timed out", "pi@lap:2299", "is it on, and in this network? ping lap", True),
        ("", "pi@[fe80::1]:22", "check it: ssh -p 22 pi@fe80::1", True),
        ("Connection to a closed by remote host.", "me@a", "check it: ssh me@a", True),
        ("client_loop: send disconnect: Broken pipe", "me@a", "check it: ssh me@a", True),
        (
            "REMOTE HOST IDENTIFICATION HAS CHANGED",
            "pi@lap:2299",
            "if you know why: ssh-keygen -R '[lap]:2299', then ssh -p 2299 pi@lap once to see and accept the",
            False,
        ),
    ],
)
def test_what_ssh_says_is_told_with_what_to_type_and_whether_it_may_pass(said, ssh, hint, transient):
    error = unreachable(said, Host("a", ssh))
    assert str(error.hint).startswith(hint)
    assert error.transient is transient


def test_a_machine_without_ssh_is_told_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="no OpenSSH client") as caught:
        SshConnection(host_of(Device(tmp_path)))
    assert "apt install openssh-client" in str(caught.value.hint)


def test_a_device_without_python_is_told_what_to_install(device):
    with pytest.raises(UnavailableError, match="no 'python9' on the device") as caught:
        hello(device, python="python9")
    assert "apt install python3" in str(caught.value.hint)


def test_a_python_that_is_too_old_says_so(fresh):
    # The version is all that the program looks at before it imports anything.
    old = "import sys; sys.version_info = (3, 8, 10); exec(sys.argv.pop(1))"
    fresh.shim("python3", f"shift\nexec {sys.executable} -c '{old}' \"$@\"")
    with pytest.raises(UnavailableError, match=r"Python 3\.8 is too old, 3\.10 is needed") as caught:
        hello(fresh)
    assert caught.value.code == "device.no-python"


def test_what_a_login_shell_prints_is_ignored(fresh):
    script = (fresh.home / "bin" / "python3").read_text().splitlines()[1]
    fresh.shim("python3", f"echo 'Welcome {{\"missing\": 1}}'\n{script}")
    assert hello(fresh)["missing"] == {}


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ("{", "not JSON"),
        ('{\\"missing\\": NaN}', "NaN is not a number"),
        ("[]", "did not answer as it should"),
    ],
)
def test_an_answer_that_is_none_is_refused(fresh, answer, complaint):
    fresh.shim("python3", f'cat > /dev/null\necho "$4 {answer}"')
    with pytest.raises(EdgeRobertaError, match=complaint):
        hello(fresh)


def test_an_error_of_the_device_is_cleaned_before_it_is_shown(fresh):
    fields = '{\\"code\\": \\"A B\\", \\"what\\": \\"a\\\\u001b[31mb\\\\u202ec\\", \\"exit_code\\": 99}'
    fresh.shim("python3", f'cat > /dev/null\necho "$4 {{\\"error\\": {fields}}}"')
    with pytest.raises(EdgeRobertaError) as caught:
        hello(fresh)
    assert (caught.value.what, caught.value.exit_code, caught.value.code) == ("abc", 1, "failed")


def test_a_folder_that_holds_something_else_is_left_untouched(fresh):
    other = fresh.home / "photos"
    other.mkdir()
    (other / "cat.jpg").write_text("meow")
    with pytest.raises(EdgeRobertaError, match="not a folder of ours; it is left untouched"):
        hello(fresh, root="~/photos")
    for root in ("~", "/"):
        with pytest.raises(EdgeRobertaError, match="the home folder or above it"):
            hello(fresh, root=root)
    assert [each.name for each in other.iterdir()] == ["cat.jpg"]


def test_a_command_and_ports_of_the_user_s_configuration_do_not_get_in_the_way(fresh):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = (
            f"  RemoteCommand tmux\n  LocalForward 127.0.0.1:{port} localhost:1\n  ExitOnForwardFailure yes\n"
        )
        fresh.config.write_text(fresh.config.read_text() + text)
        assert hello(fresh)["missing"] == {}


def test_a_connection_that_does_not_end_leaves_the_result_as_it_is(device, monkeypatch):
    def hang(words: list[str], **others: object) -> None:
        raise subprocess.TimeoutExpired(words, 30)

    with SshConnection(host_of(device)) as connection:
        connection.call("hello", HELLO)
        sockets = Path(connection._sockets)
        leave = subprocess.run
        monkeypatch.setattr(subprocess, "run", hang)
    monkeypatch.setattr(subprocess, "run", leave)
    assert not sockets.exists()
