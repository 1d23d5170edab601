"""A full or read-only disk: a sentence that says what to do, nothing half-written, and the next run goes on."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from typer.testing import CliRunner

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.cli import app
from astrogalaxy.config import pipelines_folder
from astrogalaxy.errors import RunError
from astrogalaxy.images.archives.download import made_folder
from astrogalaxy.survey import execute
from astrogalaxy.survey.store import RunDirectory
from astrogalaxy.survey.summary import RunSummary

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on the size of files")


def make_survey(folder: Path) -> Path:
    """A survey of one small field, in all formats of one file."""
    y, x = np.mgrid[:128, :128]
    sky = np.random.default_rng(1).normal(100, 5, x.shape)
    for place in range(20, 120, 20):
        sky += 900 * np.exp(-((x - place) ** 2 + (y - 120 + 0.8 * place) ** 2) / 6)
    header = WCS(fits.getheader(pipelines_folder() / "quickstart" / "quickstart-r.fits", 1)).to_header()
    fits.writeto(folder / "one-r.fits", sky.astype(np.float32), header)
    (folder / "survey.yml").write_text(
        'name: s\nimages: {path: "{field}-{band}.fits", bands: [r]}\ncompute: {workers: 1, device: cpu}\n'
        "output: {formats: [fits, votable, ecsv]}\n"
    )
    return folder / "survey.yml"


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    """One that was never run."""
    return make_survey(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that was run."""
    survey = make_survey(tmp_path_factory.mktemp("finished"))
    assert execute(survey).exit_code == 0
    return survey


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Writing beyond this many bytes fails, as on a full disk."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def all_whole(out: Path) -> None:
    """Every file under a final name can be read to its end; nothing temporary is left."""
    readers = {
        ".fits": SourceCatalog.read,
        ".vot": SourceCatalog.read,
        ".ecsv": Table.read,
        ".json": lambda path: json.loads(path.read_text()),
        ".npz": lambda path: [np.load(path)[name] for name in np.load(path).files],
        ".yml": lambda path: path.read_text().index("name: s"),
        ".html": lambda path: path.read_text().index("</html>"),
    }
    for path in out.rglob("*"):
        assert ".part" not in str(path)
        if path.is_file() and path.suffix in readers:
            readers[path.suffix](path)


def check_end(summary: RunSummary | RunError, out: Path) -> None:
    """A run that met a full disk said so, by name and with what to do."""
    words = [str(summary)] if isinstance(summary, RunError) else [str(failure) for failure in summary.failures]
    assert any("cannot write" in one and "free some space or choose another folder" in one for one in words)
    if not isinstance(summary, RunError):
        assert summary.exit_code in (1, 3)
    all_whole(out)


@linux
@pytest.mark.parametrize("size", [1_500, 12_000])
def test_a_run_on_a_full_disk_says_so_and_the_next_one_ends_well(
    survey: Path, size: int, capfd: pytest.CaptureFixture[str]
) -> None:
    out = survey.parent / "out"
    with files_no_larger_than(size):
        try:
            summary: RunSummary | RunError = execute(survey)
        except RunError as error:
            summary = error
    check_end(summary, out)
    assert "Traceback" not in capfd.readouterr().err
    again = execute(survey)
    assert again.exit_code == 0
    assert len(again.catalog) >= 5
    all_whole(out)


