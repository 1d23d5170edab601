"""What is said of a field when its tiles are joined."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astrogalaxy.catalog import flag_bits, has_flags
from astrogalaxy.config import SurveyConfig
from astrogalaxy.survey import execute, finish
from astrogalaxy.survey.finish import _corrections, _uncorrected, flagged_sources
from astrogalaxy.survey.store import RunDirectory


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


def test_a_source_without_data_does_not_hide_a_mask_of_sources() -> None:
    snr = np.append(np.full(40, 9.0), np.nan)
    table = Table({"snr": snr, "flags": np.full(41, flag_bits("masked"))})
    assert flagged_sources(table, "masked").startswith("of the brighter half of the sources, 40 of 40")
    table["snr"] = np.nan
    assert not flagged_sources(table, "masked")


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
    assert (
        _corrections({"g": {"factor": None, "error": None, "stars": 2}, "r": known})
        == "r 1.2500 +- 0.0100 from 30 stars"
    )
    assert _corrections({"g": {"factor": None, "error": None, "stars": 0}}) == "of no band, for want of stars"


def test_fluxes_that_stars_could_correct_but_did_not_are_told() -> None:
    known, unknown = {"factor": 1.25, "error": 0.01, "stars": 30}, {"factor": None, "error": None, "stars": 0}
    measured = {
        "seeing": 1.1,
        "corrections": {"g": known, "r": unknown, "z": unknown},
        "psf_corrections": {"g": known, "r": known, "z": unknown},
    }
    # the field has no z
    assert _uncorrected(measured, ("g", "r")) == {"flux_apcor": ["r"]}
    assert _uncorrected(measured, ("g", "r", "z")) == {"flux_apcor": ["r", "z"], "flux_psf": ["z"]}
    assert _uncorrected(measured, ("g",)) == {}
    # without stars nothing else is to be expected
    assert _uncorrected(measured | {"seeing": None}, ("g", "r", "z")) == {}


def test_a_table_of_reference_positions_is_read_once_for_all_fields(
    survey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Table({"ra": [10.0, 20.0], "dec": [5.0, 5.0]}).write(survey.parent / "stars.ecsv")
    survey.write_text(survey.read_text() + "astrometry: {check: stars.ecsv}\n")
    read = Mock(side_effect=finish.read_positions)
    monkeypatch.setattr(finish, "read_positions", read)
    summary = execute(survey)
    record = RunDirectory(summary.directory, "pair").read_json()
    assert [field["measured"]["astrometry"]["reference"][-10:] for field in record["fields"]] == ["stars.ecsv"] * 2
    assert read.call_count == 1


def test_bad_pixels_of_an_image_without_a_mask_are_not_the_mask_s(tmp_path: Path) -> None:
    rows, columns = np.indices((160, 160))
    data = np.random.default_rng(0).normal(100, 1, rows.shape)
    for x, y in np.ndindex(9, 9):
        data += 300 * np.exp(-((columns - 16 * x - 16) ** 2 + (rows - 16 * y - 16) ** 2) / 6)
    data[18:150:16, 16:150:16] = np.nan
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CDELT1": -1e-4, "CDELT2": 1e-4})
    fits.writeto(tmp_path / "r.fits", data.astype(np.float32), header)
    images = {"path": "{band}.fits", "bands": ["r"]}
    summary = execute(
        SurveyConfig.from_dict({"name": "s", "images": images, "compute": {"workers": 1}}, folder=tmp_path)
    )
    assert has_flags(summary.catalog["flags"], "masked").sum() > 70
    assert not [failure for failure in summary.failures if "images.mask" in str(failure)]
