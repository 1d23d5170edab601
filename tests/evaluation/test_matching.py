"""Tests of astrogalaxy.evaluation.matching."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from astrogalaxy.evaluation.matching import Match, match_positions, match_sky, precision_recall

_place = st.floats(0, 20, width=32)
_places = st.lists(st.tuples(_place, _place), max_size=25)


@settings(deadline=None)
@given(_places, _places, st.floats(0.5, 5), st.randoms(use_true_random=False))
def test_a_match_is_one_to_one_and_near(
    found: list[tuple[float, float]], true: list[tuple[float, float]], radius: float, random: object
) -> None:
    a, b = (np.array(points, dtype=float).reshape(-1, 2) for points in (found, true))
    score = np.array([random.random() for _ in found])
    match = match_positions(a[:, 0], a[:, 1], score, b[:, 0], b[:, 1], radius=radius)
    assert match.n_truth == len(true)
    hit = match.matched
    assert len(set(match.truth[hit].tolist())) == hit.sum(), "no true source twice"
    gaps = np.hypot(*(a[hit] - b[match.truth[hit]]).T)
    np.testing.assert_allclose(match.distance[hit], gaps, atol=1e-9)
    assert (gaps <= radius * (1 + 1e-9)).all()
    assert np.isnan(match.distance[~hit]).all()
    # and greedy: whoever went without had nothing free within reach when its turn came
    for i in np.nonzero(~hit)[0]:
        for j in np.nonzero(np.hypot(*(b - a[i]).T) < radius * (1 - 1e-9))[0]:
            taker = np.nonzero(match.truth == j)[0]
            assert len(taker) == 1
            assert score[taker[0]] >= score[i]


def test_the_best_score_chooses_first() -> None:
    match = match_positions([0.0, 1.0], [0, 0], [0.5, 0.9], [0.9], [0], radius=3)
    assert match.truth.tolist() == [-1, 0]
    assert match.distance[1] == pytest.approx(0.1)


def test_it_chooses_the_nearest_that_is_free() -> None:
    match = match_positions([0.0, 0.1], [0, 0], [0.9, 0.5], [-1.0, 0.5, 2.0], [0, 0, 0], radius=3)
    assert match.truth.tolist() == [1, 0]


@pytest.mark.parametrize("n", [0, 3])
def test_nothing_found_or_nothing_there(n: int) -> None:
    some, none = np.zeros(n), np.zeros(0)
    assert not match_positions(some, some, some, none, none, radius=1).matched.any()
    match = match_positions(none, none, none, some, some, radius=1)
    assert (len(match.truth), match.n_truth) == (0, n)


def test_a_source_without_a_position_matches_nothing() -> None:
    nan = float("nan")
    match = match_positions([nan, 1.0, 2.0], [0, 0, nan], [0.9, 0.8, 0.7], [nan, 1.0], [0, 0], radius=5)
    assert match.truth.tolist() == [-1, 1, -1]
    assert match.n_truth == 2


def test_the_sky_has_no_edges() -> None:
    ra, dec = np.array([359.9999, 120.0, 10.0, 50.0]), np.array([0.0, 89.9999, -60.0, 0.0])
    true_ra, true_dec = np.array([0.0001, 300.0, 10.0003, 50.1]), np.array([0.0001, 89.9999, -60.0, 0.0])
    match = match_sky(ra, dec, np.ones(4), true_ra, true_dec, radius=1.5)
    assert match.truth.tolist() == [0, 1, 2, -1]
    expected = SkyCoord(ra, dec, unit=u.deg).separation(SkyCoord(true_ra, true_dec, unit=u.deg)).arcsec
    np.testing.assert_allclose(match.distance[:3], expected[:3], rtol=1e-6)


def _ranked(real: list[int], n_truth: int) -> tuple[np.ndarray, Match]:
    """Sources in the order of falling score, 1 where real."""
    truth = np.where(real, np.arange(len(real)), -1)
    return np.linspace(0.9, 0.1, len(real)), Match(truth, np.zeros(len(real)), n_truth)


def test_a_perfect_ranking() -> None:
    curve = precision_recall(*_ranked([1, 1, 1, 0, 0], 3))
    assert (curve.average_precision, curve.best_f1, curve.best_score) == pytest.approx((1.0, 1.0, 0.5))


def test_a_curve_by_hand() -> None:
    curve = precision_recall(*_ranked([1, 0, 1, 0], 4))
    assert curve.precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    assert curve.recall.tolist() == [0.25, 0.25, 0.5, 0.5]
    assert curve.average_precision == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)
    assert curve.best_f1 == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    assert curve.best_score == pytest.approx(curve.score[2])


def test_sources_that_are_missed_cost() -> None:
    assert precision_recall(*_ranked([1, 1], 4)).average_precision == pytest.approx(0.5)
    assert precision_recall(*_ranked([0, 1], 1)).average_precision == pytest.approx(0.5)


def test_the_order_of_the_rows_does_not_matter() -> None:
    score, match = _ranked([1, 0, 1, 1, 0, 0, 1], 5)
    turn = np.random.default_rng(1).permutation(7)
    shuffled = precision_recall(score[turn], Match(match.truth[turn], match.distance[turn], 5))
    assert shuffled.average_precision == pytest.approx(precision_recall(score, match).average_precision)


def test_it_agrees_with_scikit_learn_where_precision_only_falls() -> None:
    real = [1] * 9 + [0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    score, match = _ranked(real, sum(real))
    curve = precision_recall(score, match)
    assert curve.average_precision == pytest.approx(average_precision_score(real, score))


def test_it_is_never_below_the_curve_without_interpolation() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        real = (rng.random(40) < np.linspace(0.9, 0.1, 40)).astype(int).tolist()
        score, match = _ranked(real, sum(real))
        plain = average_precision_score(real, score)
        assert plain - 1e-9 <= precision_recall(score, match).average_precision <= plain + 0.2


@pytest.mark.parametrize("n_truth", [0, 4])
def test_an_empty_catalogue_has_a_curve(n_truth: int) -> None:
    curve = precision_recall([], Match(np.zeros(0, dtype=np.intp), np.zeros(0), n_truth))
    assert (curve.average_precision, curve.best_f1) == (0.0, 0.0)
    assert np.isnan(curve.best_score)
