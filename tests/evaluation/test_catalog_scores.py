"""Tests of astrogalaxy.evaluation.catalogs."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from astropy import units as u
from astropy.stats import binom_conf_interval
from astropy.table import Table, vstack

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.errors import CatalogError
from astrogalaxy.evaluation.catalogs import evaluate_catalog
from astrogalaxy.evaluation.intervals import Interval
from astrogalaxy.evaluation.truth import read_truth

NAN = float("nan")


def _truth(n: int = 40) -> Table:
    """Sources 20 pixels apart, every other one a galaxy, fainter and fainter."""
    x, y = 20.0 * (np.arange(n) % 10) + 10, 20.0 * (np.arange(n) // 10) + 10
    return Table(
        {
            "x": x, "y": y, "ra": 150 + x / 3600, "dec": y / 3600, "class": np.where(np.arange(n) % 2, "galaxy", "star"),
            "mag_r": np.linspace(18.01, 21.99, n),
        }
    )  # fmt: skip


def _found(truth: Table, keep: np.ndarray, *, shift: float = 0.5) -> Table:
    """The kept ones, moved by `shift` pixels, the brighter the surer; all classes right."""
    rows = truth[keep]
    table = Table({"x": rows["x"] + shift, "y": rows["y"], "ra": rows["ra"] + shift / 3600, "dec": rows["dec"]})
    table["det_score"] = np.linspace(0.99, 0.6, len(rows))
    table["p_galaxy"] = np.where(rows["class"] == "galaxy", 0.9, 0.1)
    return table


def _add(table: Table, x: float, y: float, score: float) -> Table:
    table.add_row({"x": x, "y": y, "ra": 150 + x / 3600, "dec": y / 3600, "det_score": score, "p_galaxy": 0.5})
    return table


def test_a_perfect_catalogue() -> None:
    truth = _truth()
    score = evaluate_catalog(_found(truth, np.arange(40), shift=0.0), truth)
    assert (score.n_found, score.n_truth, score.n_matched) == (40, 40, 40)
    for name in ("average_precision", "best_f1", "completeness", "purity", "accuracy"):
        assert getattr(score, name).value == 1.0
    assert score.table()["n"].tolist() == [40] * 8
    assert score.average_precision == Interval(1.0, 1.0, 1.0)
    assert score.best_score == pytest.approx(0.6)
    assert (score.offset_median, score.offset_95, score.unit) == (0.0, 0.0, "pix")


def test_known_mistakes() -> None:
    truth = _truth()
    found = _found(truth, np.arange(30))  # the ten faintest are missed
    found["p_galaxy"][:3] = 1 - found["p_galaxy"][:3]
    for i in range(10):
        _add(found, 20.0 * i, 0.0, 0.5 - 0.01 * i)
    score = evaluate_catalog(found, truth, radius=2.0)
    assert (score.n_found, score.n_truth, score.n_matched) == (40, 40, 30)
    low, high = binom_conf_interval(30, 40, interval="wilson")
    for estimate in (score.completeness, score.purity):
        assert estimate.value == 0.75
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-4)
    assert score.accuracy.value == pytest.approx(27 / 30)
    assert score.n_classified == 30
    assert score.average_precision.value == pytest.approx(0.75), "the false ones come last"
    assert score.average_precision.low < 0.75 < score.average_precision.high
    assert 0.05 < score.average_precision.high - score.average_precision.low < 0.25
    assert score.best_f1.value == pytest.approx(2 * 0.75 / 1.75)
    assert score.best_score == pytest.approx(0.6)
    assert (score.offset_median, score.offset_95) == pytest.approx((0.5, 0.5))


def test_the_bootstrap_interval_holds_what_it_says() -> None:
    """Of many catalogues of one sky, two thirds have an interval with the average in it."""
    truth = _truth(100)
    rng = np.random.default_rng(0)
    scores = []
    for seed in range(60):
        found = _found(truth, rng.random(100) < 0.7)
        scores.append(evaluate_catalog(found, truth, resamples=100, seed=seed).average_precision)
    inside = np.mean([score.low <= 0.7 <= score.high for score in scores])
    assert 0.5 < inside < 0.85


def test_a_seed_is_an_interval() -> None:
    truth = _truth()
    found = _add(_found(truth, np.arange(25)), 0.0, 0.0, 0.8)
    first, again, other = (evaluate_catalog(found, truth, seed=s).average_precision for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert first.value == other.value


def test_the_radius_decides() -> None:
    truth = _truth()
    found = _found(truth, np.arange(40), shift=2.5)
    assert evaluate_catalog(found, truth).completeness.value == 1.0
    assert evaluate_catalog(found, truth, radius=2.4).completeness.value == 0.0
    sky = evaluate_catalog(found, truth, radius_arcsec=3.0)
    assert (sky.completeness.value, sky.unit) == (1.0, "arcsec")
    assert sky.offset_median == pytest.approx(2.5, rel=1e-3)
    assert evaluate_catalog(found, truth, radius_arcsec=2.4).completeness.value == 0.0


def test_the_sky_is_used_where_there_are_no_pixels() -> None:
    truth = _truth()
    found = _found(truth, np.arange(40))["ra", "dec", "det_score"]
    score = evaluate_catalog(found, truth)
    assert (score.unit, score.completeness.value) == ("arcsec", 1.0)
    assert np.isnan(score.accuracy.value)
    assert score.n_classified == 0


def test_the_radius_is_in_the_unit_of_the_match() -> None:
    truth = _truth()
    found = _found(truth, np.arange(40), shift=2.5)["ra", "dec", "det_score"]
    assert evaluate_catalog(found, truth).completeness.value == 0.0, "1 arcsec"
    assert evaluate_catalog(found, truth, radius=2.6).completeness.value == 1.0
    assert evaluate_catalog(found, truth, radius=2.4).completeness.value == 0.0


def test_a_radius_may_carry_its_unit() -> None:
    truth = _truth()
    found = _found(truth, np.arange(40), shift=2.5)
    assert evaluate_catalog(found, truth, radius_arcsec=0.045 * u.arcmin).completeness.value == 1.0
    assert evaluate_catalog(found, truth, radius=2.6 * u.pix).completeness.value == 1.0
    with pytest.raises(CatalogError, match="a radius of 3.0 arcsec is no number of pixels"):
        evaluate_catalog(found, truth, radius=3 * u.arcsec)


def test_what_is_asked_for_and_is_not_there() -> None:
    truth = _truth()
    found = _found(truth, np.arange(4))
    with pytest.raises(CatalogError, match="the catalogue has no column 'score'"):
        evaluate_catalog(found, truth, score="score")
    with pytest.raises(CatalogError, match="bin_width must be more than 0 mag, not 0"):
        evaluate_catalog(found, truth, bin_width=0)
    with pytest.raises(CatalogError, match="the truth is a str"):
        evaluate_catalog(found, "truth.csv")
    frames = evaluate_catalog(found.to_pandas(), truth.to_pandas())
    assert frames.average_precision == evaluate_catalog(found, truth).average_precision


@pytest.mark.parametrize("radius", [0.0, -1.0, NAN, np.inf])
def test_a_radius_that_matches_nothing_or_all(radius: float) -> None:
    truth = _truth()
    found = _found(truth, np.arange(4))
    with pytest.raises(CatalogError, match=rf"a radius of {radius:g} matches nothing; .* above 0, in pixels"):
        evaluate_catalog(found, truth, radius=radius)
    with pytest.raises(CatalogError, match="above 0, in arcsec"):
        evaluate_catalog(found, truth, radius_arcsec=radius)


@pytest.mark.parametrize("ra", [150.0, 0.0, 359.99, 180.0])
def test_only_the_truth_s_part_of_the_sky_counts(ra: float) -> None:
    truth = _truth()
    found = _found(truth, np.arange(30), shift=0.0)
    for x, y in ((500.0, 40.0), (100.0, -40.0), (100.0, 40.0)):
        _add(found, x, y, 0.9)
    for table in (truth, found):
        table["ra"] = (table["ra"] - 150 + ra - 100 / 3600) % 360
        table.remove_columns(["x", "y"])
    score = evaluate_catalog(found, truth, region="truth")
    assert (score.n_found, score.n_truth, score.n_matched, score.unit) == (31, 40, 30, "arcsec")


def test_the_sky_s_region_is_used_where_both_are_known() -> None:
    truth = _truth()
    found = _add(_found(truth, np.arange(40), shift=0.0), 500.0, 40.0, 0.9)
    found["x"] += 1000  # pixels of another image
    assert evaluate_catalog(found, truth, region="truth", radius_arcsec=1.0).n_found == 40


def test_a_true_source_without_a_position_is_refused() -> None:
    truth = _truth()
    found = _found(truth, np.arange(40))
    truth["x"][3] = truth["y"][7] = NAN
    with pytest.raises(CatalogError, match=r"truth's row 3 \(from 0, and 1 more\) has no x and y: NaN or missing"):
        evaluate_catalog(found, truth)
    assert evaluate_catalog(found, truth, radius_arcsec=1.0).completeness.value == 1.0, "the sky is known"
    truth["visible"] = np.isfinite(truth["x"]) & np.isfinite(truth["y"])
    assert evaluate_catalog(found, truth).n_truth == 38, "what is not asked for may be anywhere"


def test_a_catalogue_without_sky_positions_is_refused() -> None:
    truth = _truth()
    found = _found(truth, np.arange(4))
    found["ra"] = found["dec"] = NAN
    with pytest.raises(CatalogError, match="no source of the catalogue has ra and dec: its images have no WCS"):
        evaluate_catalog(found, truth["ra", "dec"])


def test_completeness_falls_with_magnitude() -> None:
    truth = _truth()
    keep = np.arange(40) < 25  # to magnitude 20.5 or so
    bins = evaluate_catalog(_found(truth, keep), truth).bins
    assert bins.meta["magnitude"] == "mag_r"
    assert list(bins["mag_low"]) == [18, 18.5, 19, 19.5, 20, 20.5, 21, 21.5]
    np.testing.assert_allclose(bins["mag_high"] - bins["mag_low"], 0.5)
    assert list(bins["n_truth"]) == [5] * 8
    assert list(bins["n_found"]) == [5] * 5 + [0] * 3
    assert list(bins["completeness"]) == [1.0] * 5 + [0.0] * 3
    assert ((bins["low"] <= bins["completeness"]) & (bins["completeness"] <= bins["high"])).all()
    coarse = evaluate_catalog(_found(truth, keep), truth, bin_width=4.0, magnitude="mag_r").bins
    assert list(coarse["n_truth"]) == [20, 20]


def test_magnitudes_are_optional_and_may_be_unknown() -> None:
    truth = _truth()
    truth["mag_r"][:10] = NAN
    assert evaluate_catalog(_found(truth, np.arange(40)), truth).bins["n_truth"].sum() == 30
    del truth["mag_r"]
    assert evaluate_catalog(_found(truth, np.arange(40)), truth).bins is None
    truth["mag_i"] = 20.0
    assert evaluate_catalog(_found(truth, np.arange(40)), truth).bins.meta["magnitude"] == "mag_i"
    with pytest.raises(CatalogError, match="the truth has no column 'mag_z'"):
        evaluate_catalog(_found(truth, np.arange(40)), truth, magnitude="mag_z")


def test_what_is_not_visible_is_neither_asked_for_nor_wrong() -> None:
    truth = _truth()
    truth["visible"] = np.arange(40) < 30
    all_found = evaluate_catalog(_found(truth, np.arange(40)), truth)
    assert (all_found.n_truth, all_found.n_found) == (30, 30)
    assert all_found.purity.value == all_found.completeness.value == 1.0
    some = evaluate_catalog(_add(_found(truth, np.arange(30)), 0.0, 0.0, 0.9), truth)
    assert some.completeness.value == 1.0
    assert some.purity.value == pytest.approx(30 / 31)


def test_only_the_magnitudes_count() -> None:
    truth = _truth()
    found = _found(truth, np.arange(10, 40))
    found["mag_r"] = truth["mag_r"][10:] + 0.01
    for magnitude in (19.0, 23.0, NAN):
        found.add_row({**dict.fromkeys(found.colnames, 0.5), "ra": 150.0, "mag_r": magnitude})
    score = evaluate_catalog(found, truth, magnitudes=(18.5, 20.0))
    assert score.n_truth == ((truth["mag_r"] >= 18.5) & (truth["mag_r"] < 20)).sum() == 15
    assert score.completeness.value == pytest.approx(10 / 15)
    assert score.purity.value == pytest.approx(10 / 11)
    assert score.bins["n_truth"].sum() == 15
    truth["mag_r"][12] = NAN
    assert evaluate_catalog(found, truth, magnitudes=(18.5, 20.0)).n_truth == 14
    with pytest.raises(CatalogError, match="from the brightest to the faintest, not from 20 to 18"):
        evaluate_catalog(found, truth, magnitudes=(20, 18))
    with pytest.raises(CatalogError, match="the truth has no column mag"):
        evaluate_catalog(found, truth["x", "y"], magnitudes=(18, 20))
    with pytest.raises(CatalogError, match="the catalogue has no column 'mag_r'"):
        evaluate_catalog(found["x", "y"], truth, magnitudes=(18, 20))


def test_only_the_region_counts() -> None:
    truth = _truth()
    found = _found(truth, np.arange(40), shift=0.0)
    _add(_add(found, 500.0, 40.0, 0.9), 100.0, 40.0, 0.9)
    assert evaluate_catalog(found, truth).n_found == 42
    bounds = evaluate_catalog(found, truth, region="truth")
    assert (bounds.n_found, bounds.n_truth) == (41, 40)
    for region in ((0, 100, 0, 100), np.array([0, 100, 0, 100])):
        half = evaluate_catalog(found, truth, region=region)
        assert (half.n_truth, half.n_matched, half.n_found) == (20, 20, 20)


@pytest.mark.parametrize("region", ["field", (0, 10), (0, 10, 0, None)])
def test_a_region_that_is_none_is_refused(region: object) -> None:
    with pytest.raises(CatalogError, match="region must be 'truth', or x0, x1, y0, y1 in pixels, not "):
        evaluate_catalog(_truth(), _truth(), region=region)


def test_a_match_across_the_region_s_edge_is_no_mistake() -> None:
    truth = Table({"x": [99.4, 99.6, 50.0], "y": [10.0, 60.0, 50.0]})
    found = Table({"x": [99.6, 99.4, 50.0], "y": [10.0, 60.0, 50.0], "det_score": [0.9, 0.8, 0.7]})
    score = evaluate_catalog(found, truth, region=(0, 100, 0, 100))
    assert (score.n_truth, score.n_found, score.n_matched) == (2, 2, 2)


def test_classes_that_nobody_knows_are_left_out() -> None:
    truth = _truth()
    truth["class"][:10] = ""
    found = _found(truth, np.arange(40))
    found["p_galaxy"][20:25] = NAN
    assert evaluate_catalog(found, truth).n_classified == 25
    del truth["class"]
    assert np.isnan(evaluate_catalog(found, truth).accuracy.value)


def test_without_scores_there_is_no_curve() -> None:
    truth = _truth()
    found = _found(truth, np.arange(30))
    del found["det_score"]
    score = evaluate_catalog(found, truth)
    assert np.isnan([*astuple(score.average_precision), *astuple(score.best_f1), score.best_score]).all()
    assert (score.completeness.value, score.purity.value) == (0.75, 1.0)
    found["snr"] = np.arange(30.0)
    assert evaluate_catalog(found, truth, score="snr").average_precision.value == pytest.approx(0.75)


def test_empty_tables() -> None:
    truth = _truth()
    nothing = evaluate_catalog(_found(truth, np.zeros(40, dtype=bool)), truth)
    assert (nothing.average_precision.value, nothing.completeness.value, nothing.n_found) == (0.0, 0.0, 0)
    assert np.isnan([nothing.purity.value, nothing.accuracy.value, nothing.offset_median]).all()
    unasked = evaluate_catalog(_found(truth, np.arange(40)), truth[:0])
    assert np.isnan([unasked.average_precision.value, unasked.completeness.value]).all()
    assert unasked.purity.value == 0.0
    assert len(unasked.bins) == 0
    with pytest.raises(CatalogError, match="the truth has no rows"):
        evaluate_catalog(_found(truth, np.arange(40)), truth[:0], region="truth")


def test_a_source_without_a_position_is_a_false_one() -> None:
    truth = _truth()
    found = _add(_found(truth, np.arange(40)), NAN, NAN, 0.95)
    assert evaluate_catalog(found, truth).purity.value == pytest.approx(40 / 41)
    assert evaluate_catalog(found, truth, region="truth").n_found == 41


def test_pixels_of_several_fields_are_ambiguous() -> None:
    truth = _truth()
    found = _found(truth, np.arange(40))
    found["field"] = np.where(np.arange(40) < 25, "a", "b")
    with pytest.raises(CatalogError, match=r"pixels are ambiguous: the catalogue has 2 fields \(a, b"):
        evaluate_catalog(found, truth)
    assert evaluate_catalog(found, truth, field="a").n_found == 25
    with pytest.raises(CatalogError, match="the catalogue has no field 'c'; it has a, b"):
        evaluate_catalog(found, truth, field="c")
    assert evaluate_catalog(found, truth, radius_arcsec=1.0).n_found == 40
    del found["field"]
    with pytest.raises(CatalogError, match="the catalogue has no column 'field'"):
        evaluate_catalog(found, truth, field="a")


def test_tables_that_have_nothing_in_common() -> None:
    truth = _truth()
    found = _found(truth, np.arange(4))
    with pytest.raises(CatalogError, match="both need x and y, or ra and dec"):
        evaluate_catalog(found["x", "y"], truth["ra", "dec"])
    with pytest.raises(CatalogError, match="both need ra and dec"):
        evaluate_catalog(found["x", "y"], truth["x", "y"], radius_arcsec=1.0)
    with pytest.raises(CatalogError, match="the truth has no column 'x'"):
        evaluate_catalog(found, truth["ra", "dec"], region=(0, 10, 0, 10))


def test_a_source_catalogue_against_a_file(tmp_path) -> None:
    truth = _truth()
    truth.write(tmp_path / "truth.csv")
    found = _found(truth, np.arange(30))
    catalog = SourceCatalog.from_columns({**{n: found[n] for n in found.colnames}, "field": "f"}, bands=["r"])
    score = evaluate_catalog(catalog, read_truth(tmp_path / "truth.csv"))
    assert score.completeness.value == 0.75
    assert score.accuracy.value == 1.0


def test_the_scores_as_a_table() -> None:
    truth = _truth()
    score = evaluate_catalog(_add(_found(truth, np.arange(30)), 0, 0, 0.7), truth)
    table = score.table()
    assert table.colnames == ["quantity", "value", "low", "high", "n"]
    rows = {row["quantity"]: row for row in table}
    assert list(rows) == [
        "average_precision", "best_f1", "best_score", "completeness", "purity", "accuracy",
        "offset_median [pix]", "offset_95 [pix]",
    ]  # fmt: skip
    assert rows["completeness"]["value"] == 0.75
    assert rows["completeness"]["low"] == score.completeness.low
    assert rows["offset_median [pix]"]["n"] == 30
    assert "0.7500" in "\n".join(table.pformat())


@pytest.mark.parametrize("ra", [150.0, 0.0])
def test_what_lies_outside_of_the_other_table_s_area_is_told(ra: float) -> None:
    rng = np.random.default_rng(0)
    truth = Table({"ra": (ra + rng.uniform(-0.1, 0.1, 900)) % 360, "dec": rng.uniform(-0.1, 0.1, 900)})
    found = Table({**{name: truth[name][:600] for name in ("ra", "dec")}, "det_score": np.full(600, 0.9)})
    score = evaluate_catalog(found, truth)
    assert (score.n_truth_afar, score.n_found_afar) == (0, 0)  # missed ones among found ones are just missed
    here = truth["dec"] < 0
    outside = int(np.sum(~here))
    score = evaluate_catalog(found[here[:600]], truth)
    assert 0.6 * outside < score.n_truth_afar <= outside
    assert score.n_found_afar == 0
    score = evaluate_catalog(found, truth[here])
    assert score.n_truth_afar == 0
    assert 0.6 < score.n_found_afar / np.sum(~here[:600]) <= 1.0


@pytest.mark.parametrize("sky", [False, True])
def test_corners_that_a_turned_truth_does_not_cover_are_no_place_of_false_sources(sky: bool) -> None:
    rng = np.random.default_rng(5)
    everything = rng.uniform(0, 1000, (2000, 2))
    covered = np.abs(everything - 500).sum(axis=1) < 450
    truth, found = (Table(points, names=["x", "y"]) for points in (everything[covered], everything))
    found["det_score"] = 0.9
    for table in (truth, found):
        table["ra"], table["dec"] = (table["x"] / 3600 / np.cos(np.radians(60)) - 0.2) % 360, 60 + table["y"] / 3600
    names = ["ra", "dec"] if sky else ["x", "y"]
    score = evaluate_catalog(found[[*names, "det_score"]], truth[names], region="truth")
    assert score.completeness.value == 1.0
    assert score.purity.value == 1.0, "all are true, but those outside cannot be known"


def test_true_sources_that_are_written_twice_are_told() -> None:
    truth = _truth()
    found = _found(truth, np.arange(40))
    assert evaluate_catalog(found, truth).n_truth_twice == 0
    again = truth[:10]
    again["x"] += 0.1
    twice = vstack([truth, truth[:30], truth[:5], again])
    score = evaluate_catalog(found, twice)
    assert (score.n_truth, score.n_matched, score.n_truth_twice) == (85, 40, 45)
    assert evaluate_catalog(found, twice, radius_arcsec=1.0).n_truth_twice == 45
