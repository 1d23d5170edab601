"""Measured positions are ICRS whatever the frame and the distortion of the image."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from known_skies import field_of

from astrogalaxy.images import Image
from astrogalaxy.measurement import Sources, measure

SHAPE, SCALE = (240, 260), 0.4 / 3600
X, Y = np.array([40.0, 200.0, 130.0, 60.0]), np.array([50.0, 45.0, 120.0, 200.0])


def _header(**cards: object) -> fits.Header:
    """A plain ICRS header, changed."""
    header = fits.Header()
    header.update({
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 83.0, "CRVAL2": 41.0, "CRPIX1": 130.0, "CRPIX2": 120.0,
        "CD1_1": -SCALE, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": SCALE, "RADESYS": "ICRS",
    })  # fmt: skip
    header.update(cards)
    return header


@pytest.mark.parametrize(
    "cards",
    [
        {},
        {"RADESYS": "FK5", "EQUINOX": 1975.0},
        {"RADESYS": "FK4", "EQUINOX": 1950.0},
        {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
        {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 4e-4, "B_1_1": -3e-4},
        {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV1_4": 0.8, "PV2_1": 1.0, "PV2_5": -0.6},
    ],
    ids=["icrs", "fk5", "fk4", "galactic", "sip", "tpv"],
)
def test_positions_and_errors(cards: dict[str, object]) -> None:
    header = _header(**cards)
    rng = np.random.default_rng(6)
    data = (field_of(SHAPE, X, Y, 2000.0) + rng.normal(size=SHAPE)).astype(np.float32)
    table = measure(Image.read({"r": fits.PrimaryHDU(data, header)}), Sources.around(X + 0.3, Y - 0.2, side=12))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth = WCS(header).pixel_to_world(X, Y).icrs
    truth = SkyCoord(truth.ra, truth.dec)
    east, north = truth.spherical_offsets_to(SkyCoord(table["ra"], table["dec"], unit="deg"))
    assert np.all(np.abs(east.arcsec) < 4.5 * table["ra_err"])
    assert np.all(np.abs(north.arcsec) < 4.5 * table["dec_err"])
    assert np.all((table["ra_err"] > 0.002) & (table["ra_err"] < 0.03))
