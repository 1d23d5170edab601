"""The stars of a field as the ruler of its bands."""

from __future__ import annotations

import numpy as np
import pytest
from known_skies import KnownBand, KnownImage, field_of, lattice, make_wcs, moffat

from astrogalaxy.images import around
from astrogalaxy.measurement import Sources, measure
from astrogalaxy.measurement.profiles import Moffat
from astrogalaxy.measurement.starlight import Starlight, field_starlight


def _image(rng: np.random.Generator, *, fwhm: dict[str, float], beta: float = 3.0) -> tuple[KnownImage, np.ndarray]:
    x, y = lattice(8, 60, rng)
    bands = {}
    for name, wide in fwhm.items():
        data = field_of((480, 480), x, y, 3000.0, side=60, fwhm=wide, beta=beta) + rng.normal(size=(480, 480))
        bands[name] = KnownBand(name, data, wcs=make_wcs((480, 480)), zeropoint=22.5)
    places = np.column_stack([x, y])
    bands["r"].stars = places
    return KnownImage(bands), places


def test_size_and_wings_of_stars(rng: np.random.Generator) -> None:
    image, _ = _image(rng, fwhm={"r": 3.6}, beta=2.6)
    stars = field_starlight(image)["r"]
    assert stars.sigma * float(Moffat(2.6).fwhm) == pytest.approx(3.6, rel=0.05)
    assert stars.kron > 1.5 > field_starlight(_image(rng, fwhm={"r": 3.6}, beta=5.0)[0])["r"].kron


def test_stars_of_a_large_band_are_read_in_pieces(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    image, _ = _image(rng, fwhm={"r": 3.6})
    whole = field_starlight(image)["r"]
    band = image.bands["r"]
    band.starlight, read = None, len(band.read)
    monkeypatch.setattr(around, "_WHOLE", 0)
    monkeypatch.setattr(around, "_CELL", 160)
    pieces = field_starlight(image)["r"]
    assert len(band.read) - read == 9
    assert pieces.sigma == pytest.approx(whole.sigma, rel=1e-4)
    assert pieces.kron == pytest.approx(whole.kron, rel=1e-3)


def test_a_neighbour_does_not_widen_them(rng: np.random.Generator) -> None:
    image, places = _image(rng, fwhm={"r": 3.6})
    alone = field_starlight(image)["r"]
    near = places[: len(places) * 2 // 3] + np.array([9.0, 6.0])
    data = image.bands["r"].data + field_of((480, 480), near[:, 0], near[:, 1], 1000.0)
    crowded = KnownImage({"r": KnownBand("r", data, wcs=make_wcs((480, 480)), stars=places)})
    assert field_starlight(crowded)["r"].kron == pytest.approx(alone.kron, abs=0.03)


def test_total_flux_does_not_depend_on_a_bands_seeing(rng: np.random.Generator) -> None:
    image, places = _image(rng, fwhm={"g": 4.4, "r": 3.3, "i": 2.7})
    table = measure(image, Sources.around(*places.T, side=14))
    for band in "gri":
        ratio = np.median(table[f"flux_{band}"]) / (3000.0 * 3630.78)
        assert ratio == pytest.approx(1.0, abs=0.015), band
    assert image.bands["g"].starlight.sigma > image.bands["i"].starlight.sigma


def test_too_few_stars_are_no_ruler(rng: np.random.Generator) -> None:
    data = moffat((80, 80), 40.0, 40.0, 2000.0) + rng.normal(size=(80, 80))
    image = KnownImage({"r": KnownBand("r", data, stars=np.array([[40.0, 40.0]]))})
    assert not field_starlight(image)["r"].known
    assert Starlight().compactness(np.ones(3)).tolist() == [0.0, 0.0, 0.0]
    table = measure(image, Sources.around([40.0], [40.0], side=12), pixel_scale=0.4)
    assert np.isfinite(table["flux_r"]).all()
    assert np.isnan(table["flux_apcor_r"]).all()
    assert np.isnan(table["flux_psf_r"]).all()


def test_where_the_reference_shows_no_stars_each_band_has_its_own(rng: np.random.Generator) -> None:
    image, places = _image(rng, fwhm={"r": 3.6, "z": 3.0})
    image.bands["r"].stars, image.bands["z"].stars = places[:0], places
    stars = field_starlight(image)
    assert not stars["r"].known
    assert stars["z"].sigma * float(Moffat(3.0).fwhm) == pytest.approx(3.0, rel=0.05)
