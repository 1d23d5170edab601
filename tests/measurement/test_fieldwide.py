"""Corrections by the stars of a whole field."""

from __future__ import annotations

import json

import numpy as np
import pytest
from known_skies import KnownBand, KnownImage, field_of, lattice, make_wcs

from astrogalaxy.catalog import SourceCatalog, flag_bits
from astrogalaxy.images import Image
from astrogalaxy.measurement import Sources, calibrate_field, field_conditions, measure, restore_conditions


def _catalog(n: int = 40, **changes: object) -> SourceCatalog:
    rng = np.random.default_rng(3)
    star = np.arange(n) < n // 2
    columns = {
        "ra": np.linspace(10, 11, n), "dec": np.zeros(n), "p_star": np.where(star, 0.98, 0.05), "snr": np.full(n, 80.0),
        "half_light_radius": np.where(star, 0.7, 1.3) * rng.normal(1, 0.01, n), "fwhm": np.where(star, 1.2, 2.2),
        "ellipticity": np.where(star, 0.05, 0.4), "flags": np.zeros(n, int),
        "flux_r": np.full(n, 1000.0), "flux_r_err": np.full(n, 10.0),
        "flux_apcor_r": np.where(star, 800.0, 500.0), "flux_apcor_r_err": np.full(n, 8.0),
        "flux_psf_r": np.where(star, 1030.0, 700.0), "flux_psf_r_err": np.full(n, 7.0),
    } | changes  # fmt: skip
    return SourceCatalog.from_columns(columns, bands=["r"])


def test_the_small_aperture_is_corrected_by_stars() -> None:
    catalog = _catalog()
    quality = calibrate_field(catalog)
    np.testing.assert_allclose(catalog["flux_apcor_r"][:20], 1000.0)
    np.testing.assert_allclose(catalog["flux_apcor_r"][20:], 625.0)
    np.testing.assert_allclose(catalog["flux_apcor_r_err"], 10.0, rtol=1e-5)
    assert quality.corrections["r"].factor == pytest.approx(1.25)
    assert quality.corrections["r"].stars == quality.stars == 20
    assert (quality.seeing, quality.ellipticity) == pytest.approx((1.2, 0.05))


def test_psf_fluxes_are_corrected_by_stars() -> None:
    catalog = _catalog()
    quality = calibrate_field(catalog)
    np.testing.assert_allclose(catalog["flux_psf_r"], np.where(np.arange(40) < 20, 1000.0, 700.0 / 1.03), rtol=1e-6)
    np.testing.assert_allclose(catalog["flux_psf_r_err"], 7.0 / 1.03, rtol=1e-5)
    assert quality.psf_corrections["r"].factor == pytest.approx(1 / 1.03)
    assert quality.to_dict()["psf_corrections"]["r"]["stars"] == 20


def test_psf_fluxes_of_stars_that_do_not_agree_are_not_corrected() -> None:
    wild = np.where(np.arange(40) < 20, np.geomspace(100.0, 3000.0, 40), 700.0)
    catalog = _catalog(flux_psf_r=wild)
    quality = calibrate_field(catalog)
    assert np.isnan(catalog["flux_psf_r"]).all()
    assert quality.to_dict()["psf_corrections"]["r"] == {"factor": None, "error": None, "stars": 20}
    np.testing.assert_allclose(catalog["flux_apcor_r"][:20], 1000.0)


def test_the_seeing_is_taken_out_of_sizes() -> None:
    catalog = _catalog()
    calibrate_field(catalog)
    assert np.median(catalog["radius_corr"][20:]) == pytest.approx(np.sqrt(1.3**2 - 0.7**2), rel=0.02)
    assert np.median(catalog["radius_corr"][:20]) < 0.15
    assert catalog["radius_corr"].min() == 0.0


@pytest.mark.parametrize(
    "changes",
    [{"p_star": np.zeros(40)}, {"flags": np.full(40, flag_bits("saturated"))}, {"half_light_radius": np.full(40, np.nan)}],
)  # fmt: skip
def test_without_stars_nothing_is_corrected(changes: dict) -> None:
    catalog = _catalog(**changes)
    quality = calibrate_field(catalog)
    assert np.isnan(catalog["flux_apcor_r"]).all()
    assert np.isnan(catalog["flux_psf_r"]).all()
    assert np.isnan(catalog["radius_corr"]).all()
    assert json.loads(json.dumps(quality.to_dict(), allow_nan=False))["corrections"]["r"]["factor"] is None


def test_where_no_class_is_clear_outside_the_weights_stars_are_what_is_narrow_and_alike() -> None:
    unclear = {"p_star": np.where(np.arange(40) < 20, 0.65, 0.4)}
    assert calibrate_field(_catalog(**unclear)).corrections["r"].stars == 0
    catalog = _catalog(**unclear, flags=np.full(40, flag_bits("outside_weight")))
    assert calibrate_field(catalog).corrections["r"].factor == pytest.approx(1.25)
    np.testing.assert_allclose(catalog["flux_apcor_r"][:20], 1000.0)


def test_a_galaxy_called_a_star_does_not_correct() -> None:
    small = np.where(np.arange(40) < 20, 800.0, 500.0)
    small[0] = 300.0
    catalog = _catalog(flux_apcor_r=small, half_light_radius=np.r_[1.4, np.full(19, 0.7), np.full(20, 1.3)])
    assert calibrate_field(catalog).corrections["r"].stars == 19


def test_point_sources_come_out_whole(rng: np.random.Generator) -> None:
    x, y = lattice(10, 48, rng)
    flux = 10 ** rng.uniform(2.3, 3.6, len(x))
    data = field_of((480, 480), x, y, flux) + rng.normal(size=(480, 480))
    band = KnownBand("r", data, wcs=make_wcs(data.shape), zeropoint=22.5, stars=np.column_stack([x, y]), seeing=3.3)
    table = measure(KnownImage({"r": band}), Sources.around(x, y, side=12), apertures=[3.0, 5.0])
    table |= {"p_star": np.ones(len(x)), "ra": table["ra"]}
    catalog = SourceCatalog.from_columns(table, bands=["r"], apertures=2)
    assert catalog.apertures == 2
    assert np.all(catalog["flux_aper2_r"] > catalog["flux_aper_r"] - 60_000)
    calibrate_field(catalog)
    for name in ("flux_apcor_r", "flux_psf_r"):
        pull = (catalog[name] - flux * 3630.78) / catalog[f"{name}_err"]
        assert abs(np.median(pull)) < 0.5
        assert 0.8 < np.std(pull) < 1.25
        assert np.median(catalog[f"{name}_err"] / catalog["flux_r_err"]) < 0.8
    assert np.median(catalog["flux_psf_r_err"] / catalog["flux_apcor_r_err"]) < 1
    catalog.validate()


def test_another_process_measures_the_same(rng: np.random.Generator) -> None:
    x, y = lattice(8, 60, rng)
    data = field_of((480, 480), x, y, 2000.0) + rng.normal(size=(480, 480))
    first, second = (Image.read({"r": (data, make_wcs(data.shape))}, zeropoint=22.5) for _ in range(2))
    known = field_conditions(first)
    assert np.isfinite(known["r"]).all()
    restore_conditions(second.bands["r"], known["r"])
    assert (second.bands["r"].starlight, second.bands["r"].noise_factor) == (
        first.bands["r"].starlight,
        first.bands["r"].noise_factor,
    )
