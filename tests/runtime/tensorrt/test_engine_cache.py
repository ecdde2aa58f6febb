"""The engine cache: reuse, races, damage, and what is said when an engine is built anew."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_cuda import FakeCuda
from fake_tensorrt import BUILDS, RTX, SECONDS, FakeTensorRt
from tensorrt_bundles import expected, graph, ids

from edgeroberta.runtime import tensorrt
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.tensorrt import cuda, identity, plan_files
from edgeroberta.runtime.tensorrt.library import TensorRtLibrary
from edgeroberta.storage import artifact, codedigest
from edgeroberta.storage.cache import cache_dir

LENGTHS = Lengths((16,), (512,))
TESTS = Path(__file__).parents[2]
CHILD = """
import sys
from pathlib import Path
import numpy as np
from fake_tensorrt import FakeTensorRt
from edgeroberta.cli import console
from edgeroberta.runtime import tensorrt
from edgeroberta.runtime.lengths import Lengths
from tensorrt_bundles import expected, ids
console.set_voice()
with FakeTensorRt().installed():
    session = tensorrt.open(Path(sys.argv[1]), threads=1, lengths=Lengths((16,), (512,)))
    values, mask = ids(2, 16)
    assert np.allclose(session.run(values, mask), expected(values, mask), atol=1e-4)
    print(session.facts()["reused"])
