"""Broken images are refused by name, without a crash, a hang or terabytes of memory; a run does the rest."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from broken_fits import BROKEN, MISLEADING, plain, tiled
from damage import Damage, damages, fuzz
from hypothesis import given

from astrogalaxy import Image
from astrogalaxy.errors import ImageError
from astrogalaxy.survey import execute

# astropy leaves some files open that it cannot read
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """No more than 2 GiB beyond what the process has by now."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2 * 2**30, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


def pixels(path: Path, **options: object) -> np.ndarray:
    """Open an image and read all that measurement would."""
    band = Image.read(path, **options).bands["image"]
    return band.pixels().data


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_image_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.fits"
    path.write_bytes(BROKEN[name])
    with pytest.raises(ImageError, match=rf"{name}\.fits") as caught:
        pixels(path)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", MISLEADING)
def test_an_odd_image_is_read_or_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.fits"
    path.write_bytes(MISLEADING[name])
    try:
        assert pixels(path).shape == (120, 140)
    except ImageError as error:
        assert path.name in str(error)


@pytest.mark.parametrize("hdu", ["SCI", 2, 99, -5, 0])
@pytest.mark.parametrize("packed", [False, True])
def test_an_hdu_that_is_not_there(tmp_path: Path, hdu: str | int, packed: bool) -> None:
    path = tmp_path / "tiled.fits"
    path.write_bytes(gzip.compress(tiled()) if packed else tiled())
    with pytest.raises(ImageError, match=r"tiled\.fits: (no )?HDU .* (it|file) has 0 PRIMARY"):
        pixels(path, hdu=hdu)


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "loop.fits").symlink_to(tmp_path / "loop.fits")
    os.mkfifo(tmp_path / "pipe.fits")
    (tmp_path / "folder.fits").mkdir()
    for name in ("loop.fits", "pipe.fits", "folder.fits", "none.fits"):
        with pytest.raises(ImageError, match=name):
            pixels(tmp_path / name)


@pytest.mark.parametrize("kind", ["plain", "rice", "gzip", "gzip-tiles"])
@fuzz
@given(damage=damages())
def test_damage_anywhere(tmp_path: Path, kind: str, damage: Damage) -> None:
    whole = {"plain": plain, "rice": tiled, "gzip": plain, "gzip-tiles": lambda: tiled("GZIP_2")}[kind]()
    path = tmp_path / "damaged.fits"
    path.write_bytes(gzip.compress(damage(whole), 1) if kind == "gzip" else damage(whole))
    try:
        read = pixels(path)
    except ImageError as error:
        assert "damaged.fits" in str(error)
        return
    assert read.dtype == np.float32
    assert np.isfinite(read).all()


def test_a_run_does_the_rest(tmp_path: Path) -> None:
    for name, content in BROKEN.items():
        (tmp_path / f"{name}-r.fits").write_bytes(content)
    quickstart = Path(__file__).parents[2] / "pipelines" / "quickstart" / "quickstart-r.fits"
    (tmp_path / "whole-r.fits").write_bytes(quickstart.read_bytes())
    (tmp_path / "survey.yml").write_text(
        'name: s\nimages: {path: "{field}-{band}.fits", bands: [r]}\ncompute: {workers: 1, device: cpu}\n'
    )
    summary = execute(tmp_path / "survey.yml")
    assert summary.exit_code == 3
    assert set(summary.catalog["field"]) == {"whole"}
    told = {failure.field for failure in summary.failures if f"{failure.field}-r.fits" in failure.reason}
    assert told == set(BROKEN)
    assert not any("unexpected" in failure.reason for failure in summary.failures)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "partial"
