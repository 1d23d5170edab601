"""What is wrong with an image ends in a flag, a NaN or a clear message, never in a wrong number."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from known_skies import field_of, make_wcs

from astrogalaxy.catalog import decode_flags
from astrogalaxy.errors import ImageError
from astrogalaxy.images import Image, Section
from astrogalaxy.measurement import Sources, measure

X, Y = np.array([60.0, 30.0, 150.0]), np.array([60.0, 100.0, 100.0])
FLUX = 3000.0
UNIT = 10 ** (0.4 * 8.9)  # nanojansky at a zero point of 22.5


@pytest.fixture
def data() -> np.ndarray:
    """Three stars on a flat sky."""
    return (field_of((200, 200), X, Y, FLUX) + np.random.default_rng(1).normal(10, 1, (200, 200))).astype(np.float32)


def _measured(image: Image) -> tuple[dict[str, np.ndarray], list[tuple[str, ...]]]:
    table = measure(image, Sources.around(X, Y, side=12))
    return table, [decode_flags(value) for value in table["flags"]]


def test_border_of_nan(data: np.ndarray) -> None:
    data[:28], data[:, :28] = np.nan, np.nan
    table, flags = _measured(Image.read({"r": (data, make_wcs(data.shape))}, zeropoint=22.5))
    assert flags == [(), ("masked",), ()]
    np.testing.assert_allclose(table["flux_r"], FLUX * UNIT, rtol=0.05)


def test_boxes_without_end(data: np.ndarray) -> None:
    one, far = np.array([60.0]), np.array([np.inf])
    boxed = Sources(one, one, -far, far, one - 6, one + 6)
    plain = measure(Image.read(data), Sources.around(one, one, side=10), pixel_scale=0.4)
    assert measure(Image.read(data), boxed, pixel_scale=0.4)["flux_image"] == plain["flux_image"]


@pytest.mark.parametrize("value", [1e10, 1e25])
def test_damage_that_is_brighter_than_any_star_brings_no_warning(rng: np.random.Generator, value: float) -> None:
    x, y = (g.ravel() for g in np.meshgrid(np.arange(20.0, 190, 30), np.arange(20.0, 190, 30)))
    data = field_of((200, 200), x, y, FLUX) + rng.normal(10, 1, (200, 200))
    data += field_of((200, 200), [115.0], [110.0], value)
    sources = Sources.around(np.append(x, 115.0), np.append(y, 110.0), side=12)
    table = measure(Image.read(data, gain=2.0), sources, pixel_scale=0.4)
    assert table["flux_image"][-1] == pytest.approx(value, rel=0.1)


def test_weights_that_are_zero_or_negative(data: np.ndarray) -> None:
    weight = np.ones_like(data)
    weight[90:111, 20:41], weight[90:111, 140:161] = 0.0, -1.0
    image = Image.read({"r": (data, make_wcs(data.shape))}, weight={"r": weight}, zeropoint=22.5)
    table, flags = _measured(image)
    assert flags == [(), *[("masked", "missing_band", "bad_centroid")] * 2]
    assert np.isfinite(table["flux_r"]).tolist() == [True, False, False]


def test_weights_set_the_errors(data: np.ndarray) -> None:
    wcs, even, uneven = make_wcs(data.shape), np.ones_like(data), np.ones_like(data)
    uneven[:, 120:] = 0.25
    errors = [_measured(Image.read({"r": (data, wcs)}, weight=w))[0]["flux_aper_r_err"] for w in (even, uneven)]
    np.testing.assert_allclose(errors[1] / errors[0], [1, 1, 2], rtol=0.05)


def test_errors_at_the_edge_do_not_depend_on_the_section(rng: np.random.Generator) -> None:
    sigma = np.broadcast_to(1 + 6 * np.linspace(0, 1, 600) ** 2, (60, 600))
    x, y = np.arange(20.0, 590, 30), np.tile([2.0, 57.0], 10)[:19]
    image = Image.read(field_of((60, 600), x, y, FLUX) + rng.normal(size=(60, 600)) * sigma, weight=sigma**-2.0)
    sources = Sources.around(x, y, side=12)
    whole, part = (measure(image, sources, section=section) for section in (None, Section(0, 300, 0, 60)))
    inside = x < 200
    for name in ("flux_image_err", "flux_aper_image_err"):
        np.testing.assert_allclose(part[name][inside], whole[name][inside], rtol=1e-6)


def test_scale_of_weights_sets_no_errors(data: np.ndarray) -> None:
    wcs, even = make_wcs(data.shape), np.ones_like(data)
    errors = [_measured(Image.read({"r": (data, wcs)}, weight=w * even))[0]["flux_aper_r_err"] for w in (1, 0.1, 10)]
    np.testing.assert_allclose(errors, np.broadcast_to(errors[0], (3, 3)), rtol=0.05)


def test_gain_adds_photon_noise(data: np.ndarray) -> None:
    wcs = make_wcs(data.shape)
    without, with_gain = (
        _measured(Image.read({"r": (data, wcs)}, gain=g))[0]["flux_aper_r_err"][0] for g in (None, 2.0)
    )
    light = _measured(Image.read({"r": (data, wcs)}))[0]["flux_aper_r"][0]
    assert with_gain**2 - without**2 == pytest.approx(light / 2.0, rel=0.1)


def test_zero_point_missing_in_one_band(data: np.ndarray) -> None:
    wcs = make_wcs(data.shape)
    table, _ = _measured(Image.read({"g": (data, wcs), "r": (data, wcs)}, zeropoint={"r": 22.5}))
    assert np.isnan(table["mag_g"]).all()
    assert np.isfinite(table["mag_r"]).all()
    np.testing.assert_allclose(table["flux_g"] * UNIT, table["flux_r"], rtol=1e-5)


def test_zero_point_keyword_missing_in_one_band(data: np.ndarray) -> None:
    header = make_wcs(data.shape).to_header()
    bare = fits.PrimaryHDU(data, header)
    header["MAGZP"] = 22.5
    with pytest.raises(ImageError, match="band g: the header has no keyword 'MAGZP', given as zeropoint"):
        Image.read({"g": bare, "r": fits.PrimaryHDU(data, header)}, zeropoint="MAGZP")


def test_wcs_that_cannot_be_inverted(data: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    singular = WCS(naxis=2)
    singular.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    singular.wcs.crval, singular.wcs.crpix = [1.0, 2.0], [100.0, 100.0]
    singular.wcs.cd = [[1e-4, 1e-4], [1e-4, 1e-4]]
    table, flags = _measured(Image.read({"r": (data, singular)}, zeropoint=22.5))
    assert "band r: its WCS does not take pixels to the sky and back" in caplog.text
    assert flags == [(), (), ()]
    assert np.isnan(table["ra"]).all()
    np.testing.assert_allclose(table["flux_r"], FLUX * UNIT, rtol=0.05)
    with pytest.raises(ImageError, match="without a celestial WCS it cannot be aligned"):
        Image.read({"g": (data[:150], make_wcs((150, 200))), "r": (data, singular)})


def test_maps_of_a_wrong_shape(data: np.ndarray) -> None:
    wcs = make_wcs(data.shape)
    with pytest.raises(ImageError, match=r"weight map has shape \(100, 200\)"):
        Image.read({"r": (data, wcs)}, weight={"r": np.ones((100, 200))})
