"""Tests of astrogalaxy.measurement.stargalaxy."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.catalog.flags import flag_bits
from astrogalaxy.measurement.stargalaxy import class_evidence, galaxy_probability
from astrogalaxy.models import BY_EXTENT, BY_SPREAD, Calibration

JOINED = {
    BY_EXTENT: Calibration(slope=1.0, extent=4.0),
    BY_SPREAD: Calibration(slope=1.0, extent=2.0, spread=0.5),
}


def field(**changed: np.ndarray) -> dict[str, np.ndarray]:
    """Twelve clear stars, of which a test changes what it is about."""
    n = 12
    columns = {
        "snr": np.full(n, 100.0), "half_light_radius": np.full(n, 0.6), "spread": np.zeros(n),
        "spread_err": np.full(n, 0.05), "flags": np.zeros(n, dtype=np.int32),
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
