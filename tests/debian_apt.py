"""apt with state, cache and configuration of its own: fetches packages of any architecture.

The packages come from where the machine's own Debian comes from, verified as apt verifies them; the
machine's lists and packages stay untouched, and no privileges are needed. Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeroberta.errors import EdgeRobertaError, UnavailableError

_MINUTES = 10 * 60

Stanza = Mapping[str, str]


class Apt:
    """apt with folders of its own, for one architecture; use :meth:`at` in a ``with``."""

    def __init__(self, folder: Path, architecture: str) -> None:
        self._folder = folder
        self._environment = {**os.environ, "APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C"}
        self.architecture = architecture

    @classmethod
    def at(cls, folder: Path, architecture: str, *, suite: str | None = None) -> Apt:
        """Set apt up in a new folder, which goes when the ``with`` ends, and fetch the package lists.

        Args:
            folder: Of its state.
            architecture: Of the packages.
            suite: Another release than this machine's, from the same archive.

        Raises:
            UnavailableError: This is no Debian, or the lists cannot be fetched.
        """
        for program in ("apt-get", "apt-cache", "apt-config", "dpkg-deb", "tar"):
            if shutil.which(program) is None:
                raise UnavailableError(f"there is no {program} on this machine", hint="do this on Debian")
        for name in ("state/lists/partial", "cache/archives/partial", "sources"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "sources" / "debian.sources").write_text(
            to_text(debian_sources(suite=suite)), encoding="utf-8"
        )
        kept = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
        (folder / "apt.conf").write_text(configuration(folder, architecture, kept), encoding="utf-8")
        apt = cls(folder, architecture)
        apt._run("apt-get", "update", "--error-on=any")
        return apt

    def __enter__(self) -> Apt:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder)

    def fetch(self, packages: Sequence[str]) -> list[Path]:
        """Fetch packages and all that they depend on, into an empty system; return the .deb files."""
        # One that does not exist is an error of the caller, and no outage.
        for package in packages:
            if not self.versions(package):
                raise EdgeRobertaError(
                    f"Debian {release()} has no package {package!r} for {self.architecture}"
                )
        self._run("apt-get", "install", "-y", "--no-install-recommends", "--download-only", *packages)
        return sorted((self._folder / "cache/archives").glob("*.deb"))

    def versions(self, package: str) -> list[str]:
        """Return the versions on offer, the newest first; none where there is no such package."""
        lines = self._run("apt-cache", "madison", package).splitlines()
        return [line.split("|")[1].strip() for line in lines if line.split("|")[0].strip() == package]

    def download(self, package: str, version: str) -> Path:
        """Fetch one version of one package, without what it depends on."""
        self._run("apt-get", "download", f"{package}={version}")
        return next(self._folder.glob(f"{package}_*.deb"))

    def _run(self, *words: str) -> str:
        done = call(words, environment=self._environment, folder=self._folder)
        if done.returncode:
            raise UnavailableError(
                f"{' '.join(words[:2])} failed: {reason(done)}",
                hint="see that the network is up, and try again",
            )
        return done.stdout


def release(file: Path = Path("/etc/os-release")) -> str:
    """Return the code name of this Debian.

    Raises:
        UnavailableError: It is none.
    """
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    facts = {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}
    if facts.get("ID") != "debian" or not facts.get("VERSION_CODENAME"):
        raise UnavailableError("this machine does not run Debian", hint="do this on Debian")
    return facts["VERSION_CODENAME"]


def debian_sources(
    folder: Path = Path("/etc/apt"), name: str | None = None, *, suite: str | None = None
) -> list[Stanza]:
    """Return where this machine's Debian comes from, for any architecture, and its backports.

    Args:
        folder: apt's configuration.
        name: The release's code name; this machine's when None.
        suite: Another release, which is then the only one.

    Returns:
        Stanzas in the form of ``sources(5)``; those of other archives are left out.

    Raises:
        UnavailableError: There are none.
    """
    name = name or release()
    stanzas: list[dict[str, str]] = []
    for file in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        if file.suffix == ".sources":
            stanzas += [_fields(text) for text in re.split(r"\n\s*\n", file.read_text(encoding="utf-8"))]
        elif file.suffix == ".list" and file.is_file():
            lines = file.read_text(encoding="utf-8").splitlines()
            stanzas += [_line(line) for line in lines if line.split()[:1] == ["deb"]]
    ours = [
        {key: value for key, value in stanza.items() if key != "Architectures"}
        for stanza in stanzas
        if "deb" in stanza.get("Types", "").split()
        and stanza.get("Enabled", "yes") != "no"
        and any(suite.partition("-")[0] == name for suite in stanza.get("Suites", "").split())
    ]
    main = next((stanza for stanza in ours if name in stanza["Suites"].split()), None)
    if main is None:
        raise UnavailableError(f"apt has no sources for {name}", where=str(folder))
    if suite is not None:
        return [{**main, "Suites": suite, "Types": "deb"}]
    backports = f"{name}-backports"
    if not any(backports in stanza["Suites"].split() for stanza in ours):
        ours.append({**main, "Suites": backports})
    return [{**stanza, "Types": "deb"} for stanza in ours]


def to_text(stanzas: Sequence[Stanza]) -> str:
    """Write stanzas as a ``.sources`` file."""
    texts = ("\n".join(f"{key}: {value}" for key, value in stanza.items()) for stanza in stanzas)
    return "\n\n".join(texts) + "\n"


def configuration(folder: Path, architecture: str, machine: str) -> str:
    """Return apt's configuration for a root.

    Args:
        folder: Where its state is.
        architecture: Of the packages.
        machine: What ``apt-config dump`` says here. How to fetch (proxies, retries) is kept; what to run
            afterwards is not, since such hooks touch the machine's own packages.

    Returns:
        The file named by ``APT_CONFIG``.
    """
    kept = [line for line in machine.splitlines() if line.startswith("Acquire::")]
    own = {
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::Main": "/dev/null",
        "Dir::Etc::Parts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": folder / "sources",
        "APT::Architecture": architecture,
        "APT::Architectures::": architecture,
        # As root, apt fetches as a user who cannot write here.
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    return "\n".join([*kept, *(f'{key} "{value}";' for key, value in own.items())]) + "\n"


def _fields(text: str) -> dict[str, str]:
    """Read one stanza; a value may continue in indented lines, as an embedded key does."""
    fields: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line[0].isspace():
            fields[key] += "\n" + line
        else:
            key, _, value = line.partition(":")
            key = key.strip().title()
            fields[key] = value.strip()
    return fields


def _line(line: str) -> dict[str, str]:
    """Read a line of the older form: ``deb [signed-by=FILE] URI SUITE COMPONENT…``."""
    found = re.match(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line)
    if not found:
        return {}
    options, uri, suite, components = found.groups()
    given = (option.partition("=") for option in (options or "").split())
    fields = {key.title(): value for key, _, value in given if key != "arch"}
    return {**fields, "Types": "deb", "URIs": uri, "Suites": suite, "Components": components.strip()}


def call(
    words: Sequence[str], *, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, capture_output=True, text=True, env=environment, cwd=folder, timeout=_MINUTES, check=False
    )


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line that says what went wrong: the first error, else the last line."""
    lines = [line for line in (done.stderr or "").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "ERROR:"))]
    return (errors[:1] or lines[-1:] or ["it says nothing"])[0].strip()
