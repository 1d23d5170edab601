"""``astrogalaxy view`` as a user meets it, with a real SAMP hub on the loopback."""

from __future__ import annotations

import os
import stat
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from astropy.io import fits

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.cli import main

with warnings.catch_warnings():
    # From astropy 8 on it says that it will move to pyvo.
    warnings.simplefilter("ignore")
    samp = pytest.importorskip("astropy.samp")


class Ran(NamedTuple):
    """What a command has said."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Ran]


@pytest.fixture
def astrogalaxy(monkeypatch, capsys) -> Command:
    """The command, without a display, and with a hub only where one is given."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SAMP_HUB"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: object, **environment: str) -> Ran:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["astrogalaxy", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Ran(int(ended.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """What a run leaves, as far as ``view`` looks at it."""
    folder = tmp_path / "out here"
    folder.mkdir()
    values = {"ra": [10.0, 10.01], "dec": [1.0, 1.0], "class": ["star", "galaxy"]}
    catalog = SourceCatalog.from_columns(values, bands=["r"])
    for suffix in ("fits", "vot", "parquet"):
        catalog.write(folder / f"sky.{suffix}")
    (folder / "run.json").write_text('{"format": 1, "name": "sky"}')
    (folder / "report.html").write_text("<p>report</p>")
    fits.PrimaryHDU(np.zeros((4, 4), "f4")).writeto(folder / "image.fits")
    return folder


def test_report_without_display_prints_its_path(astrogalaxy: Command, run_dir: Path) -> None:
    ran = astrogalaxy("view", run_dir)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"no browser to open it with: {run_dir / 'report.html'}\n"


@pytest.mark.skipif(os.name != "posix", reason="the browser here is a shell script")
def test_report_is_opened_in_the_browser(astrogalaxy: Command, run_dir: Path, tmp_path: Path, monkeypatch) -> None:
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{seen}"\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("webbrowser._tryorder", None)  # it looks at BROWSER once in a process
    ran = astrogalaxy("view", run_dir / "sky.fits", BROWSER=str(browser))
    assert ran.stdout == f"opened {run_dir / 'report.html'}\n", ran.stderr
    for _ in range(50):
        if seen.is_file() and seen.read_text():
            break
        time.sleep(0.1)
    assert seen.read_text().strip() == (run_dir / "report.html").as_uri()


@pytest.mark.parametrize("what", ["", "sky.parquet"])
def test_regions(astrogalaxy: Command, run_dir: Path, tmp_path: Path, what: str) -> None:
    out = tmp_path / "x.reg"
    ran = astrogalaxy("view", run_dir / what, "--regions", out)
    assert ran.returncode == 0, ran.stderr
    assert "wrote 2 regions" in ran.stdout
    assert sum(line.startswith(("circle", "ellipse")) for line in out.read_text().splitlines()) == 2
    again = astrogalaxy("view", run_dir / what, "--regions", out)
    assert again.returncode == 2 and "--force" in again.stderr
    assert astrogalaxy("view", run_dir / what, "--regions", out, "--force").returncode == 0


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["none"], 2, "no such run directory"),
        ([""], 2, "no run.json"),
        (["notes.txt"], 2, "names of catalogues end with .fits, .vot"),
        (["out here", "--image", "x.fits"], 2, "add --samp"),
        (["out here/sky.fits", "--samp"], 1, "no SAMP hub is running"),
        (["out here/sky.parquet", "--samp"], 1, "needed as votable or fits, but there is sky.parquet"),
        (["out here", "--regions", "sky.txt"], 2, "--regions sky.txt: the name must end in .reg"),
        (["out here", "--regions", "sky.fits"], 2, "--regions sky.fits: the name must end in .reg"),
        (["lone.fits"], 2, "there is no report"),
    ],
)
def test_errors_are_one_line(
    astrogalaxy: Command, run_dir: Path, tmp_path: Path, options: list[str], code: int, message: str
) -> None:
    (tmp_path / "notes.txt").write_text("x")
    SourceCatalog.read(run_dir / "sky.fits").write(tmp_path / "lone.fits")
    ran = astrogalaxy("view", tmp_path / options[0], *options[1:], HOME=str(tmp_path))
    assert ran.returncode == code
    (line,) = ran.stderr.splitlines()
    assert line.startswith("error: ") and message in line