@linux
@pytest.mark.parametrize("victim", ["s.fits", "s.ecsv", "report.html", "run.json"])
def test_whatever_does_not_fit_the_rest_is_whole(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    """The disk is full when this file's content is to be flushed."""
    shutil.copytree(finished.parent, tmp_path / "copy")
    survey, out, flush = tmp_path / "copy" / "survey.yml", tmp_path / "copy" / "out", os.fsync
    before = (out / victim).read_bytes()

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").resolve().name == victim:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    words = f"{victim}: No space left on device; free some space or choose another folder"
    if victim == "run.json":
        with pytest.raises(RunError, match=words):
            execute(survey)
    else:
        summary = execute(survey)
        assert summary.tiles["kept"] == 1
        assert words in (out / "run.log").read_text()
        if victim != "report.html":
            assert summary.exit_code == 3
            assert any(words in failure.reason for failure in summary.failures)
    assert (out / victim).read_bytes() == before
    all_whole(out)


def read_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse what a read-only file system refuses; the superuser heeds no permissions."""
    real = os.open

    def refuse(name: object, flags: int, *args: object, **options: object) -> int:
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) and str(name).startswith(str(path)):
            raise OSError(errno.EROFS, "Read-only file system", str(name))
        return real(name, flags, *args, **options)

    monkeypatch.setattr(os, "open", refuse)


def test_read_only_output_ends_before_any_work(survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_only(survey.parent / "out", monkeypatch)
    with pytest.raises(RunError, match=r"out: cannot be written to \(Read-only file system\); set output\.directory"):
        execute(survey)
    assert list((survey.parent / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.ENOSPC, RunError), (errno.EROFS, RunError), (errno.ECONNRESET, OSError)]
)
def test_a_disk_that_fills_up_anywhere_in_a_run_is_said(tmp_path: Path, code: int, kind: type[Exception]) -> None:
    directory = RunDirectory(tmp_path / "out", "s")
    with pytest.raises(kind) as caught, directory.locked():
        raise OSError(code, os.strerror(code))
    told = f"{tmp_path / 'out'}: cannot be written to ({os.strerror(code)}); free some space or set output.directory"
    assert (told in str(caught.value)) == (kind is RunError)
    with directory.locked():
        """The lock is free again."""


def test_output_in_the_place_of_a_file(survey: Path) -> None:
    (survey.parent / "out").write_text("mine")
    with pytest.raises(RunError, match=r"out: cannot be written to .*; set output\.directory"):
        execute(survey)
    assert (survey.parent / "out").read_text() == "mine"


@pytest.mark.parametrize(
    "command",
    [
        ["init", "-o", "{there}/survey.yml"],
        ["simulate", "sdss", "--size", "64", "-o", "{there}/scene"],
    ],
)
def test_other_commands_on_a_read_only_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    there = tmp_path / "there"
    there.mkdir()

    def refuse(**_: object) -> str:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    done = CliRunner().invoke(app, [part.format(there=there) for part in command])
    assert isinstance(done.exception, RunError), done.output
    assert "Read-only file system" in str(done.exception)
    assert not [path for path in there.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="give another folder"):
        made_folder(tmp_path / "file" / "below", "give another folder")


@pytest.mark.parametrize("name", ["run.log", "tiles", ".fields", ".lock"])
def test_what_lies_in_the_place_of_a_file_of_the_run_is_named(survey: Path, name: str) -> None:
    there = survey.parent / "out" / name
    there.parent.mkdir()
    if name in ("run.log", ".lock"):
        there.mkdir()
    else:
        there.write_text("mine")
    told = rf"out/{name}: cannot be written to \([^)]*\); remove it, or set output\.directory"
    with pytest.raises(RunError, match=told):
        execute(survey)
    assert there.is_dir() or there.read_text() == "mine"


def test_files_of_somebody_else_are_named(survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that two may write to, the second cannot go on with the log of the first."""
    directory = RunDirectory(survey.parent / "out", "s")
    directory.path.mkdir()
    directory.log.touch()
    may, opened = os.access, open

    def access(path: object, mode: int) -> bool:
        return Path(str(path)) != directory.log and may(path, mode)

    def denied(path: object, *args: object, **options: object) -> object:
        if str(path) == str(directory.log):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *args, **options)

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr("builtins.open", denied)
    told = f"{directory.log}: cannot be written to (Permission denied); remove it, or set output.directory"
    for act in (directory.check, lambda: execute(survey)):
        with pytest.raises(RunError) as caught:
            act()
        assert told in str(caught.value)


@linux
@pytest.mark.parametrize("command", [["--version"], ["--help"], ["weights", "list"]])
def test_output_that_is_taken_nowhere(command: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "astrogalaxy", *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ran.returncode == 1
    assert ran.stderr == "error: the output: No space left on device\n"


@linux
def test_a_log_on_a_full_disk_does_not_end_a_command(survey: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = CliRunner().invoke(app, ["run", str(survey), "--log-file", "/dev/full"])
    assert done.exit_code == 0, done.output
    assert "Logging error" not in capfd.readouterr().err
