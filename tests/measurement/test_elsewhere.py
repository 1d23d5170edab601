"""Tests of astrogalaxy.measurement.elsewhere: sources that the reference band hardly shows."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from known_skies import KnownBand, KnownImage, field_of, lattice, make_wcs, moffat

from astrogalaxy.catalog import has_flags
from astrogalaxy.images.tiling import Section
from astrogalaxy.measurement import Sources, measure

SHAPE = (320, 320)
GALAXY = {"fwhm": 6.0, "axis_ratio": 0.5, "angle": 30.0}


def _dropouts(share: float, *, seed: int = 11, **profile: float) -> tuple[KnownImage, np.ndarray, np.ndarray, Sources]:
    """Sources with much light in z and a share of it in the reference r; all have the same shape."""
    rng = np.random.default_rng(seed)
    x, y = lattice(6, 50, rng)
    clean = field_of(SHAPE, x, y, 2000.0, **profile)
    wcs = make_wcs(SHAPE)
    bands = {name: KnownBand(name, part * clean + rng.normal(size=SHAPE), wcs=wcs) for name, part in _shares(share)}
    side = 4.4 * 0.6 * profile.get("fwhm", 3.3)
    guess = x + rng.normal(0, 0.5, len(x)), y + rng.normal(0, 0.5, len(x))
    return KnownImage(bands), x, y, Sources.around(*guess, side=side)


def _shares(share: float) -> tuple[tuple[str, float], tuple[str, float]]:
    return ("r", share), ("z", 1.0)


@pytest.mark.parametrize("share", [0.0, 0.03])
def test_centre_shape_and_light_are_those_of_the_band_that_shows_them(share: float) -> None:
    image, x, y, sources = _dropouts(share, **GALAXY)
    table = measure(image, sources)
    image.reference = "z"
    best = measure(image, sources)
    assert np.median(np.hypot(table["x"] - x, table["y"] - y)) < 0.1
    assert not has_flags(table["flags"], "bad_centroid").any()
    for name in ("x", "y", "ra", "dec", "ra_err", "a", "b", "half_light_radius", "flux_z", "flux_r"):
        np.testing.assert_allclose(table[name], best[name], rtol=1e-3, atol=1e-3, err_msg=name)
    assert np.abs(table["flux_z"] / 2000.0 - 1).max() < 0.15
    # none of them has an excess or a lack of light in r, because none is looked for beside its place
    assert abs(np.mean((table["flux_r"] - share * 2000.0) / table["flux_r_err"])) < 0.5


def test_what_the_reference_shows_is_measured_there() -> None:
    image, _, _, sources = _dropouts(0.4)
    both = measure(image, sources)
    alone = measure(KnownImage({"r": image.bands["r"]}), sources)
    for name in ("x", "y", "a", "b", "flux_r", "half_light_radius"):
        np.testing.assert_array_equal(both[name], alone[name], err_msg=name)


def test_noise_in_another_band_is_not_looked_at(rng: np.random.Generator) -> None:
    x, y = lattice(6, 50, rng)
    faint = KnownBand("r", field_of(SHAPE, x, y, 25.0) + rng.normal(size=SHAPE), wcs=make_wcs(SHAPE))
    empty = KnownBand("z", rng.normal(size=SHAPE), wcs=faint.wcs)
    sources = Sources.around(x, y, side=10)
    both, alone = measure(KnownImage({"r": faint, "z": empty}), sources), measure(KnownImage({"r": faint}), sources)
    np.testing.assert_array_equal(both["x"], alone["x"])


def test_other_scales_turned_skies_and_seeing() -> None:
    rng = np.random.default_rng(3)
    x, y = lattice(5, 50, rng)
    x, y = x + 30, y + 30
    first, second = make_wcs(SHAPE), make_wcs((420, 400), scale=0.3, rotation=120, parity=1, shift=(9.3, -4.6))
    sky = first.pixel_to_world(x, y)
    data = field_of((420, 400), *second.world_to_pixel(sky), 4000.0, fwhm=6.0) + rng.normal(size=(420, 400))
    bands = {
        "r": KnownBand("r", rng.normal(size=SHAPE), wcs=first),
        "z": KnownBand("z", data, wcs=second),
    }
    table = measure(KnownImage(bands), Sources.around(x + 0.5, y - 0.4, side=12))
    offset = sky.separation(SkyCoord(table["ra"], table["dec"], unit="deg")).arcsec
    reached = ~has_flags(table["flags"], "missing_band")
    assert reached.sum() > 15
    assert offset[reached].max() < 0.1
    np.testing.assert_allclose(table["fwhm"][reached], 1.8, rtol=0.1)
    np.testing.assert_allclose(table["flux_z"][reached], 4000.0, rtol=0.1)


def test_given_places_stay_and_their_shapes_are_found() -> None:
    image, x, y, sources = _dropouts(0.0, **GALAXY)
    edges = (sources.x_min, sources.x_max, sources.y_min, sources.y_max)
    table = measure(image, Sources(x, y, *edges, held=True))
    np.testing.assert_array_equal(table["x"], x)
    np.testing.assert_array_equal(table["y"], y)
    assert np.isnan(table["ra_err"]).all()
    assert np.median(table["ellipticity"]) > 0.3
    assert np.abs(table["flux_z"] / 2000.0 - 1).max() < 0.15


def test_without_wcs() -> None:
    image, x, _, sources = _dropouts(0.0)
    for band in image.bands.values():
        band.wcs = None
    table = measure(image, sources)
    assert np.median(np.abs(table["x"] - x)) < 0.1
    assert np.isnan(table["ra"]).all()


def test_neighbours_are_taken_away_on_both_sides(rng: np.random.Generator) -> None:
    x, y = lattice(6, 50, rng)
    star = field_of(SHAPE, x, y, 1500.0)
    dropout = field_of(SHAPE, x + 6.0, y, 1500.0)
    wcs = make_wcs(SHAPE)
    bands = {
        "r": KnownBand("r", star + rng.normal(size=SHAPE), wcs=wcs),
        "z": KnownBand("z", star + dropout + rng.normal(size=SHAPE), wcs=wcs),
    }
    n = len(x)
    table = measure(KnownImage(bands), Sources.around(np.append(x, x + 6.0), np.append(y, y), side=9))
    assert np.median(np.hypot(table["x"][n:] - x - 6.0, table["y"][n:] - y)) < 0.15
    for part in (slice(None, n), slice(n, None)):
        assert np.mean(table["flux_z"][part]) / 1500.0 == pytest.approx(1.0, abs=0.03)
    assert np.mean(table["flux_r"][:n]) / 1500.0 == pytest.approx(1.0, abs=0.03)
    assert abs(np.mean(table["flux_r"][n:])) < 15.0


def test_where_the_reference_has_no_data() -> None:
    rng = np.random.default_rng(5)
    x, y = np.array([60.0, 200.0]), np.array([100.0, 100.0])
    data = sum(moffat(SHAPE, *place, 2000.0) for place in zip(x, y, strict=True))
    bad = np.arange(SHAPE[1]) > 150
    wcs = make_wcs(SHAPE)
    blind = KnownBand("r", data + rng.normal(size=SHAPE), wcs=wcs, bad=np.broadcast_to(bad, SHAPE))
    table = measure(
        KnownImage({"r": blind, "z": KnownBand("z", data + rng.normal(size=SHAPE), wcs=wcs)}),
        Sources.around(x + 0.6, y, side=12),
    )
    np.testing.assert_allclose(table["x"], x, atol=0.15)
    np.testing.assert_allclose(table["flux_z"], 2000.0, rtol=0.05)
    np.testing.assert_array_equal(has_flags(table["flags"], "missing_band"), [False, True])
    assert not has_flags(table["flags"], "bad_centroid").any()
    assert np.isfinite(table["half_light_radius"]).all()


def test_tiles_change_nothing() -> None:
    image, x, y, sources = _dropouts(0.03, **GALAXY)
    whole, section = measure(image, sources), Section(60, 260, 60, 260)
    part = measure(image, sources, section=section)
    inside = (x > 110) & (x < 210) & (y > 110) & (y < 210)
    assert inside.sum() >= 4
    for name in ("x", "y", "a", "flux_z", "flux_r", "flags"):
        np.testing.assert_allclose(part[name][inside], whole[name][inside], rtol=1e-4, atol=1e-4, err_msg=name)


def test_where_the_other_band_has_no_data() -> None:
    image, x, _, sources = _dropouts(0.03)
    dark = np.arange(SHAPE[1]) > 150
    image.bands["z"].bad = np.broadcast_to(dark, SHAPE)
    both, alone = measure(image, sources), measure(KnownImage({"r": image.bands["r"]}), sources)
    lost = x > 165
    assert has_flags(both["flags"], "missing_band")[lost].all()
    for name in ("x", "y", "a", "flux_r"):
        np.testing.assert_allclose(both[name][lost], alone[name][lost], rtol=0.01, err_msg=name)
    assert np.median(np.abs(both["x"] - x)[x < 140]) < 0.1
