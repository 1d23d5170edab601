"""What injections say: counts, curves and intervals of known answers."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from astropy.stats import binom_conf_interval
from astropy.table import Table

from astrogalaxy.evaluation.injection import fit_completeness, tables
from astrogalaxy.evaluation.intervals import wilson


def injected(n: int = 400, *, half: float = 22.0, seed: int = 0) -> Table:
    """Stars and galaxies in turn; all brighter than half are found, galaxies half a magnitude earlier."""
    rng = np.random.default_rng(seed)
    mag = rng.uniform(18, 25, n)
    galaxy = np.arange(n) % 2 == 1
    found = mag < half - 0.5 * galaxy
    flux = 10 ** (-0.4 * mag)
    off = np.where(found, 1.0, np.nan)
    return Table(
        {
            "class": np.where(galaxy, "galaxy", "star"), "mag_r": mag, "flux_r": flux, "ra": np.full(n, 0.0001),
            "dec": np.full(n, 60.0), "half_light_radius": np.where(galaxy, rng.uniform(0.2, 2.0, n), 0.0),
            "found": found, "confused": ~found & (mag < half + 0.5),
            "found_class": np.where(found, np.where(galaxy, "galaxy", "star"), ""),
            "found_flux_r": off * flux * 0.9, "found_flux_r_err": off * 0.05 * flux,
            "found_ra": off * (0.0001 + 0.2 / 3600), "found_dec": off * (60.0 - 0.1 / 3600),
        }
    )  # fmt: skip


def test_wilson() -> None:
    low, high = wilson([3, 0, 5], [4, 0, 5])
    assert (low[0], high[0]) == pytest.approx(binom_conf_interval(3, 4, confidence_level=0.6827, interval="wilson"))
    assert np.isnan(low[1])
    assert high[2] == pytest.approx(1.0)
    assert wilson(np.nan, 0)[0].shape == ()


def test_completeness_by_magnitude_class_and_size() -> None:
    table = tables.completeness_table(injected(), band="r")
    stars = table[(table["class"] == "star")]
    assert stars["n_injected"].sum() == 200
    assert np.isnan(stars["radius_low"]).all()
    np.testing.assert_array_equal(stars["completeness"][stars["mag_high"] <= 22.0], 1.0)
    np.testing.assert_array_equal(stars["completeness"][stars["mag_low"] >= 22.0], 0.0)
    assert (stars["low"] <= stars["completeness"] + 1e-9).all()
    assert (stars["high"] >= stars["completeness"] - 1e-9).all()
    assert stars["n_confused"].sum() == np.sum((injected()["class"] == "star") & injected()["confused"])
    galaxies = table[table["class"] == "galaxy"]
    sized = galaxies[np.isfinite(galaxies["radius_low"])]
    assert sized["n_injected"].sum() == galaxies["n_injected"][np.isnan(galaxies["radius_low"])].sum() == 200
    counts = [sized["n_injected"][sized["radius_low"] == low].sum() for low in np.unique(sized["radius_low"])]
    assert len(counts) == 4
    assert max(counts) < 1.3 * min(counts)


def test_the_curve_comes_back_with_its_interval() -> None:
    rng, inside = np.random.default_rng(3), 0
    for seed in range(20):
        mag = rng.uniform(18, 25, 600)
        found = rng.random(600) < 0.97 / (1 + np.exp((mag - 22.3) / 0.3))
        curve = fit_completeness(mag, found, seed=seed)
        true = 22.3 - 0.3 * np.log(0.5 / 0.47)
        assert curve.half.value == pytest.approx(true, abs=0.2)
        assert curve.top == pytest.approx(0.97, abs=0.04)
        assert curve(curve.half.value) == pytest.approx(0.5)
        assert curve(curve.ninety.value) == pytest.approx(0.9)
        inside += curve.half.low <= true <= curve.half.high
    assert 9 <= inside <= 18


def test_a_crowd_hides_sources_long_before_the_limit() -> None:
    true, inside = 21.65, [0, 0]  # where 3 % of the bright ones hidden have become 10 %
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mag = np.where(rng.random(3000) < 0.5, rng.uniform(17.3, 24.3, 3000), rng.uniform(22.05, 24.05, 3000))
        share = np.clip(1 - 0.03 * 10 ** (0.12 * (mag - 17.3)), 0, 1) / (1 + np.exp((mag - 23.5) / 0.2))
        curve = fit_completeness(mag, rng.random(3000) < share, seed=seed)
        assert curve.ninety.value == pytest.approx(true, abs=0.8)
        assert curve.slope > 0
        inside[0] += curve.ninety.low <= true <= curve.ninety.high
        inside[1] += curve.half.low <= 23.42 <= curve.half.high
    assert min(inside) >= 9


@pytest.mark.parametrize("seed", range(3))
def test_a_limit_beyond_what_was_injected_is_not_known(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mag = rng.uniform(15, 20, 500)
    curve = fit_completeness(mag, rng.random(500) < 0.98)
    assert np.isnan([*astuple(curve.half), *astuple(curve.ninety)]).all()
    np.testing.assert_allclose(curve([15.0, 19.0]), 0.98, atol=0.02)


def test_a_curve_that_never_reaches_ninety_percent() -> None:
    rng = np.random.default_rng(1)
    mag = rng.uniform(18, 25, 3000)
    curve = fit_completeness(mag, rng.random(3000) < 0.7 / (1 + np.exp((mag - 22.0) / 0.3)))
    assert np.isnan(curve.ninety.value)
    assert np.isfinite(curve.half.value)


def test_no_curve_without_both_kinds() -> None:
    mag = np.linspace(18, 20, 100)
    assert fit_completeness(mag, np.ones(100, bool)) is None
    assert fit_completeness(mag, np.zeros(100, bool)) is None
    assert fit_completeness(mag[:20], mag[:20] < 18.2) is None


def test_a_sharp_edge_is_a_narrow_curve() -> None:
    table = injected(1000)
    curves = {(k, np.isnan(low)): curve for k, low, _, curve in tables.curves(table, band="r")}
    assert curves["star", True].half.value == pytest.approx(22.0, abs=0.05)
    assert curves["galaxy", True].half.value == pytest.approx(21.5, abs=0.05)


def test_map_of_magnitude_and_size() -> None:
    mags, radii, n, share = tables.completeness_map(injected(), band="r")
    assert n.shape == share.shape == (len(radii) - 1, len(mags) - 1)
    assert n.sum() == 200
    assert np.nanmin(share[:, mags[:-1] < 20.9]) == 1.0
    assert np.nanmax(share[:, mags[:-1] >= 22]) == 0.0
    assert tables.completeness_map(injected()[:0], band="r")[2].size == 0


def test_classes() -> None:
    table = injected()
    stars = np.flatnonzero((table["class"] == "star") & (table["mag_r"] >= 20.0) & (table["mag_r"] < 20.5))
    table["found_class"][stars[:2]] = "galaxy"
    table["found_class"][stars[2]] = "unsure"
    rows = tables.classification_table(table, band="r")
    row = rows[(rows["class"] == "star") & (rows["mag_low"] == 20.0)][0]
    n = len(stars)
    assert (row["n_found"], row["n_galaxy"], row["n_unsure"], row["n_star"]) == (n, 2, 1, n - 3)
    assert row["completeness"] == pytest.approx((n - 3) / n)
    assert row["purity"] == 1.0
    other = rows[(rows["class"] == "galaxy") & (rows["mag_low"] == 20.0)][0]
    assert other["purity"] == pytest.approx(1 / (1 + 2 / n)), "for as many stars as galaxies"
    assert other["purity_low"] < other["purity"] < other["purity_high"]


def test_photometry_and_positions() -> None:
    table = injected(2000)
    rows = tables.photometry_table(table, bands=["r"])
    assert rows["bias"] == pytest.approx(np.full(len(rows), -2.5 * np.log10(0.9)))
    assert rows["scatter"] == pytest.approx(np.zeros(len(rows)))
    places = tables.position_table(table, band="r")
    np.testing.assert_allclose(places["east"], 0.2 * np.cos(np.radians(60)), rtol=1e-4)
    np.testing.assert_allclose(places["north"], -0.1, rtol=1e-4)
    assert places["east"].unit == "arcsec"


def test_psf_fluxes_are_compared_for_stars_alone() -> None:
    table = injected(2000)
    table["found_flux_psf_r"], table["found_flux_psf_r_err"] = 0.8 * table["flux_r"], table["found_flux_r_err"]
    rows = tables.photometry_table(table, bands=["r"])
    psf = rows[rows["flux"] == "flux_psf"]
    assert len(psf) and set(psf["class"]) == {"star"}
    assert psf["bias"] == pytest.approx(np.full(len(psf), -2.5 * np.log10(0.8)))
    assert set(rows["class"][rows["flux"] == "flux"]) == {"star", "galaxy"}


def test_light_that_was_missed_altogether_is_infinitely_faint() -> None:
    table = injected(2000)
    here = np.flatnonzero((table["mag_r"] < 18.5) & (table["class"] == "star"))
    table["found_flux_r"][here[: 2 * len(here) // 3]] = -1.0
    row = tables.photometry_table(table, bands=["r"])[0]
    assert np.isnan(row["bias"])
    assert row["n"] == len(here)


def test_pull_is_one_where_errors_are_right() -> None:
    table, rng = injected(4000), np.random.default_rng(0)
    table["found_flux_r"] = table["flux_r"] * (1 + 0.05 * rng.standard_normal(4000))
    rows = tables.photometry_table(table, bands=["r"])
    assert np.median(rows["pull"]) == pytest.approx(1, abs=0.1)


def test_purity() -> None:
    catalog = Table({"mag": np.repeat([20.2, 22.2], 50), "det_score": np.repeat([0.99, 0.8], 50)})
    catalog["mag"][-1] = np.nan
    false = Table({"mag": [22.1, 22.3, 22.4, 25.0], "weight": [1.25] * 4})
    table = tables.purity_table(catalog, false)
    whole, bright, faint = table
    assert whole["n_catalog"] == 100
    assert np.isnan(whole["mag_low"])
    assert whole["purity"] == pytest.approx(0.95)
    assert bright["purity"] == 1.0
    assert faint["n_false"] == pytest.approx(3.75)
    assert faint["purity"] == pytest.approx(1 - 3.75 / 49)
    assert faint["low"] < faint["purity"] < faint["high"]
    assert faint["said"] == pytest.approx(0.8)
    assert len(tables.purity_table(catalog[:0], false)) == 0


@pytest.mark.parametrize("name", ["completeness_table", "classification_table", "position_table"])
def test_tables_of_nothing_have_their_columns(name: str) -> None:
    table = getattr(tables, name)(injected()[:0], band="r")
    assert len(table) == 0
    assert "mag_low" in table.colnames
