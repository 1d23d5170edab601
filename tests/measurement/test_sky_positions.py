"""Tests of astrogalaxy.measurement.sky, and of the ways to the sky and back in astrogalaxy.images.sky."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import Sip
from known_skies import SCALE, make_wcs

from astrogalaxy.images import Section
from astrogalaxy.images.sky import to_pixel, to_sky
from astrogalaxy.measurement.sky import ellipse_on_sky, invert, jacobian_of, transform

SHAPE = (500, 600)
X, Y = np.array([10.0, 300.0, 590.0]), np.array([480.0, 250.0, 5.0])


@pytest.mark.parametrize("frame", ["ICRS", "FK5", "galactic"])
def test_positions_are_icrs_and_come_back(frame: str) -> None:
    wcs = make_wcs(SHAPE, frame=frame)
    ra, dec = to_sky(wcs, X, Y)
    truth = wcs.pixel_to_world(X, Y).icrs
    assert SkyCoord(ra, dec, unit="deg").separation(truth).arcsec.max() < 1e-6
    x, y = to_pixel(wcs, ra, dec)
    np.testing.assert_allclose(x, X, atol=1e-5)
    np.testing.assert_allclose(y, Y, atol=1e-5)


@pytest.mark.parametrize(("rotation", "parity", "frame"), [(0, -1, "ICRS"), (35, -1, "ICRS"), (110, 1, "galactic")])
def test_jacobian_is_the_local_sky(rotation: float, parity: int, frame: str) -> None:
    wcs = make_wcs(SHAPE, rotation=rotation, parity=parity, frame=frame)
    jacobian = jacobian_of(wcs, X, Y)
    here = wcs.pixel_to_world(X, Y).icrs
    for column, (dx, dy) in enumerate(((1, 0), (0, 1))):
        there = wcs.pixel_to_world(X + dx, Y + dy).icrs
        east, north = here.spherical_offsets_to(there)
        np.testing.assert_allclose(jacobian[:, 0, column], east.arcsec, atol=2e-5)
        np.testing.assert_allclose(jacobian[:, 1, column], north.arcsec, atol=2e-5)


def test_ra_wraps_and_poles_work() -> None:
    wcs = make_wcs(SHAPE)
    wcs.wcs.crval = [0.0, 89.99]
    wcs.wcs.set()
    ra, _ = to_sky(wcs, X, Y)
    assert np.all((ra >= 0) & (ra < 360))
    np.testing.assert_allclose(np.abs(np.linalg.det(jacobian_of(wcs, X, Y))), SCALE**2, rtol=1e-4)


def test_positions_that_cannot_be_reached_are_nan() -> None:
    wcs = make_wcs(SHAPE)
    x, y = to_pixel(wcs, np.array([150.0, 330.0, np.nan]), np.array([22.0, -22.0, 10.0]))
    assert np.isfinite([x[0], y[0]]).all()
    assert np.isnan([x[1:], y[1:]]).all()
    x, _ = to_pixel(wcs, np.array([np.nan]), np.array([0.0]))
    assert np.isnan(x).all()


def test_distortion_that_cannot_be_inverted_far_out() -> None:
    wcs = make_wcs(SHAPE)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    a = np.zeros((4, 4))
    a[3, 0] = a[0, 3] = 3e-8
    wcs.sip = Sip(a, a.copy(), None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    ra, dec = to_sky(wcs, X, Y)
    x, y = to_pixel(wcs, np.append(ra, 170.0), np.append(dec, 40.0))
    np.testing.assert_allclose(x[:3], X, atol=1e-3)
    np.testing.assert_allclose(y[:3], Y, atol=1e-3)
    assert np.isnan(x[3]) or abs(x[3]) > 1e4


def test_what_lies_far_outside_a_distorted_image_is_not_on_it(rng: np.random.Generator) -> None:
    shape = (2000, 2000)
    wcs = make_wcs(shape)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    a = np.zeros((4, 4))
    a[3, 0] = a[1, 2] = 1e-8  # ten pixels at the edges
    wcs.sip = Sip(a, a.T.copy(), None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    around = SkyCoord(*to_sky(wcs, np.array([1000.0]), np.array([1000.0])), unit="deg")
    far = around.directional_offset_by(rng.uniform(0, 360, 2000) * u.deg, rng.uniform(0.3, 2, 2000) * u.deg)
    x, y = to_pixel(wcs, far.ra.deg, far.dec.deg)
    assert not Section.whole(shape).contains(x, y).any()


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 155.0])
def test_position_angle_is_east_of_north(angle: float) -> None:
    t = np.radians(angle)
    east, north = np.sin(t), np.cos(t)
    a2, b2 = 9.0, 4.0
    cov = [a2 * p * q + b2 * r * s for p, q, r, s in
           ((east, east, north, north), (east, north, -north, east), (north, north, east, east))]  # fmt: skip
    a, b, theta = ellipse_on_sky(*(np.array([part]) for part in cov))
    assert (a[0], b[0]) == (pytest.approx(3.0), pytest.approx(2.0))
    assert (theta[0] - angle + 90) % 180 - 90 == pytest.approx(0.0, abs=1e-9)
    assert 0 <= theta[0] < 180


def test_transform_and_invert_undo_each_other(rng: np.random.Generator) -> None:
    matrix = rng.normal(size=(20, 2, 2))
    covariance = tuple(np.abs(rng.normal(size=(3, 20))))
    back = transform(invert(matrix), *transform(matrix, *covariance))
    np.testing.assert_allclose(back, covariance, rtol=1e-6)
    assert np.isnan(invert(np.zeros((1, 2, 2)))).all()
