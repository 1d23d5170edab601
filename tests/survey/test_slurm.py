"""The page on SLURM: its Python runs as it stands, on a stand-in for the scheduler that runs what it is given."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from astrogalaxy.catalog import SourceCatalog

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "slurm.rst"

# The first job runs, with one worker instead of eight; later ones wait in the queue for ever.
SBATCH = """#!/bin/sh
[ -e job.sh ] && { echo "Submitted batch job 999999"; exit; }
cp "$1" job.sh
sed 's/--nworkers 8/--nworkers 1/' job.sh > small.sh
setsid bash small.sh > job.log 2>&1 &
echo $! > job.pid
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
for job in "$@"; do kill -TERM -- "-$job" 2>/dev/null; done; true
"""


def blocks(language: str) -> list[str]:
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)", PAGE.read_text())
    return [textwrap.dedent(text) for text in found]


@pytest.fixture
def queue(tmp_path: Path) -> dict[str, str]:
    """Environment with commands of SLURM."""
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(text)
        command.chmod(0o755)
    return os.environ | {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.skipif(not shutil.which("setsid") or not shutil.which("bash"), reason="needs setsid and bash")
def test_workers_as_jobs(survey: Path, queue: dict[str, str]) -> None:
    pytest.importorskip("dask_jobqueue", reason="needs the extra slurm")
    folder = survey.parent
    survey.write_text(survey.read_text().replace("{workers: 1, ", "{memory: 2 GB, "))
    script = folder / "on_slurm.py"
    (text,) = blocks("python")
    script.write_text(text)
    command = [sys.executable, script.name]
    ran = subprocess.run(command, cwd=folder, env=queue, capture_output=True, text=True, timeout=150, check=False)
    log = folder / "job.log"
    assert ran.returncode == 0, ran.stderr + (log.read_text() if log.is_file() else "no job was queued")
    assert len(SourceCatalog.read(folder / "out" / "pair.fits")) > 10
    check_job(folder / "job.sh")


def check_job(job: Path) -> None:
    """One thread in each of eight workers, which share cores and memory of the job and keep what they have freed."""
    text = job.read_text()
    assert subprocess.run(["bash", "-n", job], check=False).returncode == 0
    asked = set(re.findall(r"^#SBATCH (.*)$", text, re.MULTILINE))
    assert {"-n 1", "--cpus-per-task=8", "--mem=15G", "-t 02:00:00"} <= asked
    start = text.splitlines()[-1]
    for option in ("--nthreads 1", "--nworkers 8", "--nanny", "--death-timeout"):
        assert f"{option} " in start + " ", start
    gib = float(re.search(r"--memory-limit ([\d.]+)GiB", start)[1])
    assert 8 * gib <= 15
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1)
    assert environment_of_workers(text.splitlines()[-2]) == {"MALLOC_TRIM_THRESHOLD_": None, **threads}


def environment_of_workers(prologue: str) -> dict[str, object]:
    """What Dask's nannies add to the environment of workers after these lines of a job; None: nothing."""
    code = "import dask, distributed; print(dask.config.get('distributed.nanny.pre-spawn-environ'))"
    lines = f'{prologue}\n"{sys.executable}" -c "{code}"'
    return ast.literal_eval(subprocess.run(["bash", "-c", lines], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("number", range(2))
def test_job_scripts_are_bash(number: int) -> None:
    script = blocks("bash")[number]
    assert script.startswith("#!/bin/bash\n#SBATCH ")
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
