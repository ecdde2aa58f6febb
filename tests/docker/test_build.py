"""Each Dockerfile is carried out as written, over this machine's Debian, and what it makes is run.

This proves that every command runs and that they add up; not that the base images are as they are believed
to be. Debian's Python stands in for theirs, and an empty package for JetPack's TensorRT.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import fake_bundles
import pytest
import served
from dockerfile import Sandbox, carry_out, parse

ROOT = Path(__file__).parents[2]
TENSORRT = "usr/lib/python3/dist-packages/tensorrt"
PYTHON = Path("/usr/bin/python3")


@pytest.fixture
def sandbox(tmp_path):
    """A sandbox, where this machine can make one."""
    if os.name != "posix" or os.geteuid() != 0 or not PYTHON.exists() or shutil.which("apt-get") is None:
        pytest.skip("needs root, Debian and its Python")
    try:
        with Sandbox(tmp_path / "sandbox") as found:
            found.root("probe")
            yield found
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the system does not let mount an overlay ({error})")


def build(name: str, sandbox: Sandbox):
    """Carry both stages out; return the container that the image would start, and its stage."""
    stages = parse(ROOT / "docker" / f"Dockerfile.{name}")
    roots: dict[str, Path] = {}
    for stage in stages:
        key = stage.name or "image"
        roots[key] = root = sandbox.root(key)
        python = root / "usr/local/bin/python"
        python.unlink(missing_ok=True)
        python.symlink_to(PYTHON)
        if stage.base.startswith("nvcr.io/"):
            (root / TENSORRT).mkdir(parents=True)
            (root / TENSORRT / "__init__.py").write_text("raise ImportError('libnvdla_compiler.so')\n")
        container = carry_out(stage, root, ROOT, others=roots)
    return container, stages[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cpu", "openvino"])
def test_an_image_serves_a_bundle_without_rights_on_a_read_only_root(name, sandbox, tmp_path):
    if healthy():
        pytest.skip("something else answers at port 8080")
    engine = "onnxruntime" if name == "cpu" else "openvino"
    container, image = build(name, sandbox)
    bundle = make_bundle(tmp_path, engine)
    cache = tmp_path / "cache"
    cache.mkdir()
    os.chown(cache, 10001, 10001)
    sandbox.bind(bundle, container.root / "bundle", read_only=True)
    sandbox.bind(cache, container.root / "cache")
    sandbox.seal(container.root)
    print(f"{name}: {sandbox.added('image') / 1e6:.0f} MB added")
    process = subprocess.Popen(
        container.command(image.one("CMD").words), stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        asked = container.command(json.loads(image.one("HEALTHCHECK").text.partition("CMD ")[2]))
        served.wait_until(lambda: process.poll() is not None or healthy())
        assert process.poll() is None, process.communicate()[1]
        assert subprocess.run(asked, timeout=20).returncode == 0
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "Uid:\t10001\t10001\t10001\t10001" in status
        assert any(cache.rglob("*")), "the cache is written to"
        process.terminate()
        assert process.wait(served.WAIT) == 0
        assert subprocess.run(asked, timeout=20, capture_output=True).returncode != 0
    finally:
        process.kill()
        process.communicate()


def healthy() -> bool:
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/health", timeout=4) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


def make_bundle(folder: Path, engine: str) -> Path:
    bundle = fake_bundles.write(folder / "bundle")
    if engine == "openvino":
        import openvino

        openvino.save_model(openvino.convert_model(bundle / "model.onnx"), bundle / "openvino_model.xml")
        fake_bundles.seal(bundle, engines=("openvino",))
    for path in (folder, *folder.parents):  # pytest's folders are for their owner alone
        if path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o011)
    return bundle


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jetson-jp6", "jetson-jp7"])
def test_the_commands_of_a_jetson_image_run_up_to_the_gpu(name, sandbox):
    container, _ = build(name, sandbox)
    done = container.run(["edgeroberta", "doctor", "--json"])
    assert done.returncode == 4, done.stderr
    assert json.loads(done.stdout)["usable"] is False
    assert container.run(["python", "-c", "from cuda.bindings import runtime"]).returncode == 0
    print(f"{name}: {sandbox.added('image') / 1e6:.0f} MB added")


@pytest.mark.slow
def test_the_image_for_compressing_can_compress(sandbox):
    container, image = build("compress", sandbox)
    words = [*image.one("ENTRYPOINT").words, "doctor", "--json"]
    done = container.run(words)
    assert done.returncode == 0, done.stderr
    extras = json.loads(done.stdout)["extras"]
    assert [extras[name] for name in ("compress", "hub", "parquet")] == [[], [], []]
    assert container.run([*image.one("ENTRYPOINT").words, *image.one("CMD").words]).returncode == 0
    print(f"compress: {sandbox.added('image') / 1e6:.0f} MB added")
