"""Pairs of two catalogues: which, how far apart, and what has none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time

from astrogalaxy.catalog import CatalogError, SourceCatalog


def sky(ra: list[float], dec: list[float] | None = None) -> SourceCatalog:
    return SourceCatalog.from_columns({"ra": ra, "dec": dec or [0.0] * len(ra)}, bands=["r"])


ARCSEC = 1 / 3600


@pytest.fixture
def mine() -> SourceCatalog:
    """Four sources: two 1 arcsec apart, one alone, one without a position."""
    return sky([10.0, 10 + ARCSEC, 20.0, np.nan])


@pytest.fixture
def theirs() -> Table:
    """One between the close two, nearer to the first; one far away."""
    return Table({"ra": [50.0, 10 + 0.4 * ARCSEC], "dec": [0.0, 0.0], "g": [1.0, 2.0], "name": ["a", "b"]})


def test_one_to_one_takes_the_closest_pair(mine, theirs) -> None:
    match = mine.crossmatch(theirs, radius=1)
    assert match.index.tolist() == [0] and match.other_index.tolist() == [1] and len(match) == 1
    assert match.separation.to_value("arcsec") == pytest.approx([0.4], abs=1e-6)
    assert match.unmatched.tolist() == [1, 2, 3] and match.other_unmatched.tolist() == [0]


def test_many_to_one_shares(mine, theirs) -> None:
    match = mine.crossmatch(theirs, radius=1 * u.arcsec, one_to_one=False)
    assert match.index.tolist() == [0, 1] and match.other_index.tolist() == [1, 1]
    assert match.separation.to_value("arcsec") == pytest.approx([0.4, 0.6], abs=1e-6)


def test_second_best_is_taken_where_the_best_is_gone() -> None:
    first = sky([10.0, 10 + 0.3 * ARCSEC])
    second = sky([10 + 0.2 * ARCSEC, 10 + 1.0 * ARCSEC])
    match = first.crossmatch(second, radius=2)
    assert match.index.tolist() == [0, 1] and match.other_index.tolist() == [1, 0]


def test_agrees_with_a_plain_loop() -> None:
    rng = np.random.default_rng(4)
    first, second = (
        sky(list(30 + rng.uniform(0, 20, 150) * ARCSEC), list(rng.uniform(0, 20, 150) * ARCSEC)) for _ in "ab"
    )
    match = first.crossmatch(second, radius=1.5)
    gaps = first.coords[:, None].separation(second.coords[None]).arcsec
    pairs, used, taken = {}, set(), set()
    for i, j in zip(*np.unravel_index(np.argsort(gaps, axis=None), gaps.shape), strict=True):
        if gaps[i, j] <= 1.5 and i not in used and j not in taken:
            pairs[int(i)] = int(j)
            used.add(i)
            taken.add(j)
    assert dict(zip(match.index.tolist(), match.other_index.tolist(), strict=True)) == pairs
    assert len(pairs) > 80


def test_across_zero_and_at_the_pole() -> None:
    first, second = sky([359.9999, 0.0], [0.0, 90.0]), sky([180.0, 0.0001], [90.0, 0.0])
    match = first.crossmatch(second, radius=1)
    assert match.other_index.tolist() == [1, 0]
    assert match.separation.to_value("arcsec") == pytest.approx([0.72, 0], abs=1e-3)


@pytest.mark.parametrize(
    "kind", ["SkyCoord", "galactic", "Mixin", "QTable", "hours", "upper", "masked", "catalogue", "frame"]
)
def test_other_forms_of_positions(mine, kind: str) -> None:
    where = SkyCoord([20.0, 10.0], [0.0, 0.0], unit="deg")
    other = {
        "SkyCoord": where,
        "galactic": where.galactic,
        "Mixin": Table({"where": where.fk5}),
        "QTable": QTable({"ra": where.ra, "dec": where.dec}),
        "hours": Table({"ra": where.ra.hour * u.hourangle, "dec": [0.0, 0.0] * u.rad}),
        "upper": Table({"RA": where.ra.deg, "Dec": where.dec.deg}),
        "masked": Table({"ra": MaskedColumn([20.0, 10.0, 10.0], mask=[0, 0, 1]), "dec": [0.0, 0.0, 0.0]}),
        "catalogue": sky([20.0, 10.0]),
        "frame": pd.DataFrame({"ra": where.ra.deg, "dec": [0.0, 0.0], "name": ["a", "b"]}, index=[7, 3]),
    }[kind]
    match = mine.crossmatch(other, radius=0.5)
    assert match.index.tolist() == [0, 2] and match.other_index.tolist() == [1, 0]
    assert len(match.joined()) == 2


def test_joined_tables(mine, theirs) -> None:
    match = mine.crossmatch(theirs)
    pairs = match.joined()
    assert type(pairs) is SourceCatalog and pairs["source_id"].tolist() == [mine["source_id"][0]]
    assert pairs["ra_2"][0] == theirs["ra"][1] and pairs["g"].tolist() == [2.0]
    assert pairs["separation"].unit == u.arcsec and pairs["ra"].meta["ucd"] == "pos.eq.ra;meta.main"
    every = match.joined(keep="first", suffix="_gaia")
    assert len(every) == 4 and every["name"].tolist() == ["b", None, None, None]
    assert every["ra_gaia"].mask.tolist() == [False, True, True, True]
    assert np.isnan(every["separation"]).tolist() == [False, True, True, True]
    with pytest.raises(CatalogError, match="'ra'; give another suffix"):
        match.joined(suffix="")
    with pytest.raises(CatalogError, match="keep must be 'pairs' or 'first', not 'all'"):
        match.joined(keep="all")


@pytest.mark.parametrize("n_rows", [0, 2])
def test_columns_of_objects_are_masked_without_a_partner(mine, n_rows: int) -> None:
    where = SkyCoord([20.0, 55.0], [0.0, 0.0], unit="deg")
    theirs = QTable({"where": where, "seen": Time([50000.0, 50001.0], format="mjd"), "size": [1.0, 2.0] * u.arcsec})
    joined = mine.crossmatch(theirs[:n_rows]).joined(keep="first")
    partner = np.isfinite(joined["separation"])
    assert partner.sum() == min(n_rows, 1)
    for name in ("where", "seen", "size"):
        assert np.array_equal(joined[name].mask, ~partner), name
    assert not partner.any() or joined["where"][partner].ra.deg.tolist() == [20.0]


@pytest.mark.parametrize("other", [[], [0.0]])
def test_nothing_to_match(mine, other: list) -> None:
    match = mine.crossmatch(Table({"ra": np.array(other), "dec": np.array(other), "n": np.array(other)}))
    assert len(match) == 0 and match.unmatched.tolist() == [0, 1, 2, 3]
    assert len(match.joined()) == 0 and match.joined(keep="first")["n"].mask.all()


@pytest.mark.parametrize(
    ("other", "radius", "message"),
    [
        (Table({"x": [1.0]}), 1, "the other table has no columns 'ra' and 'dec'"),
        (Table({"ra": ["a"], "dec": [1.0]}), 1, "'ra' of the other table is no angle"),
        (Table({"ra": [1.0] * u.m, "dec": [1.0]}), 1, "'ra' of the other table is no angle"),
        ([[1.0, 2.0]], 1, "the other table is a list; give a Table, a DataFrame or a SkyCoord"),
        (Table({"ra": [1.0] * 3, "Dec": [1.0, -999, 91]}), 1, r"'Dec' of the other table has -999 .* row 1 .* of 2\)"),
        (Table({"ra": [1.0], "dec": [1.0]}), 0, "more than 0"),
        (Table({"ra": [1.0], "dec": [1.0]}), 3 * u.m, "must be an angle"),
        (Table({"ra": [1.0], "dec": [1.0]}), [1, 2], "more than 0"),
        (Table({"ra": [1.0], "dec": [1.0]}), float("nan"), "more than 0"),
    ],
)
def test_errors(mine, other, radius, message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        mine.crossmatch(other, radius=radius)


def test_sources_without_any_position_are_told_of(mine) -> None:
    """Those of images without a WCS had 0 pairs, as if nothing were near."""
    nowhere = SourceCatalog.from_columns({"ra": [np.nan] * 2, "dec": [np.nan] * 2}, bands=["r"])
    with pytest.raises(CatalogError, match="none of the 2 rows of the catalogue has a position on the sky"):
        nowhere.crossmatch(mine)
    with pytest.raises(CatalogError, match="none of the 2 rows of the other table has a position on the sky"):
        mine.crossmatch(nowhere)
