from __future__ import annotations

import io
import tarfile

import debian_apt
import debian_root
import pytest

from edgeroberta.errors import EdgeRobertaError, UnavailableError

STANZAS = """# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Architectures: amd64
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF

Types: deb
URIs: http://other.example/
Suites: nodistro
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm-backports
Components: main
"""


def sources(folder):
    return debian_apt.debian_sources(folder, "bookworm")


def test_sources_are_debians_own_for_any_architecture_and_their_backports(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(STANZAS)
    own, backports = sources(tmp_path)
    assert (own["Suites"], backports["Suites"]) == ("bookworm bookworm-updates", "bookworm-backports")
    assert own["Types"] == "deb"
    assert not any("Architectures" in stanza for stanza in (own, backports))
    assert "\n mQINBF" in backports["Signed-By"]
    assert debian_apt.to_text([own]).startswith("Types: deb\nUris: http://mirror.example/debian\n")


def test_sources_of_the_older_form_are_read(tmp_path):
    (tmp_path / "sources.list").write_text(
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib # why\n"
        "# deb http://mirror.example/debian sid main\n"
        "deb-src http://mirror.example/debian bookworm main\n"
        "deb http://mirror.example/debian bookworm-backports main\n"
    )
    own, backports = sources(tmp_path)
    assert own == {
        "Signed-By": "/k.gpg",
        "Types": "deb",
        "URIs": "http://mirror.example/debian",
        "Suites": "bookworm",
        "Components": "main contrib",
    }
    assert backports["Suites"] == "bookworm-backports"


def test_no_sources_are_said_to_be_none(tmp_path):
    with pytest.raises(UnavailableError, match="apt has no sources for bookworm"):
        sources(tmp_path)


def test_apt_keeps_how_to_fetch_and_drops_hooks(tmp_path):
    dump = 'Acquire::http::Proxy "http://proxy:3128";\nDPkg::Post-Invoke:: "rm -f /var/cache/apt/x";\n'
    written = debian_apt.configuration(tmp_path, "arm64", dump)
    assert 'Acquire::http::Proxy "http://proxy:3128";' in written
    assert "Post-Invoke" not in written
    assert f'Dir::State "{tmp_path}/state";' in written


def test_only_debian_will_do(tmp_path):
    (tmp_path / "os-release").write_text('ID=ubuntu\nVERSION_CODENAME="noble"\n')
    with pytest.raises(UnavailableError, match="does not run Debian"):
        debian_apt.release(tmp_path / "os-release")
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_CODENAME="trixie"\n')
    assert debian_apt.release(tmp_path / "os-release") == "trixie"


def test_a_machine_without_apt_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="there is no apt-get on this machine"):
        debian_apt.Apt.at(tmp_path, "arm64")


@pytest.mark.parametrize(("version", "expected"), [("1:10.0.2+ds-2~bpo12+1", 10), ("7.2-1", 7)])
def test_the_major_version_is_read_past_the_epoch(version, expected):
    assert debian_root.major(version) == expected


def test_a_package_unpacks_into_usr_through_links(tmp_path, monkeypatch):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, kind in (("./lib", tarfile.DIRTYPE), ("./lib/x.so", tarfile.REGTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = kind, 0o755
            archive.addfile(entry)
    (tmp_path / "x.tar").write_bytes(data.getvalue())
    # Stands in for dpkg-deb, which is on Debian only.
    program = tmp_path / "bin" / "dpkg-deb"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/x.tar\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    (tmp_path / "root").mkdir()
    debian_root.unpack(tmp_path / "x.deb", tmp_path / "root")
    assert (tmp_path / "root/lib").is_symlink()
    assert (tmp_path / "root/usr/lib/x.so").is_file()
    program.write_text("#!/bin/sh\necho broken >&2\nexit 2\n")
    with pytest.raises(EdgeRobertaError, match=r"x\.deb: cannot be unpacked"):
        debian_root.unpack(tmp_path / "x.deb", tmp_path / "root")


def test_a_failed_command_is_told_by_its_first_error():
    def said(text):
        return debian_apt.reason(debian_apt.call(["sh", "-c", f"printf '{text}' >&2; exit 1"]))

    assert said("W: odd\\nE: no route\\nE: some files failed\\n") == "E: no route"
    assert said("one\\ntwo\\n") == "two"
    assert said("") == "it says nothing"
