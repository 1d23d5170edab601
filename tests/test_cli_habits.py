"""What people are used to from a command line: Ctrl-C, logs, completion, quiet; and what notebooks show."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from shutil import copyfile

import matplotlib as mpl
import pytest
from astropy.io import fits
from astropy.table import Table
from typer.testing import CliRunner

import astrogalaxy as ag
from astrogalaxy import errors, progress
from astrogalaxy.cli import app, common
from astrogalaxy.config import pipelines_folder
from astrogalaxy.survey.run import execute

DOCS = Path(__file__).parents[1] / "docs"


def run(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "astrogalaxy", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.fixture(scope="module")
def image() -> ag.Image:
    folder = pipelines_folder() / "quickstart"
    return ag.Image.read({b: folder / f"quickstart-{b}.fits" for b in "gri"}, zeropoint=22.5, name="a<b")


@pytest.fixture(scope="module")
def catalog(image: ag.Image) -> ag.SourceCatalog:
    return ag.detect(image)


@pytest.fixture
def _agg() -> None:
    mpl.use("agg")


def test_interrupt_says_what_is_kept_and_the_same_command_goes_on(tmp_path: Path) -> None:
    made = run("simulate", "sdss", "--size", 640, "--seed", 3, "--name", "s", "-o", ".", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    with (tmp_path / "s.yml").open("a") as file:
        # so many tiles that the run is not over when the signal comes
        file.write("tiles: {size: 128, overlap: 32}\ncompute: {workers: 1}\n")
    command = [sys.executable, "-m", "astrogalaxy", "run", "s.yml"]
    # tests that run in the background of a shell have inherited that the signal is ignored, and would pass that on
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    signal.signal(signal.SIGINT, before)
    tiles = tmp_path / "out" / "tiles" / "field"
    end = time.monotonic() + 120
    while not list(tiles.glob("x*.rows.npz")) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130
    assert told.splitlines()[-1] == "stopped; finished tiles are kept, and the same command does the rest"
    assert "Traceback" not in told
    again = run("run", "s.yml", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "kept from before" in again.stdout


def test_quiet_log_file_and_verbose(tmp_path: Path) -> None:
    survey = pipelines_folder() / "quickstart.yml"
    ran = run("run", survey, "-o", "out", "-j", 1, "--quiet", "--log-file", "my.log", cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert "finished in" in (tmp_path / "my.log").read_text()
    told = run("run", survey, "-o", "out", "-j", 1, "-v", cwd=tmp_path)
    assert "INFO astrogalaxy.survey.run: run quickstart" in told.stderr
    wrong = run("run", survey, "--log-file", "no/such/folder.log", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "--log-file no/such/folder.log: cannot be written" in wrong.stderr


def test_completion_knows_the_verbs(tmp_path: Path) -> None:
    setting = {"_ASTROGALAXY_COMPLETE": "complete_bash", "COMP_WORDS": "astrogalaxy fe", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['astrogalaxy']; from astrogalaxy.cli import app; app(prog_name='astrogalaxy')"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | setting, check=False
    )
    assert ran.stdout.split() == ["fetch"]


def test_errors_name_a_page_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (name for name in errors.__all__ if isinstance(getattr(errors, name), type)):
        page = getattr(errors, name).page
        assert not page or (DOCS / f"{page}.rst").is_file(), f"{name} names the page {page}, which is not there"
    assert common._docs("reference/config") == " [docs: reference/config]"
    assert common._docs("") == ""


def test_check_says_what_a_run_needs(tmp_path: Path) -> None:
    told = run("check", pipelines_folder() / "quickstart.yml", cwd=tmp_path).stdout
    assert "1 worker here, each needs 0.4 GB and may have" in told
    assert "networks: cpu (onnxruntime, float32)" in told or "networks: cuda (torch, float16)" in told
    assert "a rough guess" in told
    assert "magnitudes AB" in told
    tiled = tmp_path / "tiled.yml"
    folder = pipelines_folder() / "quickstart"
    tiled.write_text(
        f'name: t\nimages: {{path: "{folder}/quickstart-{{band}}.fits", bands: [r]}}\ntiles: {{size: 256}}\n'
    )
    assert "GB (more around large galaxies) and may have" in run("check", tiled, cwd=tmp_path).stdout


def test_check_tells_of_many_fields_in_few_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrogalaxy.cli.surveys._MOST_FIELDS", 2)
    for number in range(4):
        copyfile(pipelines_folder() / "quickstart" / "quickstart-r.fits", tmp_path / f"f{number}-r.fits")
    survey = tmp_path / "many.yml"
    survey.write_text('name: t\nimages: {path: "{field}-{band}.fits", bands: [r]}\n')
    told = CliRunner().invoke(app, ["check", str(survey)]).stdout
    assert told.startswith("f0: r: 512 x 512 pixels, 1 tile, ")
    assert told.splitlines()[1].startswith("f1:") and told.splitlines()[2] == "and 2 more fields"
    assert told.splitlines()[3].startswith("4 fields, 4 tiles")


def test_check_tells_of_a_zero_point_that_nobody_asked_for(tmp_path: Path) -> None:
    copyfile(pipelines_folder() / "quickstart" / "quickstart-r.fits", tmp_path / "r.fits")
    fits.setval(tmp_path / "r.fits", "BUNIT", value="nJy")
    survey = tmp_path / "units.yml"
    survey.write_text('name: t\nimages: {path: "{band}.fits", bands: [r]}\n')
    told = CliRunner().invoke(app, ["check", str(survey)])
    assert "its unit tells one, 31.40 (zeropoint: auto)" in told.stderr
    survey.write_text('name: t\nimages: {path: "{band}.fits", bands: [r], zeropoint: auto}\n')
    assert told.exit_code == 0 and CliRunner().invoke(app, ["check", str(survey)]).stderr == ""


def test_a_card_is_readable() -> None:
    told = CliRunner().invoke(app, ["weights", "show"]).output
    assert max(len(line) for line in told.splitlines() if not line.startswith("/")) < 120  # but the path of the file
    assert "bins of" in told
    assert "Calibration(" not in told


def test_notebooks_show_pictures_and_tables(
    image: ag.Image, catalog: ag.SourceCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = image._repr_html_()
    assert "data:image/png;base64," in shown
    assert "a&lt;b" in shown
    table = catalog._repr_html_()
    assert f"{len(catalog)} sources" in table
    assert "more columns" in table
    assert "mag_r" in table.partition("<details>")[0]
    assert catalog["ra"].info.format is None  # as it was
    summary = execute(pipelines_folder() / "quickstart.yml", progress=False)
    assert 'href="' in summary._repr_html_()


def test_a_bar_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(progress, "_BETWEEN", 0.0)
    display = pytest.importorskip("IPython.display")

    class Handle:
        def update(self, html) -> None:
            told.append(html.data)

    monkeypatch.setattr(display, "display", lambda *_, **__: Handle())
    with progress.notebook_bar("tiles") as bar:
        bar(1, 4, "a<b")
    assert 'value="1" max="4"' in told[0]
    assert "a&lt;b" in told[0]
    assert not progress.in_notebook()


@pytest.mark.usefixtures("_agg")
def test_plots_mark_sources_where_they_are(image: ag.Image, catalog: ag.SourceCatalog) -> None:
    import matplotlib.pyplot as plt
    import numpy as np

    ax = image.plot(catalog=catalog)
    placed = np.vstack([marks.get_offsets() for marks in ax.collections])
    assert len(placed) == len(catalog)
    assert {tuple(row) for row in placed.round(3)} == {
        (round(float(x), 3), round(float(y), 3)) for x, y in catalog["x", "y"].iterrows()
    }
    # the long axis of a galaxy on the picture points where theta says, by the WCS
    row = int(np.argmax(np.where(catalog["class"] == "galaxy", catalog["a"] / catalog["b"], 0)))
    source = catalog[row]
    tip = catalog.coords[row].directional_offset_by(source["theta"] * catalog["theta"].unit, 1e-3 * catalog["ra"].unit)
    dx, dy = np.subtract(image.wcs.world_to_pixel(tip), (source["x"], source["y"]))
    galaxies = next(
        m for m in ax.collections if np.any(np.all(np.isclose(m.get_offsets(), (source["x"], source["y"])), 1))
    )
    here = int(np.argmin(np.hypot(*(galaxies.get_offsets() - (source["x"], source["y"])).T)))
    apart = np.radians(galaxies.get_angles()[here]) - np.arctan2(dy, dx)
    assert abs(np.sin(apart)) < 0.02
    sky = catalog.plot()
    assert sky.get_xlim()[0] > sky.get_xlim()[1]
    with pytest.raises(
        errors.ImageError, match="a Table is no catalogue that can be drawn; make a SourceCatalog of it"
    ):
        image.plot(catalog=Table(catalog))
    plt.close("all")


@pytest.mark.usefixtures("_agg")
@pytest.mark.parametrize("turn", [0, 90])
def test_axes_of_a_plot_are_named_like_the_coordinates_at_their_ticks(turn: float, tmp_path: Path) -> None:
    """The frames of SDSS are turned: right ascension runs along their left side."""
    import matplotlib.pyplot as plt
    import numpy as np
    from astropy.io import fits
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ("RA---TAN", "DEC--TAN"), (150, 30), (60, 50)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    wcs.wcs.cd = 1e-4 * np.array([[-c, s], [s, c]])
    pixels = np.random.default_rng(0).normal(100, 5, (100, 120)).astype(np.float32)
    fits.PrimaryHDU(pixels, wcs.to_header()).writeto(tmp_path / "turned.fits")
    ax = ag.Image.read(tmp_path / "turned.fits").plot()
    ax.figure.canvas.draw()
    assert [c.get_axislabel() for c in ax.coords] == ["right ascension", "declination"]
    assert [c.get_axislabel_position()[0] for c in ax.coords] == (["l", "b"] if turn else ["b", "l"])
    plt.close("all")
