"""Tests of astrogalaxy.survey.merge that need no images."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.catalog import SourceCatalog, flag_bits
from astrogalaxy.images import Section, Tile
from astrogalaxy.measurement.fieldwide import GIVEN_QUALITY, FieldQuality
from astrogalaxy.survey.merge import (
    _FARTHEST_ARCSEC,
    Claim,
    TileCatalog,
    _within_reach,
    merge_tiles,
    neighbouring,
    rank_between,
)

Cap = tuple[np.ndarray, float]


def caps_of(rng: np.random.Generator, radii: np.ndarray) -> list[Cap]:
    """Fields strewn over some 10 square degrees; radii in degrees."""
    ra, dec = np.radians(rng.uniform(-1.6, 1.6, (2, len(radii))))
    centres = np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    return [(centre, float(radius)) for centre, radius in zip(centres, np.radians(radii), strict=True)]


def test_neighbours_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(3)
    caps = caps_of(rng, np.where(rng.random(60) < 0.2, 0.5, rng.uniform(0.01, 0.1, 60)))
    caps[7] = np.full(3, np.nan), np.nan
    same = np.radians(_FARTHEST_ARCSEC / 3600)
    expected = [
        (i, j)
        for i in range(60)
        for j in range(i + 1, 60)
        if np.linalg.norm(caps[i][0] - caps[j][0]) <= caps[i][1] + caps[j][1] + same
    ]
    assert 20 < len(expected) < 1000
    assert neighbouring(caps) == expected


@pytest.mark.parametrize("large", [[], [0], [0, 1500]])
def test_one_large_field_does_not_make_neighbours_of_the_others(large: list[int]) -> None:
    radii = np.full(2000, 0.005)
    radii[large] = 0.7
    centres, sizes = zip(*caps_of(np.random.default_rng(1), radii), strict=True)
    pairs = _within_reach(np.array(centres), 2 * np.array(sizes))
    # a large field may be beside each of the others, and these are beside few
    assert len(pairs) < 200 + 2000 * len(large)
    assert not len(large) or len(pairs) > 500


def test_few_fields_have_no_neighbours() -> None:
    nowhere = np.full(3, np.nan), np.nan
    assert neighbouring([]) == []
    assert neighbouring([nowhere, (np.array([1.0, 0.0, 0.0]), 0.1), nowhere]) == []


def claim_of(dec: list[float], noise: list[float], *, error: float = 0.1, fwhm: float = 2.5, flags: int = 0) -> Claim:
    """Of sources beside each other; places in arcsec."""
    lengths = {"ra_err": np.full(len(dec), error), "dec_err": np.full(len(dec), error), "fwhm": np.full(len(dec), fwhm)}
    columns = {"ra": np.full(len(dec), 150.0), "dec": np.array(dec) / 3600, **lengths, "flags": flags}
    return Claim.of(SourceCatalog.from_columns({**columns, "flux_aper_r_err": np.array(noise)}, bands=["r"]))


@pytest.mark.parametrize(
    ("error", "fwhm", "apart", "same"),
    [
        (0.4, (2.5, 2.5), 1.4, True),
        (0.3, (2.5, 2.5), 1.4, False),
        (0.1, (2.5, 2.5), 0.9, True),
        (0.4, (1.2, 1.2), 1.4, False),
        (0.4, (1.2, 2.5), 1.4, False),
        (0.4, (2.5, 1.2), 1.4, False),
        (2.0, (9.0, 9.0), 2.8, True),
        (2.0, (9.0, 9.0), 3.2, False),
    ],
)
def test_reports_are_of_one_source_as_far_as_their_errors_say(
    error: float, fwhm: tuple[float, float], apart: float, same: bool
) -> None:
    """Of two epochs with pixels of an arcsec, a faint source lies up to two of them apart."""
    claims = (claim_of([dec], [noise], error=error, fwhm=w) for dec, noise, w in ((0, 3, fwhm[0]), (apart, 2, fwhm[1])))
    first, second = rank_between(*claims)
    assert (bool(first[0]), bool(second[0])) == (same, False)


@pytest.mark.parametrize("noise", [(1.0, 2.0), (2.0, 1.0), (1.0, 1.0)])
def test_of_a_pair_that_one_field_resolves_nothing_is_lost(noise: tuple[float, float]) -> None:
    """A report is of one source of the other field, the nearest; of two that are as good the first stays."""
    blend, pair = claim_of([0.0], [noise[0]]), claim_of([0.9, 0.2], [noise[1]] * 2)
    gone = rank_between(blend, pair)
    assert [lost.tolist() for lost in gone] == (
        [[True], [False] * 2] if noise[0] > noise[1] else [[False], [False, True]]
    )
    gone = rank_between(pair, blend)
    assert [lost.tolist() for lost in gone] == (
        [[False, True], [False]] if noise[0] < noise[1] else [[False] * 2, [True]]
    )


def test_only_an_edge_makes_a_report_give_way() -> None:
    for flags, gives_way in ((flag_bits("edge"), True), (flag_bits("saturated", "masked"), False)):
        (first,), _ = rank_between(claim_of([0.0], [1.0], flags=flags), claim_of([0.1], [2.0]))
        assert bool(first) == gives_way


def test_fields_that_just_touch_are_neighbours() -> None:
    radius, same = np.radians(0.5), np.radians(_FARTHEST_ARCSEC / 3600)
    for apart, expected in ((2 * radius + 0.9 * same, [(0, 1)]), (2 * radius + 1.1 * same, [])):
        assert neighbouring([(np.array([1.0, 0.0, 0.0]), radius), (np.array([1.0, apart, 0.0]), radius)]) == expected


def test_of_two_reports_chance_does_not_choose() -> None:
    """The brighter of two is no better, else faint sources of many epochs would be too bright."""

    def claim(flux: float, noise: float) -> Claim:
        columns = {
            "ra": [150.0],
            "dec": [0.0],
            "snr": [flux / noise],
            "flux_aper_r": [flux],
            "flux_aper_r_err": [noise],
        }
        return Claim.of(SourceCatalog.from_columns({**columns, "flags": [0]}, bands=["r"]))

    lucky, deeper = claim(9.0, 1.1), claim(5.0, 1.0)
    for pair in ((lucky, deeper), (deeper, lucky)):
        gone = rank_between(*pair)
        assert [bool(lost[0]) for lost in gone] == [part is lucky for part in pair]


def test_what_tiles_say_of_a_given_point_spread_stays_if_processors_differ_in_a_digit() -> None:
    tiles = []
    for n in range(3):
        part = Section(100 * n, 100 * n + 100, 0, 100)
        catalog = SourceCatalog.from_columns({"x": [100.0 * n + 50], "y": [50.0]}, bands=["r"])
        if n:
            catalog.meta[GIVEN_QUALITY] = FieldQuality(star_radius=0.7 + n * 1e-15).to_json()
        tiles.append(TileCatalog(Tile(f"tile{n}", part, part), catalog))
    joined = merge_tiles(tiles)
    assert len(joined) == 3
    assert FieldQuality.from_json(joined.meta[GIVEN_QUALITY]).star_radius == pytest.approx(0.7)
