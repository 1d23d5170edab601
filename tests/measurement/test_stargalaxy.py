"""Tests of astrogalaxy.measurement.stargalaxy."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.catalog.flags import flag_bits
from astrogalaxy.measurement.stargalaxy import class_evidence, field_mix, galaxy_probability
from astrogalaxy.models import BY_EXTENT, BY_SPREAD, IN_FIELD, Calibration

JOINED = {
    BY_EXTENT: Calibration(slope=1.0, extent=4.0),
    BY_SPREAD: Calibration(slope=1.0, extent=2.0, spread=0.5),
}


def field(**changed: np.ndarray) -> dict[str, np.ndarray]:
    """Twelve clear stars, of which a test changes what it is about."""
    n = 12
    columns = {
        "snr": np.full(n, 100.0), "half_light_radius": np.full(n, 0.6), "spread": np.zeros(n),
        "spread_err": np.full(n, 0.05), "flags": np.zeros(n, dtype=np.int32), "det_score": np.full(n, 0.9),
    }  # fmt: skip
    return columns | changed


def test_a_wide_source_is_a_galaxy_whatever_the_network_says() -> None:
    p = np.full(12, 0.1)
    p[0], p[1] = 0.3, 0.7
    spread, radius = np.zeros(12), np.full(12, 0.6)
    spread[0], radius[0] = 0.8, 0.9
    joined = galaxy_probability(class_evidence(p, field(spread=spread, half_light_radius=radius)), JOINED)
    assert joined[0] > 0.95
    assert joined[1] < 0.2
    assert (joined[2:] < 0.01).all()


def test_the_network_is_not_believed_of_saturated_sources_against_what_was_measured() -> None:
    p = np.full(12, 0.1)
    p[:3] = 0.9999
    flags = np.where(np.arange(12) < 2, flag_bits("saturated"), 0).astype(np.int32)
    radius = np.where(np.arange(12) < 2, 3.0, 0.6)
    spread = np.where(np.arange(12) == 1, 0.8, 0.0)
    star, galaxy, whole, *others = galaxy_probability(
        class_evidence(p, field(flags=flags, half_light_radius=radius, spread=spread)), JOINED
    )
    assert star < 0.5 < 0.95 < galaxy
    assert whole > 0.95
    assert max(others) < 0.1


def test_outside_the_range_of_the_weights_what_was_measured_decides() -> None:
    p = np.full(12, 0.99)
    spread = np.where(np.arange(12) < 2, 0.8, 0.0)

    def named(flag: str) -> np.ndarray:
        flags = np.full(12, flag_bits(flag), dtype=np.int32)
        return galaxy_probability(class_evidence(p, field(spread=spread, flags=flags)), JOINED)

    assert (named("masked") > 0.5).all()  # the network's word alone
    galaxies, stars = np.split(named("outside_weight"), [2])
    assert (galaxies > 0.9).all() and (stars < 0.1).all()


def test_radii_tell_the_size_of_stars_where_the_network_knows_none() -> None:
    """Of space telescopes: to it all may be galaxies, and the point spread tells nothing of what is bright."""
    star = np.arange(24) < 12
    columns = {name: np.resize(values, 24) for name, values in field().items()} | {
        "half_light_radius": np.where(star, np.linspace(0.034, 0.036, 24), np.linspace(0.1, 0.3, 24)),
        "spread": np.where(star, 0.5, 1.4),
        "spread_err": np.full(24, 5.0),
        "flags": np.full(24, flag_bits("outside_weight"), dtype=np.int32),
    }
    evidence = class_evidence(np.full(24, 0.6), columns)
    np.testing.assert_allclose(evidence.extent[star], 0.0, atol=0.05)
    joined = galaxy_probability(evidence, JOINED)
    assert (joined[star] < 0.7).all()
    assert (joined[~star] > 0.9).all()


def test_outside_the_range_of_the_weights_a_field_has_no_mix() -> None:
    """A network that calls galaxies stars there would make itself believe that there are none."""
    calibration = JOINED | {IN_FIELD: Calibration(mix=1.0, offset=0.5)}
    p = np.full(60, 0.1)
    columns = {name: np.resize(values, 60) for name, values in field().items()}
    columns["spread"] = np.where(np.arange(60) < 5, 0.3, 0.0)
    for flag, alone in (("masked", False), ("outside_weight", True)):
        columns["flags"] = np.full(60, flag_bits(flag), dtype=np.int32)
        evidence = class_evidence(p, columns)
        with_mix, without = (galaxy_probability(evidence, calibration, field_prior=prior) for prior in (True, False))
        assert (np.abs(with_mix - without).max() < 1e-9) == alone


def test_what_is_not_known_is_left_out() -> None:
    p = np.full(12, 0.1)
    p[0] = 0.4
    nan = np.full(12, np.nan)
    wide = np.full(12, 0.6)
    wide[0] = 1.2
    by_extent = galaxy_probability(class_evidence(p, field(spread=nan, half_light_radius=wide)), JOINED)
    assert by_extent[0] == pytest.approx(1 / (1 + 0.6 / 0.4 * 2.0**-4), rel=1e-3)
    # a blend's radius is not its own
    flags = np.where(np.arange(12) == 0, flag_bits("blended"), 0).astype(np.int32)
    network = galaxy_probability(class_evidence(p, field(spread=nan, half_light_radius=wide, flags=flags)), JOINED)
    assert network[0] == pytest.approx(0.4)
    # its spread is: the neighbours were taken away
    spread = np.where(np.arange(12) == 0, 0.8, 0.0)
    blended = class_evidence(p, field(spread=spread, half_light_radius=wide, flags=flags))
    assert np.isnan(blended.extent[0])
    assert galaxy_probability(blended, JOINED)[0] > 0.95
    # few stars, and weights of before
    few = {name: values[:3] for name, values in field(spread=nan).items()}
    np.testing.assert_allclose(galaxy_probability(class_evidence(p[:3], few), JOINED), p[:3])
    np.testing.assert_allclose(galaxy_probability(class_evidence(p, field()), {}), p)


def test_a_faint_source_s_spread_says_little() -> None:
    p = np.full(12, 0.1)
    p[0] = p[1] = 0.5
    spread, snr = np.zeros(12), np.full(12, 100.0)
    spread[:2], snr[1] = 0.5, 3.0
    joined = galaxy_probability(class_evidence(p, field(spread=spread, snr=snr)), JOINED)
    assert joined[0] > 0.95
    assert 0.5 < joined[1] < 0.9


def crowd(p_galaxy: list[float], **changed: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Sources of which nothing is measured, so that the network's answer stands."""
    n, nan = len(p_galaxy), np.full(len(p_galaxy), np.nan)
    columns = {
        "snr": np.full(n, 100.0), "half_light_radius": nan, "spread": nan, "spread_err": nan,
        "flags": np.zeros(n, dtype=np.int32), "det_score": np.full(n, 0.9),
    }  # fmt: skip
    return np.array(p_galaxy), columns | changed


