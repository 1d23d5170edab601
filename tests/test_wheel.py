"""The wheel and the source archive that are made of this checkout: what is in them, and that the wheel alone works."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from email import message_from_string
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


@pytest.fixture(scope="module")
def core(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that, first on the path, hides every module that the wheel's own dependencies do not bring."""
    (metadata,) = unpacked.glob("astrogalaxy-*.dist-info/METADATA")
    declared = map(Requirement, message_from_string(metadata.read_text(encoding="utf-8")).get_all("Requires-Dist"))
    brought = _with_dependencies(requirement for requirement in declared if requirement.marker is None)
    hidden = {
        module
        for module, names in packages_distributions().items()
        if not brought & {canonicalize_name(name) for name in names} and module != "astrogalaxy"
    }
    assert "numpy" not in hidden
    assert hidden >= {"torch", "yolox", "galsim"}
    folder = tmp_path_factory.mktemp("core")
    text = f"import sys\nsys.modules.update(dict.fromkeys({sorted(hidden)!r}))\n"
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    return folder


def _with_dependencies(requirements: Iterable[Requirement]) -> set[str]:
    """Names of the installed distributions that requirements stand for, and of all that these require."""
    todo, seen = list(requirements), set()
    while todo:
        one = todo.pop()
        known = canonicalize_name(one.name), frozenset(one.extras)
        if known in seen:
            continue
        seen.add(known)
        extras = one.extras or {""}
        todo += [
            needed
            for needed in map(Requirement, requires(one.name) or ())
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return {name for name, _ in seen}


@pytest.mark.skipif(not CHECK.is_file(), reason="source archives have no .ci/")
def test_they_are_complete(distributions: Path) -> None:
    assert "complete" in _run(sys.executable, str(CHECK), str(distributions), cwd=ROOT)


def test_the_command_is_declared(unpacked: Path) -> None:
    (points,) = unpacked.glob("astrogalaxy-*.dist-info/entry_points.txt")
    assert "astrogalaxy = astrogalaxy.cli:main" in points.read_text(encoding="utf-8")


def test_the_wheel_alone_works_in_an_empty_folder(unpacked: Path, core: Path, tmp_path: Path) -> None:
    """The quickstart, ``init`` and ``check``, with nothing but the wheel and the dependencies that are no extras."""

    def do(*arguments: str) -> str:
        return _run(sys.executable, *arguments, cwd=tmp_path, PYTHONPATH=os.pathsep.join([str(core), str(unpacked)]))

    # run from the empty folder, so that no checkout is in the way
    assert Path(do("-c", "import astrogalaxy; print(astrogalaxy.__file__)").strip()).is_relative_to(unpacked)
    assert do("-c", "from importlib.util import find_spec; print(find_spec('torch'))").strip() == "None"
    do("-m", "astrogalaxy", "run", "pipelines/quickstart.yml", "--workers", "1")
    do("-m", "astrogalaxy", "init", "sdss")
    assert "1 field, 1 tile, " in do("-m", "astrogalaxy", "check", "pipelines/quickstart.yml")
    names = {path.name for path in (tmp_path / "quickstart-out").iterdir()}
    assert {"quickstart.fits", "quickstart.vot", "report.html"} <= names
    assert sorted(path.name for path in tmp_path.iterdir()) == ["quickstart-out", "survey.yml"]
