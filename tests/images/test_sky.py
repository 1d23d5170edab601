"""WCS of every kind is read quietly, and told apart from those that do not work."""

from __future__ import annotations

import logging
import threading
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from astrogalaxy.images.quiet import quiet
from astrogalaxy.images.sky import map_pixels, pixel_scale
from astrogalaxy.images.wcs import read_wcs, usable_wcs

SHAPE = (100, 100)


@pytest.fixture
def header(make_wcs):
    header = make_wcs().to_header()
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, 100, 100
    return header


def test_plain_wcs(header):
    wcs = read_wcs(header, SHAPE, origin="a.fits")
    assert wcs.pixel_to_world(49.5, 49.5).separation(SkyCoord(150, 2, unit="deg")) < 1e-6 * u.arcsec
    assert pixel_scale(wcs, SHAPE) == pytest.approx(0.4, rel=1e-6)


@pytest.mark.parametrize("cards", [{}, {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"}, {"CTYPE1": "RA---TAN"}])
def test_no_celestial_wcs(cards):
    header = fits.Header([("NAXIS", 2), ("NAXIS1", 100), ("NAXIS2", 100), *cards.items()])
    assert read_wcs(header, SHAPE, origin="a.fits") is None
    assert np.isnan(pixel_scale(None, SHAPE))


@pytest.mark.parametrize(
    "cards",
    [
        {"CDELT1": 0.0},
        {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--TAN"},
        {"CRVAL2": 95.0, "LATPOLE": 300.0},
        {"CUNIT1": "parsnip"},
        {"PC1_1": 1.0, "PC1_2": 1.0, "PC2_1": 1.0, "PC2_2": 1.0},
    ],
)
def test_broken_wcs_is_left_out_with_one_warning_in_the_log(header, cards, caplog):
    header.update(cards)
    assert read_wcs(header, SHAPE, origin="a.fits") is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.text.count("a.fits") == 1


@pytest.mark.parametrize("frame", ["FK5", "FK4", "ICRS"])
def test_frames_without_equinox_get_the_standard_one(header, frame):
    header["RADESYS"] = frame
    header.pop("EQUINOX", None)
    wcs = read_wcs(header, SHAPE, origin="a.fits")
    sky = wcs.pixel_to_world(49.5, 49.5)
    assert sky.frame.name == frame.lower()
    assert {"FK5": 2000, "FK4": 1950}.get(frame) == (None if frame == "ICRS" else sky.equinox.value)


@pytest.mark.parametrize("frame", ["J2000", "fk5", "FK5/2000", "GAPPT", "icrs", ""])
def test_frames_by_other_names(header, frame):
    header["RADESYS"] = frame
    wcs = read_wcs(header, SHAPE, origin="a.fits")
    assert wcs.pixel_to_world(49.5, 49.5).separation(SkyCoord(150, 2, unit="deg")) < 0.1 * u.arcsec


def test_numbers_written_as_text_are_numbers(header, caplog):
    header["CRVAL1"] = str(header["CRVAL1"])
    wcs = read_wcs(header, SHAPE, origin="a.fits")
    assert wcs.pixel_to_world(49.5, 49.5).separation(SkyCoord(150, 2, unit="deg")) < 1e-6 * u.arcsec
    header["CRVAL1"] = "unknown"
    assert read_wcs(header, SHAPE, origin="a.fits") is None
    assert "a.fits: its WCS cannot be read" in caplog.text


@pytest.mark.parametrize("text", ["1950.0", "B1950", "1950"])
def test_an_equinox_written_as_text_is_one(header, text):
    del header["RADESYS"]
    header["EQUINOX"] = text
    sky = read_wcs(header, SHAPE, origin="a.fits").pixel_to_world(49.5, 49.5)
    assert (sky.frame.name, sky.equinox.value) == ("fk4", 1950.0)
    header["EQUINOX"] = "unknown"
    assert read_wcs(header, SHAPE, origin="a.fits").pixel_to_world(49.5, 49.5).frame.name == "icrs"


@pytest.mark.parametrize("kind", ["E", "S", "H"])
@pytest.mark.parametrize("frame", ["", "ICRS", "FK5"])
def test_ecliptic_longitudes_are_not_taken_for_right_ascensions(header, kind, frame, caplog):
    header["CTYPE1"], header["CTYPE2"], header["RADESYS"] = f"{kind}LON-TAN", f"{kind}LAT-TAN", frame
    assert read_wcs(header, SHAPE, origin="a.fits") is None
    assert f"a.fits: its WCS is left out, since it is in {kind}LON and {kind}LAT" in caplog.text


@pytest.mark.parametrize("projection", ["TPV", "TAN"])
@pytest.mark.parametrize("written", ["CDELT", "PC", "CROTA"])
def test_polynomials_mean_the_same_however_scales_are_written(projection, written):
    """wcslib evaluates them between PC and CDELT, where they are in other units."""
    cos, sin, scale = np.cos(0.5), np.sin(0.5), 0.4 / 3600
    if written == "CDELT":
        cos, sin = 1.0, 0.0
    cards = {"CTYPE1": f"RA---{projection}", "CTYPE2": f"DEC--{projection}", "CRVAL1": 50.0, "CRVAL2": 30.0}
    cards |= {"CRPIX1": 60.0, "CRPIX2": 40.0, "PV1_0": 0.002, "PV1_1": 1.0, "PV1_4": 0.4, "PV2_1": 1.01, "PV2_5": 0.1}
    matrix = {"CD1_1": -scale * cos, "CD1_2": -scale * sin, "CD2_1": -scale * sin, "CD2_2": scale * cos}
    other = {"CDELT1": -scale, "CDELT2": scale}
    if written == "PC":
        other |= {"PC1_1": cos, "PC1_2": sin, "PC2_1": -sin, "PC2_2": cos}
    if written == "CROTA":
        other["CROTA2"] = np.degrees(0.5)
    right, wcs = (read_wcs(fits.Header(cards | part), SHAPE, origin="a.fits") for part in (matrix, other))
    x, y = np.array([0.0, 99, 0, 99, 50]), np.array([0.0, 0, 99, 99, 50])
    assert right.pixel_to_world(0, 0).separation(SkyCoord(50, 30, unit="deg")) > 5 * u.arcsec, "the polynomial is used"
    assert (wcs.pixel_to_world(x, y).separation(right.pixel_to_world(x, y)) < 1e-6 * u.arcsec).all()
    assert pixel_scale(wcs, SHAPE) == pytest.approx(pixel_scale(right, SHAPE))


def test_radecsys_is_understood(header):
    del header["RADESYS"]
    header["RADECSYS"] = "ICRS"
    assert read_wcs(header, SHAPE, origin="a.fits").pixel_to_world(0, 0).frame.name == "icrs"


def test_sip_without_the_suffix_floods_nothing(header, caplog, capfd):
    for key, value in {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5, "B_0_2": 1e-5}.items():
        header[key] = value
    with caplog.at_level(logging.INFO):
        assert read_wcs(header, SHAPE, origin="a.fits") is not None
    assert capfd.readouterr() == ("", "")


def test_degenerate_axes_keep_the_order_of_declination_first(make_wcs):
    wcs = make_wcs()
    header = wcs.to_header()
    for key in ("CTYPE", "CRVAL", "CUNIT"):
        header[f"{key}1"], header[f"{key}2"] = header[f"{key}2"], header[f"{key}1"]
    header["NAXIS"], header["CTYPE3"], header["CRPIX3"], header["CRVAL3"] = 3, "FREQ", 1.0, 1e9
    found = read_wcs(header, SHAPE, origin="a.fits")
    assert list(found.wcs.ctype) == ["DEC--TAN", "RA---TAN"]
    assert found.pixel_n_dim == 2


@pytest.mark.parametrize(
    "cards",
    [
        {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV1_4": 0.8, "PV2_1": 1.0, "PV2_5": -0.6},
        {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 4e-4, "B_1_1": -3e-4},
    ],
    ids=["tpv", "sip"],
)
def test_distortions_beside_degenerate_axes(header, cards):
    """Both are for two axes: astropy refuses one and cannot copy the other."""
    header.update(cards)
    right = read_wcs(header, SHAPE, origin="a.fits")
    header.update(
        {"NAXIS": 3, "NAXIS3": 1, "CTYPE3": "STOKES", "CRPIX3": 1.0, "CRVAL3": 1.0, "CDELT3": 1.0, "PC3_3": 1.0}
    )
    wcs = read_wcs(header, SHAPE, origin="a.fits")
    x, y = np.array([0.0, 99, 50]), np.array([0.0, 20, 99])
    assert (wcs.pixel_to_world(x, y).separation(right.pixel_to_world(x, y)) < 1e-6 * u.arcsec).all()


def test_axes_that_depend_on_a_degenerate_one_are_left_out(header, caplog):
    header.update(
        {"NAXIS": 3, "NAXIS3": 1, "CTYPE3": "FREQ", "CRPIX3": 5.0, "CRVAL3": 1e9, "CDELT3": 1e6, "PC1_3": 0.1}
    )
    assert read_wcs(header, SHAPE, origin="a.fits") is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_mapping_goes_through_the_sky_between_frames(make_wcs):
    galactic = WCS(naxis=2)
    galactic.wcs.ctype = ["GLON-TAN", "GLAT-TAN"]
    sky = SkyCoord(150, 2, unit="deg").galactic
    galactic.wcs.crval = [sky.l.deg, sky.b.deg]
    galactic.wcs.crpix = [11, 21]
    galactic.wcs.cdelt = [-1e-4, 1e-4]
    x, y = map_pixels(make_wcs(), galactic, np.array([49.5]), np.array([49.5]))
    np.testing.assert_allclose([x[0], y[0]], [10, 20], atol=1e-6)


def test_wcs_that_is_not_two_dimensional_is_left_out():
    assert usable_wcs(WCS(naxis=1), SHAPE, origin="a.fits") is None
    spectral = WCS(naxis=3)
    spectral.wcs.ctype = ["RA---TAN", "DEC--TAN", "FREQ"]
    assert usable_wcs(spectral, SHAPE, origin="a.fits") is None


def test_quiet_hands_inner_messages_to_the_outermost_block(caplog):
    with caplog.at_level(logging.DEBUG), quiet("a.fits"):
        with quiet("inner"):
            warnings.warn("odd  thing", stacklevel=1)
        warnings.warn("odd thing", stacklevel=1)
    assert [record.getMessage() for record in caplog.records] == ["a.fits: odd thing"]


def test_quiet_lets_errors_through_and_restores_everything():
    filters = list(warnings.filters)
    with pytest.raises(KeyError), quiet("a.fits"):
        raise KeyError
    assert warnings.filters == filters
    assert not logging.getLogger("astropy").filters


def test_quiet_keeps_threads_apart():
    filters = list(warnings.filters)

    def work() -> None:
        for _ in range(50):
            with quiet():
                warnings.warn("something", stacklevel=1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == filters
