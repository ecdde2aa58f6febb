"""``optimum-cli export edgeroberta``, in environments of its own beside Optimum's packages.

Run with ``make test-optimum``. Each environment has the packages under test alone; what they need is seen in
that of the tests, or of Optimum (see ``test_optimum.py``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from edgeroberta.runtime import Runtime

pytestmark = [pytest.mark.interchange, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
REGISTERED = "optimum/commands/register/register_edgeroberta.py"


class Environment:
    """A virtual environment that sees the packages of another one behind its own."""

    def __init__(self, folder: Path, behind: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        self.folder = folder
        (self.packages,) = folder.glob("lib/*/site-packages")
        if (behind / REGISTERED).is_file():  # of the checkout, which is installed there to be edited
            behind = _without_optimum(behind, folder / "behind")
        # Not as a site: of that only the folder counts, not what is installed there to be edited.
        (self.packages / "behind.pth").write_text(f"{behind}\n")

    def pip(self, *words: object) -> None:
        done = self.run("pip", *words, "--quiet")
        assert done.returncode == 0, done.stderr

    def run(self, program: str, *words: object) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, elsewhere than in the checkout."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [str(self.folder / "bin" / program), *map(str, words)],
            cwd=self.folder,
            env={**kept, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"},
            capture_output=True,
            text=True,
        )

    def exports(self) -> set[str]:
        """Return the exports that ``optimum-cli`` lists."""
        done = self.run("optimum-cli", "export", "--help")
        assert done.returncode == 0, done.stderr
        listed = done.stdout.partition("{")[2].partition("}")[0]
        return set(listed.split(","))


def _without_optimum(packages: Path, folder: Path) -> Path:
    folder.mkdir()
    for each in packages.iterdir():
        if each.name != "optimum":
            (folder / each.name).symlink_to(each)
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    (made,) = folder.glob("edgeroberta-*.whl")
    return made


@pytest.fixture(scope="module")
def current(wheel, tmp_path_factory) -> Environment:
    """The wheel beside the current Optimum and optimum-intel, with the transformers of these tests."""
    made = Environment(tmp_path_factory.mktemp("current") / "venv", Path(sysconfig.get_path("purelib")))
    made.pip("install", "--no-deps", wheel, "optimum==2.3.0", "optimum-intel==2.2.0")
    return made


def test_the_wheel_has_one_module_in_optimum_s_namespace(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if not name.startswith(("edgeroberta/", "edgeroberta-"))] == [REGISTERED]


def test_it_is_an_export_among_others_with_the_options_of_compress(current):
    assert current.exports() == {"openvino", "edgeroberta"}
    help_text = current.run("optimum-cli", "export", "edgeroberta", "--help").stdout
    ours = current.run("edgeroberta", "compress", "--help").stdout
    options = {word.strip(",") for word in ours.split() if word.startswith("--") and word != "--output"}
    assert options <= {word.strip(",[]") for word in help_text.split()}
    assert len(options) > 25


def test_it_compresses(current, tiny_checkpoint, tmp_path):
    texts = ("The film is dull", "The film is great", "A story", "I would see it again")
    rows = [
        f"{text} {number},{('negative', 'positive')[number % 2]}" for number in range(16) for text in texts
    ]
    (tmp_path / "rows.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    output = tmp_path / "out"
    done = current.run(
        *("optimum-cli", "export", "edgeroberta", "-m", tiny_checkpoint, "--data", tmp_path / "rows.csv"),
        *("--task", "sequence-classification", "--recipe", "int8", output),
    )
    assert done.returncode in (0, 3), done.stderr
    with Runtime.open(output, engine="onnxruntime") as runtime:
        assert runtime.manifest.precision == "int8"


def test_errors_and_exit_codes_are_those_of_compress(current, tiny_checkpoint, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n" + "good,positive\nbad,negative\n" * 20)
    for words, told in (
        (("--data", "absent.csv"), "error: absent.csv: no such file"),
        (("--data", rows, "--task", "text-to-image"), "error: --task: there is no task 'text-to-image'"),
        (("--data", rows, "--recipe", "in8"), "error: "),
    ):
        command = ("optimum-cli", "export", "edgeroberta", "-m", tiny_checkpoint, *words, tmp_path / "out")
        done = current.run(*command)
        assert done.returncode == 2, done.stderr
        assert told in done.stderr
        assert "  next: " in done.stderr


def test_task_names_are_those_of_the_tasks_manager(current, optimum_intel_python, optimum_python):
    """Also where Optimum has exporters, which say what tasks a model type can be exported for."""
    script = Path(__file__).with_name("optimum_tasks.py")
    for python in (current.folder / "bin/python", optimum_intel_python, optimum_python):
        done = subprocess.run(
            [str(python), str(script)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def test_beside_optimum_onnx_and_without_our_packages_it_says_what_is_missing(
    wheel, optimum_python, tmp_path
):
    (behind,) = optimum_python.parents[1].glob("lib/*/site-packages")
    older = Environment(tmp_path / "venv", behind)
    older.pip("install", "--no-deps", "--ignore-installed", wheel, "optimum==2.1.0")
    assert older.exports() == {"onnx", "openvino", "edgeroberta"}
    done = older.run("optimum-cli", "export", "edgeroberta", "-m", "model", "--data", "rows.csv", "out")
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1] == "  next: pip install 'edgeroberta[compress]'"


def test_each_package_can_go_and_leave_the_other(wheel, tmp_path):
    made = Environment(tmp_path / "venv", Path(sysconfig.get_path("purelib")))
    made.pip("install", "--no-deps", wheel, "optimum==2.3.0", "optimum-intel==2.2.0")
    theirs = {*(made.packages / "optimum").rglob("*.py")} - {made.packages / REGISTERED}
    made.pip("uninstall", "--yes", "edgeroberta")
    assert {*(made.packages / "optimum").rglob("*.py")} == theirs
    assert made.exports() == {"openvino"}

    made.pip("install", "--no-deps", wheel)
    made.pip("uninstall", "--yes", "optimum", "optimum-intel")
    left = {path.relative_to(made.packages).as_posix() for path in (made.packages / "optimum").rglob("*.py")}
    assert left == {REGISTERED}
    done = made.run("python", "-c", "import edgeroberta, transformers; edgeroberta.list_recipes()")
    assert done.returncode == 0, done.stderr


def test_an_installation_that_is_edited_registers_as_well(tmp_path):
    made = Environment(tmp_path / "venv", Path(sysconfig.get_path("purelib")))
    made.pip("install", "--no-deps", "--editable", ROOT, "optimum==2.3.0")
    assert made.exports() == {"edgeroberta"}