def test_a_source_is_more_probably_what_the_clear_ones_are() -> None:
    calibration = {IN_FIELD: Calibration(mix=0.5)}
    for clear, expected in ((0.01, (4 / 50) ** 0.5), (0.99, (50 / 4) ** 0.5), (0.6, 1.0)):
        found = galaxy_probability(class_evidence(*crowd([0.5] + [clear] * 46)), calibration)
        assert found[0] / (1 - found[0]) == pytest.approx(expected), clear
    # alone, or with weights of before, it is what it is
    np.testing.assert_allclose(galaxy_probability(class_evidence(*crowd([0.4])), calibration), 0.4)
    np.testing.assert_allclose(galaxy_probability(class_evidence(*crowd([0.4] + [0.01] * 46)), {})[0], 0.4)


def test_faint_doubtful_and_false_sources_do_not_tell_what_the_field_is() -> None:
    p, snr, real = [0.9] * 9 + [0.1] * 3, np.full(12, 25.0), np.ones(12, dtype=bool)
    assert field_mix(p, snr, real) == pytest.approx(np.log(13 / 7))
    assert field_mix([*p, 0.7, 0.3], np.full(14, 25.0), np.ones(14, dtype=bool)) == pytest.approx(np.log(13 / 7))
    snr[:4], real[4:8] = 24.0, False
    assert field_mix(p, snr, real) == pytest.approx(np.log(5 / 7))
    # nor does a field that is unlike any that it was learnt from carry everything with it
    assert field_mix(np.full(9000, 0.01), np.full(9000, 99.0), np.ones(9000, dtype=bool)) == -4


def test_what_a_lower_threshold_finds_besides_changes_no_class() -> None:
    calibration = {BY_EXTENT: Calibration(extent=4.0), IN_FIELD: Calibration(mix=0.5)}
    radius = np.full(60, 0.6)
    radius[0], radius[20:] = 0.7, 1.5
    score = np.where(np.arange(60) < 20, 0.9, 0.05)
    p, columns = crowd([0.5] + [0.01] * 19 + [0.01, 0.99] * 20, half_light_radius=radius, det_score=score)
    few = {name: values[:20] for name, values in columns.items()}
    usual = galaxy_probability(class_evidence(p[:20], few, threshold=0.5), calibration)
    lower = galaxy_probability(class_evidence(p, columns, threshold=0.5), calibration)
    np.testing.assert_array_equal(lower[:20], usual)
    assert abs(galaxy_probability(class_evidence(p, columns), calibration)[0] - usual[0]) > 0.1
