"""Bands on other grids land on the reference's pixels, whatever the section."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import Sip
from astropy.wcs.wcsapi import HighLevelWCSWrapper
from reproject import reproject_interp

from astrogalaxy.errors import ImageError
from astrogalaxy.images import Image, Mesh, Section, align
from astrogalaxy.images.grids import BandPixels, ReferencePixels
from astrogalaxy.images.sky import map_pixels

X, Y = np.array([60.0, 200.0, 131.3, 90.0]), np.array([50.0, 60.6, 160.0, 190.2])
SHAPE = (230, 260)
GRIDS = {
    "shifted": {"centre": (121.3, 112.8)},
    "shifted by whole pixels": {"centre": (135, 120)},
    "rotated": {"centre": (130, 110), "angle": 33},
    "slightly rotated": {"centre": (128, 113), "angle": 0.3},
    "upside down": {"centre": (128, 113), "angle": 180},
    "on its side": {"centre": (128, 113), "angle": 90},
    "mirrored": {"centre": (128, 113), "flip": True},
    "coarser": {"centre": (80, 70), "scale": 0.65},
    "finer": {"centre": (240, 210), "scale": 0.21},
    "much finer": {"centre": (520, 430), "scale": 0.1},
    "in another frame": {"centre": (127.2, 114.9), "frame": "FK5"},
}


@pytest.fixture
def make_pair(make_wcs, make_stars):
    """Image of a reference band r and a band i on another grid, of the same stars."""

    def make(*, noise=1.0, peak=3000.0, shape=None, change=None, **grid) -> Image:
        reference = make_wcs(centre=(128, 113))
        other = make_wcs(**grid)
        if change is not None:
            change(other)
        zoom = 0.4 / grid.get("scale", 0.4)
        x, y = map_pixels(reference, other, X, Y)
        size = shape or tuple(int(np.ceil(n * max(zoom, 1))) + 10 for n in SHAPE)
        r = make_stars(SHAPE, X, Y, noise=noise, peak=peak, sky=10.0, seed=1)
        i = make_stars(size, x, y, sigma=2.0 * zoom, noise=noise, peak=peak, sky=50.0, seed=2)
        return Image.read({"r": (r, reference), "i": (i, other)}, reference="r")

    return make


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_stars_land_where_they_are_on_the_reference(make_pair, centroid, grid):
    aligned = make_pair(**grid).aligned()
    assert aligned.bands == ("r", "i")
    assert aligned.snr.shape == aligned.bad.shape == (2, *SHAPE)
    for x, y in zip(X, Y, strict=True):
        for snr, bad in zip(aligned.snr, aligned.bad, strict=True):
            if not bad[round(y), round(x)]:
                np.testing.assert_allclose(centroid(snr, x, y), (x, y), atol=0.06)
    found = ~aligned.bad[1, np.rint(Y).astype(int), np.rint(X).astype(int)]
    assert found.sum() >= 3


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_sky_has_unit_noise_after_resampling(make_pair, grid):
    aligned = make_pair(**grid, peak=0.0).aligned()
    for snr, bad in zip(aligned.snr, aligned.bad, strict=True):
        assert np.sqrt(np.mean(snr[~bad] ** 2)) == pytest.approx(1, abs=0.05)
        assert (snr[bad] == 0).all()


@pytest.mark.parametrize("name", ["shifted", "rotated", "slightly rotated", "finer", "much finer"])
def test_a_pixel_has_one_value_in_every_section(make_pair, rng, monkeypatch, name):
    monkeypatch.setattr(align, "_BLOCK", (64, 80))
    image = make_pair(**GRIDS[name])
    image.bands["i"].exposure.plane.array[40:43, 50] = np.nan
    whole = image.aligned()
    for _ in range(12):
        (x0, x1), (y0, y1) = (np.sort(rng.integers(0, n, 2)) for n in SHAPE[::-1])
        section = Section(x0, x1 + 1, y0, y1 + 1)
        part = image.aligned(section)
        np.testing.assert_array_equal(part.snr, whole.snr[:, *section.slices])
        np.testing.assert_array_equal(part.bad, whole.bad[:, *section.slices])


@pytest.mark.parametrize("name", ["shifted", "slightly rotated", "rotated", "mirrored", "coarser"])
def test_agrees_with_reproject_through_the_sky(make_pair, name):
    """The lattice of positions stands in for the WCS of every pixel: to 0.005 pixel."""
    image = make_pair(**GRIDS[name])
    band = image.bands["i"]
    snr, _ = align.significance(band, Section.whole(band.shape))
    theirs, footprint = reproject_interp((snr, band.wcs), image.wcs, shape_out=SHAPE)
    ours = image.aligned()
    np.testing.assert_array_equal(ours.bad[1], footprint == 0)
    good = ~ours.bad[1]
    assert good.mean() > 0.7
    slope = np.hypot(*np.gradient(theirs))[good]
    error = np.abs(ours.snr[1] / image.grid("i").scale - theirs)[good]
    assert (error[np.isfinite(slope)] < 0.01 * slope[np.isfinite(slope)] + 0.02).all()


def test_equal_grids_are_not_resampled(make_wcs, rng, monkeypatch):
    monkeypatch.setattr("astrogalaxy.images.image.resample", None)
    sky = rng.normal(0, 1, SHAPE).astype(np.float32)
    nearly = make_wcs(centre=(49.5 + 5e-4, 49.5))
    image = Image.read({"g": (sky, make_wcs()), "r": (sky, make_wcs()), "i": (sky, nearly), "z": sky})
    aligned = image.aligned()
    assert [image.grid(band) for band in "griz"] == [None] * 4
    np.testing.assert_array_equal(aligned.snr[1], image.bands["r"].pixels().data / image.bands["r"].pixels().noise)


def test_whole_pixel_shift_only_moves_pixels(make_pair):
    image = make_pair(**GRIDS["shifted by whole pixels"])
    assert image.grid("i").scale == pytest.approx(1, abs=1e-4)
    pixels = image.bands["i"].pixels()
    moved = (pixels.data / pixels.noise)[7:207, 7:257]
    aligned = image.aligned(Section(0, 250, 0, 200))
    np.testing.assert_allclose(aligned.snr[1], moved, atol=2e-3, rtol=1e-3)


def test_bad_pixels_spread_to_all_they_touch_and_no_further(make_pair):
    image = make_pair(centre=(128.5, 113.0))
    array = image.bands["i"].exposure.plane.array
    array[100, 150], array[101, 180] = np.nan, np.inf
    aligned = image.aligned()
    bad = aligned.bad[1, :, 10:250]
    assert np.argwhere(bad).tolist() == [[100, 139], [100, 140], [101, 169], [101, 170]]
    assert (aligned.snr[1][aligned.bad[1]] == 0).all()
    assert not aligned.bad[0].any()


def test_bad_pixel_met_exactly_stays_one_pixel(make_pair):
    image = make_pair(**GRIDS["shifted by whole pixels"])
    image.bands["i"].exposure.plane.array[100, 150] = np.nan
    bad = image.aligned(Section(0, 250, 0, 200)).bad[1]
    assert np.argwhere(bad).tolist() == [[93, 143]]


def test_where_the_sky_cannot_be_reached_is_bad(make_pair):
    image = make_pair(**GRIDS["rotated"])
    whole, grid = image.aligned(), image.grid("i")
    assert grid.step == 256
    x = grid.x.copy()
    x[:, -1] = np.nan
    image._grids["i"] = replace(grid, x=x)
    part = image.aligned()
    assert part.bad[1][:, 256:].all()
    assert (part.snr[1][:, 256:] == 0).all()
    np.testing.assert_array_equal(part.snr[1][:, :256], whole.snr[1][:, :256])
    np.testing.assert_array_equal(part.bad[1][:, :256], whole.bad[1][:, :256])


def test_outside_the_other_band_is_bad(make_pair):
    image = make_pair(centre=(28.0, 113.0), shape=(150, 100))
    bad = image.aligned().bad[1]
    assert bad[:, :100].all()
    assert bad[:, 200:].all()
    assert bad[150:].all()
    assert not bad[1:149, 101:199].any()
    corner = image.aligned(Section(0, 50, 0, 50))
    assert corner.bad[1].all()
    assert (corner.snr[1] == 0).all()


def test_only_the_part_that_covers_the_section_is_read(make_pair, monkeypatch):
    image = make_pair(**GRIDS["shifted"])
    image.aligned(Section(0, 5, 0, 5))
    for band in image.bands.values():
        band._kept = None
    read = []
    plane = type(image.bands["i"].exposure.plane)
    reading = plane.read
    monkeypatch.setattr(plane, "read", lambda self, part: read.append(part) or reading(self, part))
    image.aligned(Section(100, 120, 60, 70))
    assert max(part.shape[0] * part.shape[1] for part in read) < 30 * 40


def test_division_by_the_noise_comes_before_resampling(make_pair):
    """Across a step of the noise, interpolating first would mix scales."""
    image = make_pair(centre=(128.5, 113.0), peak=0.0)
    band = image.bands["i"]
    step = np.where(np.arange(band.shape[1]) < 130, 1.0, 50.0).astype(np.float32)
    noise = Mesh.constant(0.0, 1.0, band.shape)
    object.__setattr__(noise, "noise", lambda part: np.broadcast_to(step[part.x0 : part.x1], part.shape).copy())
    band.mesh = noise
    snr, _ = align.significance(band, Section.whole(band.shape))
    expected = (snr[:, 9:200] + snr[:, 10:201]) / 2 * image.grid("i").scale
    np.testing.assert_allclose(image.aligned().snr[1][:220, 9:200], expected[:220], atol=1e-3)


def test_strong_distortion_is_followed(make_pair, centroid):
    def distort(wcs):
        a, b = np.zeros((4, 4)), np.zeros((4, 4))
        a[2, 0], a[0, 2], b[1, 1], b[3, 0] = 1e-4, 5e-5, -8e-5, 1e-7
        wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
        wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]

    image = make_pair(centre=(131, 117), change=distort)
    aligned = image.aligned()
    x, y = image.grid("i").positions(Section.whole(SHAPE))
    rows, columns = (index.astype(float) for index in np.indices(SHAPE))
    true_x, true_y = map_pixels(image.wcs, image.bands["i"].wcs, columns, rows)
    assert np.hypot(x - true_x, y - true_y).max() < 0.01
    # The stars were drawn round on the distorted grid.
    np.testing.assert_allclose(centroid(aligned.snr[1], X[0], Y[0]), (X[0], Y[0]), atol=0.1)


def test_grids_as_wcs(make_pair):
    image = make_pair(**GRIDS["much finer"])
    grid, section = image.grid("i"), Section(100, 140, 50, 80)
    assert grid.bins == 4
    on_reference = HighLevelWCSWrapper(ReferencePixels(grid, section))
    on_band = HighLevelWCSWrapper(BandPixels(40, 30))
    x, y = np.array([0.0, 39.0, 7.0]), np.array([0.0, 29.0, 3.0])
    found_x, found_y = on_band.world_to_pixel(*on_reference.pixel_to_world(x, y))
    true_x, true_y = map_pixels(image.wcs, image.bands["i"].wcs, x + 100, y + 50)
    # The centre of bin 40 is between the band's pixels 161 and 162.
    np.testing.assert_allclose(found_x, (true_x - 1.5) / 4 - 40, atol=0.005)
    np.testing.assert_allclose(found_y, (true_y - 1.5) / 4 - 30, atol=0.005)


def test_bands_that_do_not_overlap_are_refused(make_wcs, rng):
    sky = rng.normal(0, 1, (60, 60))
    image = Image.read({"r": (sky, make_wcs()), "i": (sky, make_wcs(sky=(20.0, -60.0)))}, reference="r")
    with pytest.raises(ImageError, match="band i: it does not overlap band r on the sky"):
        image.aligned()


def test_opposite_side_of_the_sky_is_refused(make_wcs, rng):
    sky = rng.normal(0, 1, (60, 60))
    image = Image.read({"r": (sky, make_wcs()), "i": (sky, make_wcs(sky=(330.0, -2.0)))}, reference="r")
    with pytest.raises(ImageError, match="does not overlap"):
        image.aligned()
