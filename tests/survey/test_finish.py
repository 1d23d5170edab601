"""What is said of a field when its tiles are joined."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from astrogalaxy.catalog import flag_bits
from astrogalaxy.survey.finish import _told, flagged_sources


@pytest.mark.parametrize(
    ("number", "share", "told"), [(100, 0.9, True), (100, 0.3, False), (9, 1.0, False), (0, 0, False)]
)
def test_a_mask_of_sources_is_told(number: int, share: float, told: bool) -> None:
    """Masks of some surveys mark what was detected: those sources are bright, and faint ones are not among them."""
    snr = np.arange(number, dtype=float)
    masked = (snr >= number / 2) & (snr < number * (1 + share) / 2)
    said = flagged_sources(Table({"snr": snr, "flags": np.where(masked, flag_bits("masked"), 0)}), "masked")
    assert bool(said) == told
    if told:
        assert said.startswith("of the brighter half of the sources, 45 of 50 lie on pixels that images.mask calls bad")
        assert said.endswith("images.mask_bits")


def test_faint_masked_sources_are_no_sign() -> None:
    snr = np.arange(100.0)
    assert not flagged_sources(Table({"snr": snr, "flags": np.where(snr < 50, flag_bits("masked"), 0)}), "masked")


@pytest.mark.parametrize("saturated", [True, False])
def test_a_level_of_saturation_below_most_sources_is_said(saturated: bool) -> None:
    snr = np.geomspace(5, 500, 40)
    flags = np.where(saturated | (snr > 300), flag_bits("saturated"), 0)
    said = flagged_sources(Table({"snr": snr, "flags": flags}), "saturated")
    assert bool(said) == saturated
    if saturated:
        assert "20 of 20 are saturated" in said
        assert "images.saturation" in said


def test_corrections_of_a_field_are_one_line_of_the_log() -> None:
    known = {"factor": 1.25, "error": 0.01, "stars": 30}
    assert _told({"g": {"factor": None, "error": None, "stars": 2}, "r": known}) == "r 1.2500 +- 0.0100 from 30 stars"
    assert _told({"g": {"factor": None, "error": None, "stars": 0}}) == "of no band, for want of stars"
