"""Tests of astrogalaxy.survey.store."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest

from astrogalaxy.errors import RunError
from astrogalaxy.survey.leftovers import Earlier
from astrogalaxy.survey.run import _logged
from astrogalaxy.survey.store import RunDirectory


def failing(number: int) -> object:
    def flock(handle: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    return flock


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_told_and_used(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fcntl.flock", failing(number))
    with caplog.at_level(logging.WARNING, "astrogalaxy"), RunDirectory(tmp_path, "pair").locked():
        (tmp_path / "there").touch()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{tmp_path}: its file system has no locks ({os.strerror(number)})")


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.EWOULDBLOCK, "another run is at work"), (errno.EACCES, "another run is at work"), (errno.EIO, "cannot be")],
)
def test_what_a_lock_says_else_ends_the_run(
    number: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcntl.flock", failing(number))
    with pytest.raises(RunError, match=message), RunDirectory(tmp_path, "pair").locked():
        pass
    if Path("/proc/self/fd").is_dir():
        assert not [name for name in os.listdir("/proc/self/fd") if _leads_to(name, tmp_path / ".lock")]


def _leads_to(descriptor: str, path: Path) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}") == str(path)
    except OSError:
        return False


@pytest.mark.parametrize(
    "text", ['{"files": ["a.txt"], "fields": ["a"]}', '{"format": "2.0", "fields": 5}', "[1]", "{"]
)
def test_a_run_json_of_another_program_is_no_record(text: str, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path, "pair")
    directory.record.write_text(text)
    assert directory.read_json() == {}
    assert Earlier.of(directory).files == []


def test_to_ask_for_a_folder_does_not_make_it(tmp_path: Path) -> None:
    assert RunDirectory(tmp_path, "pair").shards("north") == tmp_path / "tiles" / "north"
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no disk that is always full")
def test_a_full_disk_is_not_told_with_every_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    with _logged(Path("/dev/full")):
        logging.getLogger("astrogalaxy.survey").warning("a line")
    assert "Logging error" not in capsys.readouterr().err