"""


def open_session(folder, **changes):
    """Open the int8 engine and check an answer; returns the facts."""
    session = tensorrt.open(folder, threads=1, **{"lengths": LENGTHS, **changes})
    values, mask = ids(2, 16)
    assert abs(session.run(values, mask) - expected(values, mask)).max() < 1e-4
    facts = session.facts()
    session.close()
    return facts


def kept(facts):
    return Path(facts["kept"])


def test_an_engine_is_built_once_and_reused(every, folder, caplog):
    first = open_session(folder)
    assert "this can take minutes" in caplog.text
    caplog.clear()
    again = open_session(folder)
    assert (first["reused"], again["reused"]) == (False, True)
    assert again["build_seconds"] == pytest.approx(first["build_seconds"])
    assert len(every.builds) == 1
    assert not caplog.records


def test_the_facts_beside_a_plan_hold_every_field_of_its_key(fake, folder):
    place = kept(open_session(folder))
    facts = json.loads((place / "engine.json").read_text(encoding="utf-8"))
    assert facts["schema_version"] == 1
    assert facts["key"] == {
        "board": identity.board(),
        "builder": codedigest.of("edgeroberta.runtime.tensorrt.builder"),
        "device": "Orin",
        "graph": identity.graph_digest(folder / "tensorrt.onnx"),
        "l4t": "",
        "library": "tensorrt",
        "precision": "int8",
        "profiles": [[16, 16, 16, 8], [17, 512, 512, 8]],
        "sm": "8.7",
        "version": "10.3.0",
    }
    assert facts["bytes"] == (place / "engine.plan").stat().st_size
    assert facts["sha256"] == artifact.digest_file(place / "engine.plan")
    assert (place / "engine.json").read_text(encoding="utf-8").endswith("}\n")


def test_the_profiles_are_those_of_the_bundle_s_own_texts(fake, tmp_path):
    import tensorrt_bundles

    bundle = tensorrt_bundles.write(tmp_path / "bundle")
    # Whoever asks for other lengths gets the same engine.
    open_session(bundle, lengths=Lengths((128,), (512,)))
    assert open_session(bundle)["reused"]
    assert [profile["input_ids"] for profile in fake.builds[0]["profiles"]] == [
        [[1, 16], [1, 16], [8, 48]],
        [[1, 49], [1, 64], [8, 512]],
    ]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda: FakeTensorRt("10.16.0"), "version was 10.3.0, now 10.16.0"),
        (
            lambda: FakeTensorRt(RTX, rtx=True),
            f"library was tensorrt, now tensorrt_rtx; version was 10.3.0, now {RTX}",
        ),
        (lambda: FakeTensorRt(gpu=FakeCuda(sm=(11, 0))), "sm was 8.7, now 11.0"),
        (lambda: FakeTensorRt(gpu=FakeCuda(name="Thor")), "device was Orin, now Thor"),
    ],
)
def test_another_library_or_gpu_means_another_engine_and_the_field_is_named(folder, caplog, other, said):
    with FakeTensorRt().installed():
        open_session(folder)
    caplog.clear()
    with other().installed() as fake:
        assert not open_session(folder)["reused"]
        assert len(fake.builds) == 1
    assert f"anew: {said};" in caplog.text


def test_another_graph_or_other_lengths_mean_another_engine(fake, folder, caplog):
    open_session(folder)
    open_session(folder, lengths=Lengths((32,), (512,)))
    assert "anew: profiles was [[16, 16, 16" in caplog.text
    with (folder / "tensorrt.onnx").open("ab") as handle:
        handle.write(b"\x72\x00")  # metadata_props, empty
    caplog.clear()
    open_session(folder)
    assert "graph was " in caplog.text
    assert len(fake.builds) == 3


def test_weights_beside_the_graph_are_part_of_the_key(tmp_path):
    graph(tmp_path / "tensorrt.onnx", external=True)
    before = identity.graph_digest(tmp_path / "tensorrt.onnx")
    with (tmp_path / "tensorrt.onnx_data").open("ab") as handle:
        handle.write(b"\0")
    changed = identity.graph_digest(tmp_path / "tensorrt.onnx")
    assert changed != before
    (tmp_path / "model.onnx_data").write_bytes(b"of another graph")
    assert identity.graph_digest(tmp_path / "tensorrt.onnx") == changed


def test_the_l4t_release_is_read_from_its_file(tmp_path):
    assert identity.l4t_release(tmp_path) == ""
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc/nv_tegra_release"
    file.write_text("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n")
    assert identity.l4t_release(tmp_path) == "36.4.3"
    file.write_bytes(b"\xff something else\n")
    assert "something else" in identity.l4t_release(tmp_path)


def test_two_boards_with_the_same_gpu_name_do_not_share_engines_or_timings(device_tree, tmp_path):
    file = graph(tmp_path / "tensorrt.onnx")
    gpu, library = cuda.CudaDevice("Orin", "8.7", 1, True), TensorRtLibrary(None, "tensorrt", "10.3.0")
    roots = [device_tree(name) for name in ("orin-nano", "agx-orin")]
    keys = [identity.engine_key(library, gpu, file, profiles=(), precision="int8", root=at) for at in roots]
    assert "Orin Nano" in keys[0]["board"]
    assert plan_files.difference(*({**key, "l4t": ""} for key in keys)).startswith("board was NVIDIA")
    assert len({identity.device_name(library, gpu, root) for root in roots}) == 2


def _truncate(place):
    (place / "engine.plan").write_bytes((place / "engine.plan").read_bytes()[:-7])


def _swap(place):
    data = bytearray((place / "engine.plan").read_bytes())
    data[-1] ^= 1
    (place / "engine.plan").write_bytes(data)


def _edit(place, **changes):
    facts = json.loads((place / "engine.json").read_text(encoding="utf-8"))
    (place / "engine.json").write_text(json.dumps({**facts, **changes}), encoding="utf-8")


def _other_key(place):
    facts = json.loads((place / "engine.json").read_text(encoding="utf-8"))
    _edit(place, key={**facts["key"], "sm": "7.2"})


DAMAGE = [
    (_truncate, r"it has \d+ bytes instead of \d+"),
    (_swap, "its sha256 is not what it was"),
    (_other_key, "sm was 7.2, now 8.7"),
    (lambda place: (place / "engine.json").write_text("{"), "its facts cannot be read"),
    (lambda place: (place / "engine.json").write_text("[]"), "its facts cannot be read"),
    (lambda place: (place / "engine.json").unlink(), "its facts are missing"),
    (lambda place: (place / "engine.plan").unlink(), "it cannot be read"),
    (lambda place: _edit(place, schema_version=9), "schema 9, not 1"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGE)
def test_a_damaged_engine_is_never_loaded_but_built_anew(fake, folder, caplog, monkeypatch, damage, said):
    damage(kept(open_session(folder)))
    caplog.clear()
    assert not open_session(folder)["reused"]
    assert caplog.messages[0].startswith("building the int8 engine of ")
    import re

    assert re.search(f"anew: {said}", caplog.text)
    assert open_session(folder)["reused"]
    assert len(fake.builds) == 2


def test_a_whole_engine_that_the_library_refuses_is_built_anew(fake, folder, caplog):
    place = kept(open_session(folder))
    plan = b"not an engine"
    (place / "engine.plan").write_bytes(plan)
    import hashlib

    _edit(place, bytes=len(plan), sha256=hashlib.sha256(plan).hexdigest())
    assert not open_session(folder)["reused"]
    assert "the engine that was kept cannot be loaded" in caplog.text
    assert open_session(folder)["reused"]


def test_a_full_disk_costs_a_build_each_time_and_says_so(fake, folder, caplog, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(plan_files, "write_json", full)
    assert open_session(folder)["kept"] is None
    said = caplog.text
    assert "the engine is not kept and will be built again next time" in said
    assert "No space left on device" in said
    assert "EDGEROBERTA_CACHE" in said
    engines = cache_dir() / "engines"
    assert [each.name for each in engines.iterdir() if each.is_dir()] == []  # nothing half-written
    open_session(folder)
    assert len(fake.builds) == 2


def test_a_cache_that_cannot_be_written_is_no_obstacle(fake, folder, caplog, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEROBERTA_CACHE", str(tmp_path / "file"))
    assert open_session(folder)["kept"] is None
    assert "the engine is not kept and will be built again next time" in caplog.text


def test_without_a_home_folder_nothing_is_kept(fake, folder, caplog, monkeypatch):
    from edgeroberta.errors import EdgeRobertaError
    from edgeroberta.runtime.tensorrt import engine_cache

    def homeless():
        raise EdgeRobertaError("there is no home folder to keep a cache in")

    monkeypatch.setattr(engine_cache, "cache_dir", homeless)
    assert open_session(folder)["kept"] is None
    assert "engines are not kept (there is no home folder to keep a cache in)" in caplog.text


def test_of_two_processes_one_builds_and_the_other_waits_for_it(folder, tmp_path):
    log = tmp_path / "builds"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        BUILDS: str(log),
        SECONDS: "1.5",
    }
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    ]
    done = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0], done
    assert sorted(out.strip() for out, _ in done) == ["False", "True"]
    assert len(log.read_text(encoding="utf-8").splitlines()) == 1
    said = "".join(err for _, err in done)
    assert "warning: another process is building this engine; waiting for it" in said


def test_a_file_system_without_locks_is_no_obstacle(fake, folder, monkeypatch):
    import fcntl

    def refuse(handle, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert open_session(folder)["kept"] is not None


def test_what_a_killed_builder_left_is_swept(fake, folder):
    place = kept(open_session(folder))
    leftover = place.with_name(f".{place.name}.killed")
    leftover.mkdir()
    (leftover / "engine.plan").write_bytes(b"half")
    _truncate(place)
    open_session(folder)
    assert not leftover.exists()


def test_old_engines_of_a_graph_are_collected_and_those_of_other_graphs_are_not(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    graph(other / "tensorrt.onnx")
    with FakeTensorRt().installed():
        kept_other = kept(open_session(other))
        tensorrt.open_fp16(folder, threads=1, lengths=LENGTHS).close()
    places = []
    for minor in range(3, 7):
        with FakeTensorRt(f"10.{minor}.0").installed():
            places.append(kept(open_session(folder)))
            os.utime(places[-1] / "engine.json", (minor, minor))
    assert [place.exists() for place in places] == [False, False, True, True]
    assert kept_other.exists()
    assert len(list((cache_dir() / "engines").glob("*/engine.plan"))) == 4


def test_what_a_build_learned_speeds_up_the_next_one_on_this_device(fake, folder):
    open_session(folder)
    tensorrt.open_fp16(folder, threads=1, lengths=LENGTHS)
    assert [build["timing"] for build in fake.builds] == [b"", b"timings of Orin"]
    for file in (cache_dir() / "engines").glob("*.timing"):
        file.write_bytes(b"of another device")
    open_session(folder, lengths=Lengths((32,), (512,)))
    assert fake.builds[2]["timing"] == b""


def test_rtx_has_no_timing_cache(folder):
    with FakeTensorRt(RTX, rtx=True).installed() as fake:
        open_session(folder)
        assert fake.builds[0]["timing"] is None
    assert list((cache_dir() / "engines").glob("*.timing")) == []


def test_the_scratch_memory_is_capped_by_what_is_free(folder):
    for free, cap in ((2 << 30, 512 << 20), (64 << 30, 1 << 30)):
        with FakeTensorRt(gpu=FakeCuda(free=free)).installed() as fake:
            open_session(folder, lengths=Lengths((16,), (free >> 25,)))
            assert fake.builds[0]["workspace"] == cap


def test_a_target_s_cap_is_used_and_leaves_the_key_alone(fake, folder):
    session = tensorrt.open(folder, threads=1, lengths=LENGTHS, workspace_bytes=64 << 20)
    assert fake.builds[0]["workspace"] == 64 << 20
    session.close()
    assert open_session(folder)["reused"]


@pytest.fixture(autouse=True)
def _listen(caplog):
    caplog.set_level(logging.WARNING, logger="edgeroberta")
