from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ssh_server import Device, host_of

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.progress import Progress
from edgeroberta.remote.device import blobs as device_blobs
from edgeroberta.remote.device.folder import open_root
from edgeroberta.remote.failures import UnreachableError
from edgeroberta.remote.retrying import RetryPolicy
from edgeroberta.remote.shipping import Blob, TransferResult, ship
from edgeroberta.remote.ssh import SshConnection

JOB = "0" * 16
SIZE = 6_000_000


@pytest.fixture(scope="module")
def blob(tmp_path_factory) -> Blob:
    file = tmp_path_factory.mktemp("blob") / "weights"
    file.write_bytes(os.urandom(SIZE))
    return Blob.of(file)


def send(device: Device, *blobs: Blob, delays: tuple[float, ...] = (0.1, 0.1)) -> TransferResult:
    with SshConnection(host_of(device)) as connection:
        wanted = {each.sha256: each for each in blobs}
        return ship(connection, wanted, job=JOB, progress=Progress(), retry=RetryPolicy(delays))


def test_files_arrive_whole_and_are_not_sent_twice(device, blob):
    small = Blob.of(b"small")
    first = send(device, blob, small)
    assert (first.files, first.sent) == (2, SIZE + 5)
    kept = device.root / "blobs" / blob.sha256
    assert Blob.of(kept).sha256 == blob.sha256
    assert send(device, blob, small).sent == 0


def test_a_file_that_rotted_on_the_device_is_sent_again(device):
    good = Blob.of(b"as it was")
    send(device, good)
    kept = device.root / "blobs" / good.sha256
    kept.chmod(0o644)
    kept.write_bytes(b"as it wss")  # of the same size
    assert send(device, good).sent == good.size
    assert kept.read_bytes() == b"as it was"


def test_files_that_nobody_used_for_long_go(tmp_path):
    root = open_root(str(tmp_path / "root"))
    names = {text: Blob.of(text).sha256 for text in (b"used", b"unused", b"recent")}
    for days, (text, name) in zip((40, 40, 20), names.items(), strict=True):
        file = root / "blobs" / name
        file.write_bytes(text)
        os.utime(file, (time.time() - days * 24 * 3600,) * 2)
    job = root / "jobs" / "link"
    os.link(root / "blobs" / names[b"unused"], job)
    device_blobs.check(root, {names[b"used"]: 4})
    device_blobs.collect(root)
    assert {file.name for file in (root / "blobs").iterdir()} == {names[b"used"], names[b"recent"]}
    assert job.read_bytes() == b"unused"


def test_a_dropped_connection_goes_on_where_it_was(fresh, blob):
    fresh.drop_after = SIZE // 2
    send(fresh, blob)
    assert fresh.drop_after is None, "it was dropped"
    assert Blob.of(fresh.root / "blobs" / blob.sha256).sha256 == blob.sha256
    # Four requests bring a program of 40 kB each; what was on the way when it broke is sent again.
    assert fresh.received < SIZE + 500_000


def test_running_the_same_again_goes_on_where_it_was(fresh, blob):
    fresh.drop_after = SIZE // 2
    with pytest.raises(UnreachableError) as caught:
        send(fresh, blob, delays=())
    assert caught.value.hint == "run the same command again: the transfer resumes"
    part = fresh.root / "blobs" / f"{blob.sha256}.part"
    there = part.stat().st_size
    assert 0 < there < SIZE
    assert send(fresh, blob).sent == SIZE - there
    assert not part.exists()


def test_a_limited_disk_ends_it_with_what_is_needed_and_no_half_file(fresh, blob):
    script = (fresh.home / "bin" / "python3").read_text().splitlines()[1]
    fresh.shim("python3", f"ulimit -f 2000\n{script}")
    with pytest.raises(EdgeRobertaError, match=r"\(File too large\): 6 MB needed") as caught:
        send(fresh, blob)
    assert caught.value.code == "device.disk-full"
    assert str(fresh.root) in str(caught.value.where)
    assert not list((fresh.root / "blobs").iterdir())


def test_a_full_disk_is_seen_before_anything_is_sent(tmp_path, monkeypatch):
    root = open_root(str(tmp_path / "root"))
    monkeypatch.setattr(device_blobs, "free_bytes", lambda folder: 40_000_000)
    assert device_blobs.missing(root, {"a" * 64: 1_000_000}) == {"a" * 64: 0}
    with pytest.raises(
        EdgeRobertaError, match="not enough disk space on the device: 44 MB needed, 40 MB free"
    ):
        device_blobs.missing(root, {"a" * 64: 10_000_000})
    (root / "blobs" / ("a" * 64 + ".part")).write_bytes(b"0" * 9_000_000)
    assert device_blobs.missing(root, {"a" * 64: 10_000_000}) == {"a" * 64: 9_000_000}


class Filling(Progress):
    """Fills a disk when the first bytes have been sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def bar(self, what: str, total: int, unit: str, *, done: int = 0) -> Iterator[Callable[[int], None]]:
        def advance(count: int = 1) -> None:
            file = self.folder / "filling"
            if not file.exists():
                free = os.statvfs(self.folder)
                file.write_bytes(bytes(free.f_bavail * free.f_frsize - (2 << 20)))

        yield advance


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 42 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=42m", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount, and not everywhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_meanwhile_keeps_no_half_file(fresh, blob, small_disk):
    root = small_disk / "ours"
    with (
        SshConnection(host_of(fresh, root=str(root))) as connection,
        pytest.raises(
            EdgeRobertaError, match=r"not enough disk space on the device \(No space left on device\)"
        ),
    ):
        ship(
            connection, {blob.sha256: blob}, job=JOB, progress=Filling(small_disk), retry=RetryPolicy(())
        )  # fmt: skip
    assert not list((root / "blobs").iterdir())
    assert (small_disk / "filling").exists(), "it was filled"


def test_a_disk_that_is_too_small_is_seen_before_anything_is_sent(fresh, blob, small_disk):
    (small_disk / "others").write_bytes(bytes(8 << 20))
    with (
        SshConnection(host_of(fresh, root=str(small_disk / "ours"))) as connection,
        pytest.raises(
            EdgeRobertaError, match="not enough disk space on the device: 40 MB needed, 36 MB free"
        ),
    ):
        ship(connection, {blob.sha256: blob}, job=JOB, progress=Progress(), retry=RetryPolicy(()))
    assert connection.sent == 0


def test_bytes_that_are_not_those_of_the_hash_never_get_its_name(device):
    wrong = Blob("b" * 64, 5, b"other")
    with pytest.raises(EdgeRobertaError) as caught:
        send(device, wrong)
    assert caught.value.code == "device.transfer-damaged"
    assert not list((device.root / "blobs").glob(f"{wrong.sha256}*"))


def test_a_device_may_ask_only_for_what_it_was_offered(fresh):
    facts = {"python": "3.10", "system": "Linux", "root": "/x", "free_bytes": 1}
    answer = json.dumps({"facts": facts, "missing": {"passwd": 0}}).replace('"', '\\"')
    fresh.shim("python3", f'cat > /dev/null\necho "$4 {answer}"')
    with pytest.raises(EdgeRobertaError, match="asks for what it was not offered") as caught:
        send(fresh, Blob.of(b"x"))
    assert caught.value.code == "device.answer"
