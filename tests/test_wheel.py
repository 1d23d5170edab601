"""The wheel and the source archive that are made of this checkout: what is in them, and that the wheel alone works."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECK = ROOT / ".ci" / "check_distributions.py"


def _run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, built without the network by the backend that pip calls too."""
    if not all(map(importlib.util.find_spec, ("hatchling", "hatch_vcs"))):
        pytest.skip("needs hatchling and hatch-vcs")
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "hatchling", "build", "-d", str(folder), cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def unpacked(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, as an installation lays them down."""
    folder = tmp_path_factory.mktemp("site")
    (wheel,) = distributions.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.mark.skipif(not CHECK.is_file(), reason="source archives have no .ci/")
def test_they_are_complete(distributions: Path) -> None:
    assert "complete" in _run(sys.executable, str(CHECK), str(distributions), cwd=ROOT)


def test_the_command_is_declared(unpacked: Path) -> None:
    (points,) = unpacked.glob("astrogalaxy-*.dist-info/entry_points.txt")
    assert "astrogalaxy = astrogalaxy.cli:main" in points.read_text(encoding="utf-8")


def test_the_wheel_alone_works_in_an_empty_folder(unpacked: Path, tmp_path: Path) -> None:
    """The quickstart, ``init`` and ``check``, with nothing but the wheel and the dependencies."""

    def do(*arguments: str) -> str:
        return _run(sys.executable, *arguments, cwd=tmp_path, PYTHONPATH=str(unpacked))

    # run from the empty folder, so that no checkout is in the way
    assert Path(do("-c", "import astrogalaxy; print(astrogalaxy.__file__)").strip()).is_relative_to(unpacked)
    do("-m", "astrogalaxy", "run", "pipelines/quickstart.yml", "--workers", "1")
    do("-m", "astrogalaxy", "init", "sdss")
    assert "1 field, 1 tile, " in do("-m", "astrogalaxy", "check", "pipelines/quickstart.yml")
    names = {path.name for path in (tmp_path / "quickstart-out").iterdir()}
    assert {"quickstart.fits", "quickstart.vot", "report.html"} <= names
    assert sorted(path.name for path in tmp_path.iterdir()) == ["quickstart-out", "survey.yml"]
