"""Check that a wheel and a source archive hold what they should, and nothing else.

python -m build --outdir dist && python .ci/check_distributions.py dist
"""

from __future__ import annotations

import fnmatch
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IN_WHEEL = [
    "astrogalaxy/__init__.py",
    "astrogalaxy/cli/__init__.py",
    "astrogalaxy/py.typed",
    "astrogalaxy/models/weights/*.safetensors",
    "astrogalaxy/survey/report/templates/*",
    "*.dist-info/licenses/LICENSE",
    "*.dist-info/entry_points.txt",
]
IN_SDIST = ["README.md", "CHANGES.rst", "CITATION.cff", "pyproject.toml", "tox.ini", "tests/*.py", "docs/conf.py"]
IN_NEITHER = ["*.pyc", "*/__pycache__/*", "*/.hypothesis/*", "*/docs/_build/*", "*/docs/api/*"]
MEGABYTES = 20


def shipped_pipelines() -> list[str]:
    """Every file under pipelines/, by its name in the wheel."""
    files = (path for path in (ROOT / "pipelines").rglob("*") if path.is_file())
    return [f"astrogalaxy/_pipelines/{path.relative_to(ROOT / 'pipelines').as_posix()}" for path in files]


def problems(archive: Path, names: list[str], wanted: list[str], unwanted: list[str]) -> list[str]:
    """What is missing from an archive, and what should not be there."""
    found = [f"{archive.name}: no {pattern}" for pattern in wanted if not fnmatch.filter(names, pattern)]
    found += [f"{archive.name}: holds {name}" for pattern in unwanted for name in fnmatch.filter(names, pattern)]
    if archive.stat().st_size > MEGABYTES * 1e6:
        found.append(f"{archive.name}: larger than {MEGABYTES} MB")
    return found


def main(folder: Path) -> int:
    """Look at the newest wheel and source archive of a folder."""
    wheel = max(folder.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    sdist = max(folder.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)
    in_wheel = zipfile.ZipFile(wheel).namelist()
    with tarfile.open(sdist) as archive:
        in_sdist = [name.partition("/")[2] for name in archive.getnames()]
    only = {name.split("/")[0] for name in in_wheel if ".dist-info/" not in name} - {"astrogalaxy"}
    found = problems(wheel, in_wheel, [*IN_WHEEL, *shipped_pipelines()], IN_NEITHER)
    found += [f"{wheel.name}: holds {name}/" for name in sorted(only)]
    found += problems(sdist, in_sdist, IN_SDIST, IN_NEITHER)
    for line in found or [f"{wheel.name}, {sdist.name}: complete"]:
        print(line)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
