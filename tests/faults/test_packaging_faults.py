"""What is handed out: a pure wheel and a whole sdist, with all of the package and nothing else."""

import email
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import charlm

ROOT = Path(__file__).parents[2]
FOLDERS = ["charlm", "tests", "scripts", "docs"]
LITTER = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis")
BUILD = (
    "import sys, setuptools.build_meta as backend\n"
    "out, *forms = sys.argv[1:]\n"
    "for form in forms: getattr(backend, f'build_{form}')(out)"
)
FORBIDDEN = (".pyc", ".pyo", ".pkl", ".pickle", ".pt", ".pth", ".bin", ".so", ".pyd", ".c", ".npy")


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """Copy what the distributions are built of."""
    tree = tmp_path_factory.mktemp("tree")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tree / name, ignore=LITTER)
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, tree)
    return tree


def build(tree, out, *forms):
    command = [sys.executable, "-c", BUILD, str(out), *forms]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def built(tree, tmp_path_factory):
    """Build both."""
    out = tmp_path_factory.mktemp("built")
    build(tree, out, "sdist", "wheel")
    [wheel], [sdist] = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="session")
def names(built):
    """Name the files of both, without the sdist's own folder."""
    wheel, sdist = built
    with zipfile.ZipFile(wheel) as archive, tarfile.open(sdist) as packed:
        members = [member.name for member in packed.getmembers() if member.isfile()]
        return {
            "wheel": set(archive.namelist()),
            "sdist": {name.split("/", 1)[1] for name in members},
        }


def read(built, ending):
    with zipfile.ZipFile(built[0]) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(ending)]
        return email.message_from_bytes(archive.read(name))


@pytest.mark.parametrize("form", ["wheel", "sdist"])
def test_g10_all_of_the_package_is_there(names, tree, form):
    ours = {str(path.relative_to(tree)) for path in tree.glob("charlm/**/*.py")}
    held = {name for name in names[form] if name.startswith("charlm/")}
    assert held == ours | {"charlm/py.typed", "charlm/serving/page.html"}
    assert any(name.endswith("LICENSE") for name in names[form])


@pytest.mark.parametrize("form", ["wheel", "sdist"])
def test_g10_nothing_else_is_there(names, form):
    outside = {name.split("/")[0] for name in names[form]} - {"charlm"}
    assert not outside & set(FOLDERS)
    assert not [name for name in names[form] if name.endswith(FORBIDDEN)]
    assert form == "wheel" or {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO"} <= outside


def test_g10_nothing_needs_a_compiler(built):
    facts = read(built, "/WHEEL")
    assert facts["Root-Is-Purelib"] == "true" and facts.get_all("Tag") == ["py3-none-any"]
    assert built[0].name == f"charlm_toolkit-{charlm.__version__}-py3-none-any.whl"


def test_g10_the_wheel_names_what_it_needs(built, tree):
    project = tomllib.loads((tree / "pyproject.toml").read_text())["project"]
    facts, extras = read(built, "/METADATA"), project["optional-dependencies"]
    assert facts["Name"] == project["name"] and facts["Version"] == charlm.__version__
    assert facts["License-Expression"] == project["license"]
    assert facts.get_all("Provides-Extra") == list(extras)
    for extra, needed in extras.items():
        for one in needed:
            assert f'{one}; extra == "{extra}"' in facts.get_all("Requires-Dist")
    assert set(project["dependencies"]) <= set(facts.get_all("Requires-Dist"))


def test_g10_the_sdist_alone_makes_the_same_wheel(built, names, tmp_path):
    with tarfile.open(built[1]) as packed:
        packed.extractall(tmp_path, filter="data")
    [folder] = tmp_path.iterdir()
    build(folder, tmp_path, "wheel")
    with zipfile.ZipFile(tmp_path / built[0].name) as archive:
        assert set(archive.namelist()) == names["wheel"]


def test_g10_what_the_wheel_holds_runs(built, tmp_path):
    with zipfile.ZipFile(built[0]) as archive:
        archive.extractall(tmp_path)
    command = [sys.executable, "-m", "charlm", "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == f"charlm {charlm.__version__}\n", done.stderr
    points = tmp_path / f"charlm_toolkit-{charlm.__version__}.dist-info" / "entry_points.txt"
    assert "charlm = charlm.cli.start:start" in points.read_text()
