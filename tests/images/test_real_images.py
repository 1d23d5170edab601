"""Real files of many surveys: read, or refused with one clear error."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from scipy.spatial import cKDTree

from astrogalaxy.errors import ImageError
from astrogalaxy.images import Image, Section, plan_tiles
from astrogalaxy.images.fitsfile import find_plane


def sdss(folder: Path, field: str = "003918-3-0213") -> Image:
    return Image.read({band: folder / "sdss" / f"frame-{band}-{field}.fits.bz2" for band in "gri"}, zeropoint=22.5)


def every_fits_file(folder: Path) -> list[Path]:
    """One of each kind: not all the frames and cutouts of a series."""
    paths = [Path(root, name) for root, _, names in os.walk(folder) for name in names if ".fit" in name]
    repeated = (
        "phosim-tiny/set_2",
        "phosim-tiny/set_3",
        "-gal2",
        "-gal3",
        "frame-",
        "cutout-HSC",
        "multiband",
    )
    first: dict[str, Path] = {}
    for path in sorted(paths):
        kind = next((part for part in repeated if part in str(path)), str(path))
        first.setdefault("phosim" if "phosim-tiny" in str(path) else kind, path)
    return list(first.values())


def test_every_file_is_read_or_refused(shared_data, caplog):
    caplog.set_level(logging.WARNING)
    paths, images = every_fits_file(shared_data), 0
    for path in paths:
        try:
            image = Image.read(path)
            corner = Section(0, 20, 0, 15).clip(image.shape)
            aligned = image.aligned(corner)
        except ImageError as error:
            assert str(path) in str(error)
        else:
            images += 1
            assert np.isfinite(aligned.snr).all()
            assert (image.bands["image"].mesh.noise(corner) > 0).all()
    assert images > len(paths) / 2
    told = [str(record.args[0]) for record in caplog.records]
    units = [text for text in told if "its unit tells one" in text]
    assert len(units) > 5, "SDSS has nanomaggies"
    assert [text for text in told if text not in units] == [p for p in map(str, paths) if p.endswith("_mask.fits")]


@pytest.mark.parametrize(
    ("name", "x", "y", "ra", "dec"),
    [
        # Positions (1-based pixels) given with these files, from other WCS libraries.
        ("tpv", 418, 78, "03:30:09.340034", "-28:43:50.811107"),
        ("tpv", 148, 393, "03:30:15.728999", "-28:45:01.488629"),
        ("tanflip", 418, 78, "03:30:09.262392", "-28:43:48.697347"),
        ("tnx", 32, 91, "17:46:53.214511", "-30:08:47.895372"),
        ("tnx", 246, 326, "17:46:58.100741", "-30:07:50.121787"),
    ],
)
def test_wcs_of_many_kinds(shared_data, name, x, y, ra, dec):
    plane = find_plane(shared_data / "small" / "galsim-wcs" / f"{name}.fits")
    found = plane.wcs.pixel_to_world(x - 1, y - 1)
    assert found.separation(SkyCoord(ra, dec, unit=("hourangle", "deg"), frame=found.frame)) < 0.01 * u.arcsec


def test_sdss_noise_is_the_one_from_gain_and_sky_level(shared_data):
    """Gain and dark variance of camera column 3; sky level and calibration from the frame."""
    from astropy.io import fits

    band = sdss(shared_data).bands["r"]
    with fits.open(band.origin) as hdus:
        calibration, sky = np.median(hdus[1].data), np.median(hdus[2].data["ALLSKY"][0])
    expected = calibration * np.sqrt(sky / 4.72 + 1.3225)
    assert np.median(band.mesh.noise()) == pytest.approx(expected, rel=0.03)


def test_sdss_bands_land_on_the_reference(shared_data):
    sep = pytest.importorskip("sep")
    aligned = sdss(shared_data).aligned()
    stars = []
    for snr in aligned.snr:
        found = sep.extract(snr, 3.0, minarea=9)
        found = found[(found["flag"] == 0) & (found["peak"] > 30) & (found["peak"] < 600) & (found["a"] < 2.5)]
        x, y, flags = sep.winpos(snr, found["x"], found["y"], np.full(len(found), 1.5))
        stars.append(np.c_[x, y][flags == 0])
    tree = cKDTree(stars[1])
    for other in (stars[0], stars[2]):
        distance, index = tree.query(other, distance_upper_bound=2)
        matched = np.isfinite(distance)
        assert matched.sum() > 30
        offset = np.median(other[matched] - stars[1][index[matched]], axis=0)
        assert np.abs(offset).max() < 0.1


def test_sdss_tiles_agree_with_the_whole_frame(shared_data):
    image = sdss(shared_data)
    whole = image.aligned()
    assert (whole.bad.mean(axis=(1, 2)) < 0.02).all()
    for tile in plan_tiles(image.shape, size=900, overlap=40)[1::2]:
        part = image.aligned(tile.outer)
        np.testing.assert_array_equal(part.snr, whole.snr[:, *tile.outer.slices])
        np.testing.assert_array_equal(part.bad, whole.bad[:, *tile.outer.slices])


def test_tile_compressed_bands_without_wcs(shared_data):
    image = Image.read({band: shared_data / "multiband" / f"{band}.fits" for band in ("g", "r")})
    aligned = image.aligned(Section(1000, 1200, 300, 400))
    assert image.wcs is None
    assert aligned.snr.shape == (2, 100, 200)


def test_decam_bands_with_tpv(shared_data):
    folder = shared_data / "small" / "decam-tpv"
    image = Image.read({band: folder / f"360_{band}band.fits" for band in "gr"}, reference="r")
    aligned = image.aligned()
    assert image.bands["r"].saturation == pytest.approx(44144)
    covered = ~aligned.bad.any(axis=0)
    assert covered.mean() > 0.5
    # The same galaxies in both bands.
    assert np.corrcoef(*np.clip(aligned.snr[:, covered], -3, 30))[0, 1] > 0.5
