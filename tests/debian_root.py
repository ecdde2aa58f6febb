"""A Debian root made from nothing: packages unpacked into a folder, for this or another architecture.

apt resolves, fetches and verifies, with state, cache and configuration folders of its own, so the
machine's packages and lists stay untouched and no privileges are needed. The packages come from where
the machine's own Debian comes from. Nothing is configured: maintainer scripts do not run. Standard
library, ``apt-get`` and ``dpkg-deb`` only.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from debian_apt import Apt, call, reason, release

from edgeroberta.errors import EdgeRobertaError, UnavailableError
from edgeroberta.storage import cache
from edgeroberta.storage.artifact import digest_value

_LAYOUT = 1  # of the cached folders; raise it when what is written into them changes
_LINKED = ("bin", "lib", "lib64", "sbin")  # merged into /usr, as on every Debian since 12
#: Debian's architecture to its machine name and its dynamic loader.
MACHINES = {
    "amd64": ("x86_64", "lib64/ld-linux-x86-64.so.2"),
    "arm64": ("aarch64", "lib/ld-linux-aarch64.so.1"),
}


@dataclass(frozen=True)
class DebianRoot:
    """A root with Debian packages in it.

    Attributes:
        path: Its folder. Do not write into it; it is shared by all who ask for the same packages.
        architecture: ``amd64`` or ``arm64``.
    """

    path: Path
    architecture: str

    @classmethod
    def of(cls, architecture: str, packages: Sequence[str], *, store: Path) -> DebianRoot:
        """Return the root with these packages and all that they depend on; make it unless it is there.

        Args:
            architecture: ``amd64`` or ``arm64``.
            packages: Names, as for ``apt-get install --no-install-recommends``.
            store: Where roots are kept.

        Returns:
            The root.

        Raises:
            UnavailableError: This is no Debian, or its packages cannot be fetched.
            EdgeRobertaError: A package does not exist, or cannot be unpacked.
        """
        recipe = digest_value([_LAYOUT, architecture, sorted(packages), release()])[:12]

        def write(folder: Path) -> None:
            with Apt.at(folder / ".apt", architecture) as apt:
                for package in apt.fetch(packages):
                    unpack(package, folder)

        path = cache.folder(store / f"debian-{architecture}-{recipe}", write)
        return cls(path, architecture)

    @property
    def python(self) -> Path:
        """The interpreter's file; the package ``python3`` brings it."""
        found = [
            file for file in self.path.glob("usr/bin/python3.*") if re.fullmatch(r"python3\.\d+", file.name)
        ]
        if len(found) != 1:
            raise EdgeRobertaError(f"{len(found)} Python interpreters, not one", where=str(self.path))
        return found[0]

    @property
    def glibc(self) -> int:
        """Minor version of the C library, which says what wheels run: 36 for 2.36."""
        machine = MACHINES[self.architecture][0]
        text = (self.path / f"usr/lib/{machine}-linux-gnu/libc.so.6").read_bytes()
        found = re.search(rb"GNU C Library \([^)]*\) stable release version 2\.(\d+)", text)
        if not found:
            raise EdgeRobertaError("its C library does not tell its version", where=str(self.path))
        return int(found[1])

    def wheels(self, requirements: Sequence[str], *, store: Path) -> Path:
        """Return a folder with the wheels that ``pip install`` would choose in this root, unpacked.

        Args:
            requirements: As for pip; what they depend on comes along.
            store: Where such folders are kept.

        Returns:
            The folder, for ``PYTHONPATH``.

        Raises:
            EdgeRobertaError: pip finds no wheels for this architecture and Python.
        """
        machine, version = MACHINES[self.architecture][0], self.python.name.removeprefix("python")
        recipe = digest_value([_LAYOUT, machine, version, self.glibc, sorted(requirements)])[:12]
        # 17 is manylinux2014, the oldest that has wheels for ARM.
        platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(17, self.glibc + 1)]
        options = [f"--python-version={version}", "--implementation=cp", "--only-binary=:all:"]

        def write(folder: Path) -> None:
            archives = folder / ".wheels"
            pip = [sys.executable, "-m", "pip", "download", "--quiet", f"--dest={archives}"]
            done = call([*pip, *platforms, *options, *requirements])
            if done.returncode:
                raise EdgeRobertaError(
                    f"pip has no wheels for {machine} and Python {version}: {reason(done)}",
                    where=", ".join(requirements),
                )
            for archive in archives.glob("*.whl"):
                with zipfile.ZipFile(archive) as wheel:
                    wheel.extractall(folder)
            shutil.rmtree(archives)

        return cache.folder(store / f"wheels-{machine}-{recipe}", write)

    def command(self, emulator: Path | None = None) -> list[str]:
        """Return the words that start its Python from outside, without chroot or privileges.

        Args:
            emulator: qemu for this architecture, where it is not the machine's own; run it with
                ``QEMU_LD_PREFIX`` set to :attr:`path`.

        Returns:
            The first words of a command line.
        """
        if emulator is not None:
            return [str(emulator), str(self.python)]
        machine, loader = MACHINES[self.architecture]
        library = self.path / "usr/lib" / f"{machine}-linux-gnu"
        return [str(self.path / loader), "--library-path", str(library), str(self.python)]


def emulator(*, store: Path) -> Path:
    """Return qemu for 64-bit ARM programs, of a version that runs ONNX Runtime.

    Args:
        store: Where it is kept.

    Returns:
        The program: linked statically, so it runs from anywhere.

    Raises:
        UnavailableError: This is no Debian on x86-64, or no such version can be fetched.
    """

    def write(folder: Path) -> None:
        with Apt.at(folder / ".apt", "amd64") as apt:
            # qemu 7.2, which is Debian 12's own, crashes in ONNX Runtime 1.32; its backport is 10.0.
            fit = [one for one in apt.versions("qemu-user") if major(one) >= 10]
            if not fit:
                raise UnavailableError(
                    f"Debian {release()} has no qemu-user of version 10 or newer",
                    hint="use Debian 12 or newer",
                )
            unpack(apt.download("qemu-user", fit[0]), folder)
        for file in (folder / "usr/bin").iterdir():
            if file.name != "qemu-aarch64":
                file.unlink()

    recipe = digest_value([_LAYOUT, release()])[:12]
    return cache.folder(store / f"qemu-{recipe}", write) / "usr/bin/qemu-aarch64"


def major(version: str) -> int:
    """Return the major version of a Debian version: 10 of ``1:10.0.2+ds-2``."""
    return int(re.match(r"(?:\d+:)?(\d+)", version)[1])  # type: ignore[index]


def unpack(package: Path, folder: Path) -> None:
    """Unpack a .deb into a root whose /lib and the like are links into /usr."""
    for name in _LINKED:
        (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"usr/{name}")
    # Not `dpkg -x`: it would replace those links by folders. As debootstrap does it. Device files and
    # owners are left out, so that it works for everyone.
    archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE)
    tar = ["tar", "--extract", "--keep-directory-symlink", "--no-same-owner", "--no-same-permissions"]
    done = subprocess.run(
        [*tar, "--directory", str(folder)], stdin=archive.stdout, capture_output=True, text=True
    )
    if archive.stdout:
        archive.stdout.close()
    if archive.wait() or done.returncode:
        raise EdgeRobertaError(f"cannot be unpacked: {reason(done)}", where=package.name)