def test_a_record_of_another_program_is_none(astrogalaxy: Command, run_dir: Path) -> None:
    (run_dir / "run.json").write_text('{"format": 99, "name": "sky"}')
    ran = astrogalaxy("view", run_dir)
    assert ran.returncode == 2
    assert "no run.json that can be read" in ran.stderr


class Receiver:
    """A program like TOPCAT: takes messages, loads what their URL names, and answers."""

    def __init__(self, *messages: str) -> None:
        self.loaded: list[tuple[str, dict, int]] = []
        self.client = samp.SAMPIntegratedClient(name="receiver", addr="127.0.0.1")
        self.client.connect()
        for message in messages:
            self.client.bind_receive_call(message, self.load)

    def load(self, private_key: str, sender: str, message_id: str, message: str, content: dict, extra: dict) -> None:
        answer: dict = {"samp.status": "samp.ok", "samp.result": {}}
        try:
            path = Path(content["url"].removeprefix("file://").replace("%20", " "))
            rows = len(SourceCatalog.read(path)) if message.startswith("table") else fits.getdata(path).shape[0]
            self.loaded.append((message, content, rows))
        except (ValueError, OSError) as error:  # as a program does, which then says what was wrong
            answer = {"samp.status": "samp.error", "samp.result": {}, "samp.error": {"samp.errortxt": str(error)}}
        self.client.reply(message_id, answer)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch) -> Iterator[str]:
    """Where the lock file of a running hub is, as programs are told."""
    lock = tmp_path / "samp-lock"
    told = f"std-lockurl:{lock.as_uri()}"
    monkeypatch.setenv("SAMP_HUB", told)
    with samp.conf.set_temp("use_internet", False), warnings.catch_warnings():
        # The clients' threads close their sockets when they like.
        warnings.simplefilter("ignore", ResourceWarning)
        server = samp.SAMPHubServer(web_profile=False, mode="single", lockfile=str(lock), addr="127.0.0.1")
        server.start()
        try:
            yield told
        finally:
            server.stop()


@pytest.fixture
def receiver(hub: str) -> Iterator[Receiver]:
    program = Receiver("table.load.votable", "table.load.fits", "image.load.fits")
    yield program
    program.client.disconnect()


def test_catalogue_and_image_arrive_over_samp(
    astrogalaxy: Command, run_dir: Path, hub: str, receiver: Receiver
) -> None:
    ran = astrogalaxy("view", run_dir, "--samp", "--image", run_dir / "image.fits", SAMP_HUB=hub)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "sent sky.vot to receiver\nsent image.fits to receiver\n"
    (table, content, rows), (image, picture, height) = receiver.loaded
    assert (table, rows, image, height) == ("table.load.votable", 2, "image.load.fits", 4)
    assert content["url"] == (run_dir / "sky.vot").resolve().as_uri() and content["name"] == "sky.vot"
    assert picture["url"].startswith("file:///") and picture["image-id"] == picture["url"]


def test_relative_paths_are_sent_whole(
    astrogalaxy: Command, run_dir: Path, hub: str, receiver: Receiver, monkeypatch
) -> None:
    monkeypatch.chdir(run_dir)
    ran = astrogalaxy("view", "sky.fits", "--samp", SAMP_HUB=hub)
    assert ran.returncode == 0, ran.stderr
    assert receiver.loaded[0][0] == "table.load.fits" and receiver.loaded[0][2] == 2


def test_what_a_program_refuses_is_said(astrogalaxy: Command, run_dir: Path, hub: str, receiver: Receiver) -> None:
    (run_dir / "sky.vot").write_text("no table")
    ran = astrogalaxy("view", run_dir, "--samp", SAMP_HUB=hub)
    assert ran.returncode == 3
    assert "receiver did not take sky.vot" in ran.stderr


def test_no_program_for_it(astrogalaxy: Command, run_dir: Path, hub: str) -> None:
    ran = astrogalaxy("view", run_dir, "--samp", SAMP_HUB=hub)
    assert ran.returncode == 1
    assert ran.stderr == "error: no running program takes a table over SAMP; start TOPCAT or Aladin first\n"
