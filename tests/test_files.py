"""Files that are whole or not there."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from astrogalaxy.errors import RunError
from astrogalaxy.files import atomic_folder, atomic_path, remove_unfinished


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_makes_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "x.fits.gz"
    for content in ("old", "new"):
        with atomic_path(target) as temporary:
            assert temporary.name == "x.fits.gz" and temporary.parent.parent == tmp_path
            temporary.write_text(content)
            assert not target.exists() or target.read_text() == "old"
        assert target.read_text() == content
    assert names(tmp_path) == ["x.fits.gz"]


def test_half_written_file_matches_no_pattern(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "x.fits") as temporary:
        temporary.write_text("half")
        assert list(tmp_path.glob("*.fits")) == []


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_error_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "x.txt"
    target.write_text("old")
    with pytest.raises(type(error)), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert names(tmp_path) == ["x.txt"]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    with atomic_path(tmp_path / "atomic") as temporary:
        temporary.touch()
    assert (tmp_path / "atomic").stat().st_mode == plain.stat().st_mode


def test_link_is_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    with atomic_path(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink() and real.read_text() == "new"


def test_missing_folder_folder_as_target_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere/x: the folder .* does not exist"), atomic_path(tmp_path / "nowhere/x"):
        pass
    with pytest.raises(RunError, match="it is a folder"), atomic_path(tmp_path):
        pass
    with pytest.raises(RunError, match="nothing was written"), atomic_path(tmp_path / "x"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write .*file/x"), atomic_path(tmp_path / "file" / "x"):
        pass
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with (
            pytest.raises(RunError, match=r"cannot write .*x.fits: Permission denied"),
            atomic_path(tmp_path / "x.fits"),
        ):
            pass
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("code", [errno.EACCES, errno.ENOENT])
def test_refused_folder_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(**kwargs: object) -> str:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    told = rf"cannot write .*x.fits: {os.strerror(code)} \(folder "
    with pytest.raises(RunError, match=told), atomic_path(tmp_path / "x.fits"):
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on the size of files")
def test_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    import resource

    target = tmp_path / "x.bin"
    target.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(RunError, match=r"cannot write .*x.bin: File too large"), atomic_path(target) as temporary:
            temporary.write_bytes(bytes(10000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert target.read_bytes() == b"old" and names(tmp_path) == ["x.bin"]


def test_disk_full_without_a_number_is_seen_through(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="No space left"), atomic_path(tmp_path / "x"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise OSError("Not enough space on disk: requested 5") from error


def test_disk_full_while_a_file_is_copied_is_seen(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot write .*x: No space left"), atomic_path(tmp_path / "x") as temporary:
        # as shutil.copyfile says it: the input first
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "input"), None, str(temporary))


def test_error_about_another_file_passes(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "x"):
        (tmp_path / "input").read_text()
    with pytest.raises(PermissionError), atomic_path(tmp_path / "x"):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "input"))
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    below = tmp_path / "tiles"
    for folder in (tmp_path, below):
        (folder / ".x.fits.abcd_123.part").mkdir(parents=True)
        (folder / ".x.fits.abcd_123.part" / "x.fits").write_text("hal")
        (folder / "x.fits").write_text("whole")
    (tmp_path / ".mine.part").mkdir()
    for folder in (tmp_path, below):
        remove_unfinished(folder)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == [".mine.part", "tiles", "tiles/x.fits", "x.fits"]
    assert (below / "x.fits").read_text() == "whole"


def test_a_replacement_that_was_cut_between_two_renames_is_finished(tmp_path: Path) -> None:
    hidden = tmp_path / ".sky.hats.abcd_123.part"
    for name, text in (("sky.hats.old", "before"), ("sky.hats", "after")):
        (hidden / name).mkdir(parents=True)
        (hidden / name / "file").write_text(text)
    remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["sky.hats"]
    assert (tmp_path / "sky.hats" / "file").read_text() == "after"


@pytest.mark.parametrize("name", ["old", "sky.old", "new"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    for text in ("before", "after"):
        with atomic_folder(tmp_path / name) as temporary:
            (temporary / "file").write_text(text)
    assert names(tmp_path) == [name] and (tmp_path / name / "file").read_text() == "after"
    # the first one of its name, half written
    half = tmp_path / "below" / f".{name}.abcd_123.part" / name
    half.mkdir(parents=True)
    remove_unfinished(tmp_path / "below")
    assert names(tmp_path / "below") == []
