"""Tests of astrogalaxy.images.givenpsf and psffile: point spreads that users give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from astrogalaxy.errors import ImageError
from astrogalaxy.images import GivenPsf, Image, read_psf
from astrogalaxy.images.psffile import list_psfs

SHAPE = (200, 300)
SIGMA = 1.6


def drawn(side: int = 41, *, x: float | None = None, y: float | None = None, sigma: float = SIGMA) -> np.ndarray:
    """A Gaussian; in the middle, unless it is told where."""
    middle = (side - 1) / 2
    dx, dy = np.arange(side) - (middle if x is None else x), np.arange(side)[:, None] - (middle if y is None else y)
    return np.exp(-(dx**2 + dy**2) / (2 * sigma**2))


def model(path: Path, masks: np.ndarray, **cards: Any) -> Path:
    """A file as PSFEx writes it."""
    column = fits.Column("PSF_MASK", f"{masks.size}E", dim=str(masks.shape[::-1]), array=masks[None].astype("f4"))
    hdu = fits.BinTableHDU.from_columns([column], name="PSF_DATA")
    hdu.header.update({"POLNAXIS": 2, "POLGRP1": 1, "POLGRP2": 1, "POLNAME1": "X_IMAGE", "POLNAME2": "Y_IMAGE"})
    hdu.header.update({"POLZERO1": 150.0, "POLZERO2": 100.0, "POLSCAL1": 300.0, "POLSCAL2": 200.0, "POLNGRP": 1})
    hdu.header.update({"POLDEG1": 1, "PSF_SAMP": 0.5, "PSFNAXIS": 3, **cards})
    hdu.header.update({f"PSFAXIS{n + 1}": size for n, size in enumerate(masks.shape[::-1])})
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
    return path


# -- stars that are drawn --------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "centre"), [(41, 20.0), (40, 19.5), (41, 20.4), (41, 19.0), (60, 27.2)])
@pytest.mark.parametrize("light", [1.0, 3e4, 1e-20])
def test_a_star_is_where_and_as_wide_as_it_is_said_to_be(side: int, centre: float, light: float) -> None:
    given = read_psf(light * drawn(side, x=centre), SHAPE)
    (x,), (y,), (stamp,) = given.stars(10)
    assert abs(x - 149.5) <= 1
    assert stamp.sum() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(
        stamp, drawn(21, x=10 + x - np.floor(x + 0.5), y=10 + y - np.floor(y + 0.5)) / (2 * np.pi * SIGMA**2), atol=1e-5
    )
    assert given.seeing == pytest.approx(2.355 * SIGMA, rel=0.03)
    assert given.fwhm < given.seeing


@pytest.mark.parametrize("fine", [2, 3, 4, 2.7, 0.8])
def test_finer_pixels_show_what_is_between_the_stars_own(fine: float) -> None:
    header = fits.Header({"OVERSAMP": fine})
    given = read_psf((drawn(81, x=40.3, sigma=SIGMA * fine), header), SHAPE)
    x, y, stamps = given.stars(8)
    assert len(x) == max(round(fine), 1) ** 2 if fine < 4 else 4
    for left, down, stamp in zip(x, y, stamps, strict=True):
        true = drawn(17, x=8 + left - np.floor(left + 0.5), y=8 + down - np.floor(down + 0.5)) / (2 * np.pi * SIGMA**2)
        np.testing.assert_allclose(stamp, true, atol=2e-4 if fine == round(fine) else 2e-3)
    assert given.seeing == pytest.approx(2.355 * SIGMA, rel=0.04)


def test_wings_may_be_negative_or_unknown() -> None:
    image = drawn() + np.random.default_rng(1).normal(0, 3e-4, (41, 41))
    image[0], image[:, -1] = np.nan, np.inf
    given = read_psf(image, SHAPE)
    assert given.seeing == pytest.approx(2.355 * SIGMA, rel=0.04)
    assert np.isfinite(given.stars(30)[2]).all()


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (np.zeros((21, 21)), "has no light"),
        (np.full((21, 21), np.nan), "has no light"),
        (-drawn(), "has no light"),
        (np.ones((21, 21)), "from its edge"),
        (drawn(x=1.0), "from its edge"),
        (drawn(y=40.0), "from its edge"),
        (drawn(11, sigma=4.0), "half of its light is within"),
        (drawn(sigma=0.2), "as of no star"),
        (drawn() + np.random.default_rng(1).normal(0, 0.2, (41, 41)), "noise"),
    ],
)
def test_what_is_no_point_spread_is_refused(tmp_path: Path, image: np.ndarray, problem: str) -> None:
    fits.writeto(tmp_path / "other.fits", image)
    with pytest.raises(ImageError, match=rf"other\.fits: this \d+ x \d+ image is none of a point spread.*{problem}"):
        read_psf(tmp_path / "other.fits", SHAPE)


# -- files -----------------------------------------------------------------------------------------


def test_images_in_files(tmp_path: Path) -> None:
    path = tmp_path / "psf.fits.gz"
    fits.writeto(path, drawn()[None])
    assert read_psf(path, SHAPE).seeing == pytest.approx(2.355 * SIGMA, rel=0.03)
    names = [fits.ImageHDU(drawn(), name="OVER"), fits.ImageHDU(drawn(sigma=2 * SIGMA), name="DET")]
    fits.HDUList([fits.PrimaryHDU(), *names]).writeto(tmp_path / "two.fits")
    with pytest.raises(ImageError, match=r"two\.fits: .*several \(1 OVER, 2 DET\); images\.psf_hdu"):
        read_psf(tmp_path / "two.fits", SHAPE)
    for hdu in ("DET", 2, "2", -1):
        assert read_psf((tmp_path / "two.fits", hdu), SHAPE).seeing == pytest.approx(4.71 * SIGMA, rel=0.03)
    for hdu in ("ELSE", 0, 7):
        with pytest.raises(ImageError, match=rf"two\.fits: HDU {hdu!r} is no point spread .* it has 1 OVER, 2 DET"):
            read_psf(tmp_path / "two.fits", SHAPE, hdu=hdu)


def test_files_without_one(tmp_path: Path) -> None:
    fits.writeto(tmp_path / "cube.fits", np.stack([drawn()] * 3))
    with pytest.raises(ImageError, match=r"cube\.fits: a file with one point spread .* this has none"):
        read_psf(tmp_path / "cube.fits", SHAPE)
    (tmp_path / "text.psf").write_text("no FITS")
    with pytest.raises(ImageError, match=r"text\.psf: not a readable FITS file"):
        read_psf(tmp_path / "text.psf", SHAPE)
    with pytest.raises(ImageError, match=r"gone\.psf: no such file"):
        read_psf(tmp_path / "gone.psf", SHAPE)
    with pytest.raises(ImageError, match="point spread of band r: an image of 3000 x 2 pixels is none"):
        Image.read({"r": np.zeros((90, 120))}, psf=np.ones((2, 3000)))
    with pytest.raises(ImageError, match="point spread of band r: .* must be 2-D"):
        Image.read({"r": np.zeros((90, 120))}, psf=np.zeros(9))
    for wrong in (0, -2, "four"):
        with pytest.raises(ImageError, match="OVERSAMP of a point spread must be a number above 0"):
            read_psf((drawn(), fits.Header({"OVERSAMP": wrong})), SHAPE)


def test_a_model_of_psfex_is_a_polynomial_of_the_position(tmp_path: Path) -> None:
    # its width grows with x alone; one is the first pixel
    wide = drawn(61, sigma=2 * 1.3 * SIGMA) / 1.3**2
    masks = np.stack([drawn(61, sigma=2 * SIGMA), wide - drawn(61, sigma=2 * SIGMA), 0 * wide])
    given = read_psf(model(tmp_path / "a.psf", masks), SHAPE)
    assert given.step == 0.5
    assert given.places.shape == (25, 2)
    middle = GivenPsf(given.images[12:13], given.places[12:13], 0.5, "middle")
    np.testing.assert_allclose(middle.places, [[149.5, 99.5]])
    np.testing.assert_allclose(middle.images[0], masks[0] + 0.5 / 300 * masks[1], atol=1e-6)
    at_right = GivenPsf(given.images[4:5], given.places[4:5], 0.5, "right").seeing
    assert at_right > middle.seeing > GivenPsf(given.images[:1], given.places[:1], 0.5, "left").seeing
    constant = read_psf(model(tmp_path / "b.psf", masks[:1], POLDEG1=0, POLNAXIS=0), SHAPE)
    assert constant.places.tolist() == [[149.5, 99.5]]


def test_models_of_psfex_that_are_not_understood(tmp_path: Path) -> None:
    masks = np.stack([drawn(61)] * 3)
    with pytest.raises(ImageError, match=r"a\.psf\[1\]: .* varies with X_WORLD and Y_WORLD"):
        read_psf(model(tmp_path / "a.psf", masks, POLNAME1="X_WORLD", POLNAME2="Y_WORLD"), SHAPE)
    with pytest.raises(ImageError, match=r"a\.psf\[1\]: PSF_MASK .* \(3, 61, 61\), .* POLDEG1 2"):
        read_psf(model(tmp_path / "a.psf", masks, POLDEG1=2), SHAPE)
    with pytest.raises(ImageError, match=r"PSF_MASK .* and POLDEG1 1000000000"):
        read_psf(model(tmp_path / "a.psf", masks, POLDEG1=10**9), SHAPE)
    with pytest.raises(ImageError, match="PSF_SAMP of a point spread must be a number above 0"):
        read_psf(model(tmp_path / "a.psf", masks, PSF_SAMP=0.0), SHAPE)


def test_a_model_of_psfex_is_that_of_galsim(tmp_path: Path) -> None:
    des = pytest.importorskip("galsim.des")
    rng = np.random.default_rng(4)
    masks = np.stack([drawn(61, sigma=3.0), *(0.2 * drawn(61, x=30 + dx, sigma=4.0) for dx in rng.normal(0, 2, 5))])
    path = model(tmp_path / "a.psf", masks, POLDEG1=2)
    given, theirs = read_psf(path, SHAPE), des.DES_PSFEx(str(path))
    for image, (x, y) in zip(given.images[::6], given.places[::6], strict=True):
        np.testing.assert_allclose(image, theirs.getPSFArray(theirs_position(x + 1, y + 1)), rtol=1e-5, atol=1e-6)


def theirs_position(x: float, y: float) -> Any:
    import galsim

    return galsim.PositionD(x, y)


@pytest.mark.parametrize("form", ["webbpsf", "stdpsf"])
def test_grids_of_images(tmp_path: Path, form: str) -> None:
    at = [(x, y) for y in (1, 200) for x in (1, 300)]
    planes = np.stack([drawn(81, sigma=4 * sigma) for sigma in (1.5, 1.7, 1.5, 1.7)])
    header = fits.Header({"OVERSAMP": 4})
    if form == "webbpsf":
        header.update({f"DET_YX{n}": f"({y - 1}, {x - 1})" for n, (x, y) in enumerate(at)})
    else:
        header.update({"NXPSFS": 2, "NYPSFS": 2, "IPSFX01": 1, "IPSFX02": 300, "JPSFY01": 1, "JPSFY02": 200})
    fits.writeto(path := tmp_path / "grid.fits", planes, header)
    assert list_psfs(path) == [0]
    given = read_psf(path, SHAPE)
    assert given.step == 0.25
    assert sorted(map(tuple, given.places.tolist())) == [(0, 0), (0, 199), (299, 0), (299, 199)]
    narrow, wide = (
        GivenPsf(given.images[given.places[:, 0] == x][:1], given.places[:1], 0.25, "") for x in (0.0, 299.0)
    )
    assert (narrow.seeing, wide.seeing) == pytest.approx((3.53, 4.0), rel=0.04)


# -- bands -----------------------------------------------------------------------------------------


def test_bands_may_have_one_each_or_none(tmp_path: Path) -> None:
    sky = np.random.default_rng(1).normal(0, 1, SHAPE)
    fits.writeto(tmp_path / "psf.fits", drawn())
    image = Image.read({"g": sky, "r": sky}, psf={"r": tmp_path / "psf.fits"})
    assert image.bands["g"].given_psf is None
    assert image.bands["r"].given_psf.origin == str(tmp_path / "psf.fits")
    assert image.bands["r"].altered(lambda _, pixels: pixels).given_psf is image.bands["r"].given_psf
    both = Image.read({"g": sky, "r": sky}, psf=drawn())
    assert all(band.given_psf is not None for band in both.bands.values())
    with pytest.raises(ImageError, match="psf is given for i"):
        Image.read({"g": sky, "r": sky}, psf={"i": drawn()})


def test_the_seeing_of_a_field_without_stars_is_that_of_the_point_spread() -> None:
    sky = np.random.default_rng(1).normal(0, 1, SHAPE)
    band = Image.read({"r": sky}, psf=drawn(), seeing=9.0).bands["r"]
    assert band.fwhm == band.given_psf.fwhm
    assert band.seeing == pytest.approx(band.given_psf.seeing)
    assert len(band.stars) == 0


def test_grids_that_are_not_understood(tmp_path: Path) -> None:
    planes = np.stack([drawn()] * 3)
    fits.writeto(tmp_path / "a.fits", planes, fits.Header({"OVERSAMP": 1, "DET_YX0": "(1, 2)", "DET_YX1": "(1, 2)"}))
    with pytest.raises(ImageError, match=r"a\.fits: DET_YX of these 3 point spreads must be pairs"):
        read_psf(tmp_path / "a.fits", SHAPE)
    fits.writeto(tmp_path / "b.fits", planes, fits.Header({"NXPSFS": 3, "NYPSFS": 1}))
    with pytest.raises(ImageError, match=r"b\.fits: photutils does not read"):
        read_psf(tmp_path / "b.fits", SHAPE)
