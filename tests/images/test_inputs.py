"""Whatever a user hands in becomes the same image; what he handed in is left alone."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    Cutout2D,
    InverseVariance,
    NDData,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.utils.masked import Masked

from astrogalaxy.errors import ImageError
from astrogalaxy.images import Image, Section
from astrogalaxy.images.inputs import as_plane, with_bits

PART = Section(2, 9, 1, 6)


@pytest.fixture
def pixels(rng):
    return rng.normal(10, 1, (40, 50)).astype(np.float32)


@pytest.fixture
def frozen(pixels):
    """The same pixels, which nobody may write to."""
    pixels = pixels.copy()
    pixels.flags.writeable = False
    return pixels


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">i2", "u2", "?"])
def test_arrays_of_any_dtype(frozen, dtype):
    array = frozen.astype(dtype)
    array.flags.writeable = False
    part = as_plane(array).read(PART)
    np.testing.assert_array_equal(part, array[PART.slices].astype(np.float32))
    assert part.dtype.isnative
    part[:] = 0


def test_everything_reads_the_same(tmp_path, frozen, make_wcs):
    wcs = make_wcs()
    header = wcs.to_header()
    path = tmp_path / "a.fits"
    fits.writeto(path, frozen, header)
    with fits.open(path) as hdus:
        sources = [
            path,
            str(path),
            (path, 0),
            (path, "PRIMARY"),
            (frozen, wcs),
            (frozen, header),
            NDData(frozen, wcs=wcs),
            CCDData(frozen, unit="adu", wcs=wcs),
            (frozen * u.nJy, wcs),
            hdus,
            hdus[0],
        ]
        planes = [as_plane(source) for source in sources]
        for plane in planes:
            np.testing.assert_array_equal(plane.read(PART), frozen[PART.slices])
            assert plane.wcs.pixel_to_world(3, 4).separation(wcs.pixel_to_world(3, 4)) < 1e-6 * u.arcsec
    # HDUs stay readable after their file was closed.
    np.testing.assert_array_equal(planes[-1].read(PART), frozen[PART.slices])


def test_hdu_list_is_searched_like_a_file(pixels, make_wcs):
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels, make_wcs().to_header(), name="SCI")])
    np.testing.assert_array_equal(as_plane(hdus).read(PART), pixels[PART.slices])
    np.testing.assert_array_equal(as_plane(hdus, hdu="SCI").read(PART), pixels[PART.slices])
    with pytest.raises(ImageError, match="band g: no HDU 'ERR'"):
        as_plane(hdus, hdu="ERR", origin="band g")


def test_scaled_hdu(tmp_path):
    array = np.arange(200, dtype=np.uint16).reshape(10, 20) + 40000
    fits.writeto(tmp_path / "a.fits", array)
    with fits.open(tmp_path / "a.fits") as hdus:
        np.testing.assert_array_equal(as_plane(hdus).read(PART), array[PART.slices])


def test_dask_arrays_stay_lazy(pixels, make_wcs):
    dask_array = pytest.importorskip("dask.array")
    computed = []

    def look(block):
        computed.append(block.shape)
        return block

    lazy = dask_array.from_array(pixels, chunks=(10, 10)).map_blocks(look, dtype=pixels.dtype, meta=pixels[:0, :0])
    plane = as_plane((lazy, make_wcs()))
    assert computed == []
    np.testing.assert_array_equal(plane.read(PART), pixels[PART.slices])
    assert len(computed) == 1


@pytest.mark.parametrize(("module", "make"), [("pandas", "DataFrame"), ("torch", "tensor")])
def test_what_only_resembles_an_array_is_made_one(pixels, module, make):
    like = getattr(pytest.importorskip(module), make)(pixels)
    np.testing.assert_array_equal(as_plane(like).read(PART), pixels[PART.slices])


@pytest.mark.parametrize("unit", [1, u.nJy])
def test_masked_arrays_and_quantities_of_astropy(pixels, unit):
    mask = np.zeros(pixels.shape, dtype=bool)
    mask[2:4, 5] = True
    plane = as_plane(Masked(pixels * unit, mask=mask))
    assert np.argwhere(plane.mask).tolist() == [[2, 5], [3, 5]]
    np.testing.assert_array_equal(plane.read(Section.whole(pixels.shape)), np.asarray(pixels, np.float32))


def test_masked_array(pixels):
    masked = np.ma.MaskedArray(pixels, mask=pixels > 11)
    found = Image.read(masked).bands["image"].pixels()
    np.testing.assert_array_equal(found.bad, pixels > 11)


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_nddata_with_mask_and_uncertainty(frozen, make_wcs, kind):
    sigma = np.full(frozen.shape, 1.1)
    sigma[0, 0] = np.inf
    mask = frozen > 12
    mask.flags.writeable = False
    power = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2}[kind]
    found = Image.read(NDData(frozen, mask=mask, wcs=make_wcs(), uncertainty=kind(sigma**power)))
    pixels = found.bands["image"].pixels()
    np.testing.assert_allclose(pixels.noise[~pixels.bad], 1.1, rtol=1e-6)
    assert pixels.bad[0, 0]
    pixels.bad[0, 0] = mask[0, 0]
    np.testing.assert_array_equal(pixels.bad, mask)
    assert found.wcs is not None


@pytest.mark.parametrize(
    "uncertainty",
    [
        StdDevUncertainty(np.full((20, 30), 0.002), unit=u.uJy),
        VarianceUncertainty(np.full((20, 30), 4e-6), unit=u.uJy**2),
        InverseVariance(np.full((20, 30), 1 / 4e-6), unit=u.uJy**-2),
    ],
)
def test_an_uncertainty_in_another_unit_is_converted(uncertainty):
    pixels = np.random.default_rng(1).normal(scale=2, size=(20, 30))
    found = Image.read(NDData(pixels, unit=u.nJy, uncertainty=uncertainty))
    np.testing.assert_allclose(found.bands["image"].pixels().noise, 2, rtol=1e-6)


def test_an_uncertainty_of_something_else_is_refused(pixels):
    data = CCDData(pixels, unit=u.adu, uncertainty=StdDevUncertainty(np.ones(pixels.shape)))
    data.unit = u.nJy  # which astropy lets pass
    with pytest.raises(ImageError, match="band g: the unit of its uncertainty, adu, cannot be converted .* nJy"):
        Image.read({"g": data})


def test_uncertainty_of_unknown_kind_is_refused(pixels):
    with pytest.raises(ImageError, match="band g: the kind of its uncertainty"):
        Image.read({"g": NDData(pixels, uncertainty=UnknownUncertainty(pixels))})


@pytest.mark.parametrize(
    ("unit", "zeropoint", "gain"),
    [
        (u.nJy, 31.4, None),
        (u.uJy, 23.9, None),
        (u.Jy, 8.9, None),
        (u.adu, None, None),
        (u.electron, None, 1.0),
    ],
)
def test_units_calibrate(pixels, unit, zeropoint, gain):
    for source in (CCDData(pixels, unit=unit), pixels * unit):
        band = Image.read(source).bands["image"]
        assert band.zeropoint == (None if zeropoint is None else pytest.approx(zeropoint, abs=1e-3))
        assert band.gain == gain
        assert Image.read(source, zeropoint=25, gain=3).bands["image"].zeropoint == 25


@pytest.mark.parametrize(
    "wrong", [np.zeros(5), np.zeros((2, 3, 4)), np.zeros((0, 4)), 7, [["a"]], np.zeros((3, 3), complex)]
)
def test_what_is_no_image_is_refused(wrong):
    with pytest.raises(ImageError, match="band r: an image must"):
        Image.read({"r": wrong})


def test_hdu_without_pixels_is_refused():
    with pytest.raises(ImageError, match="band r: the HDU has no pixels"):
        Image.read({"r": fits.PrimaryHDU()})


@pytest.mark.parametrize("wrong", [None, [np.nan, None], [[1, 2], [3]], open])
def test_what_is_no_array_is_named(wrong):
    with pytest.raises(ImageError, match=r"band r: this \w+ is no image; give a path"):
        Image.read({"r": wrong})


def test_a_cutout_keeps_its_wcs(pixels, make_wcs):
    whole = Image.read((pixels, make_wcs())).wcs
    cutout = Cutout2D(pixels, (30, 20), (10, 16), wcs=make_wcs())
    image = Image.read({"r": cutout})
    assert image.shape == (10, 16)
    x, y = cutout.origin_original
    assert image.wcs.pixel_to_world(2, 3).separation(whole.pixel_to_world(x + 2, y + 3)).arcsec < 1e-6


@pytest.mark.parametrize("unit", [u.ABmag, u.mag, u.mag(u.ct), u.dex])
def test_magnitudes_are_no_pixels(pixels, unit):
    with pytest.raises(ImageError, match="band r: its pixels are in .*; give what adds up"):
        Image.read({"r": u.Quantity(pixels, unit) if unit == u.mag else pixels * unit})


def test_a_zero_point_from_the_unit_of_an_array(pixels, make_wcs):
    assert Image.read(pixels * u.nJy, zeropoint="auto").bands["image"].zeropoint == pytest.approx(31.4, abs=1e-3)
    ccd = CCDData(pixels, unit="MJy/sr", wcs=make_wcs(), meta=fits.Header({"BUNIT": "adu", "PIXAR_SR": 9.3e-14}))
    assert Image.read(ccd, zeropoint="auto").bands["image"].zeropoint == pytest.approx(26.48, abs=0.01)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"weight_type": "ivar"}, "weight_type must be one of .*, not 'ivar'"),
        ({"box": 0}, "box .*at least 1, not 0"),
        ({"box": -3}, "not -3"),
        ({"box": "a"}, "not 'a'"),
    ],
)
def test_settings_that_cannot_be(pixels, wrong, told):
    with pytest.raises(ImageError, match=f"band image: .*{told}"):
        Image.read(pixels, **wrong)


def test_an_uncertainty_says_itself_what_it_is(pixels):
    """The type of the maps of other bands is not its own."""
    nddata = NDData(pixels, uncertainty=StdDevUncertainty(np.full(pixels.shape, 1.05)))
    noise = [
        Image.read({"r": nddata}, weight_type=kind).bands["r"].pixels().noise for kind in ("inverse_variance", "rms")
    ]
    assert np.array_equal(*noise)


@pytest.mark.parametrize(("bits", "n_bad"), [(1, 2), ("CROSS", 2), ("mp_cross", 2), ([0, 1], 3), (np.array([0]), 1)])
def test_bits_of_a_mask_alone_or_in_a_list(pixels, bits, n_bad):
    mask = np.zeros(pixels.shape, np.int16)
    mask[0, :3] = 1, 2, 2
    image = Image.read(pixels, mask=(mask, fits.Header({"MP_CROSS": 1})), mask_bits=bits)
    assert image.bands["image"].pixels().bad.sum() == n_bad
    masked = np.ma.masked_array(np.zeros(pixels.shape, np.int16), mask == 2)
    assert Image.read(pixels, mask=masked, mask_bits=[3]).bands["image"].pixels().bad.sum() == 2
    with pytest.raises(ImageError, match="mask of band image: bits of a mask count from 0; -1 is none"):
        Image.read(pixels, mask=mask, mask_bits=[2, -1])


def test_planes_of_a_cube_of_the_user() -> None:
    cube = np.stack([np.full((20, 30), value, dtype=np.float32) for value in (100, 200, 300)])
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(cube, name="CUBE")])
    whole = Section.whole((20, 30))
    for source in (hdus, hdus["CUBE"]):
        assert as_plane(source, layer=1).read(whole).max() == 200
        for layer in (-1, 3):
            with pytest.raises(ImageError):
                as_plane(source, layer=layer)


def test_no_plane_before_the_first_of_a_file(tmp_path: Path) -> None:
    cube = np.stack([np.full((20, 30), value, dtype=np.float32) for value in (100, 200, 300)])
    fits.HDUList([fits.PrimaryHDU(np.full((20, 30), 7.0)), fits.ImageHDU(cube)]).writeto(tmp_path / "cube.fits")
    with pytest.raises(ImageError):
        as_plane(tmp_path / "cube.fits", hdu=1, layer=-1)


@pytest.mark.parametrize("end", ["", ".gz", ".bz2"])
def test_inverse_variances_beyond_float32_are_read_in_any_packing(tmp_path: Path, end: str) -> None:
    """Of images in erg/s/cm2/Hz."""
    path = tmp_path / f"weight.fits{end}"
    fits.writeto(path, np.full((40, 50), 1e56))
    assert as_plane(path).read(Section.whole((40, 50)), unit=1e56) == pytest.approx(1.0)
    tiled = tmp_path / "weight.fits.fz"
    fits.CompImageHDU(np.full((40, 50), 1e56), compression_type="GZIP_1").writeto(tiled, overwrite=True)
    assert as_plane(tiled).read(Section.whole((40, 50)), unit=1e56) == pytest.approx(1.0)


def test_seeing_has_a_unit_that_the_image_knows() -> None:
    pixels = np.random.default_rng(1).normal(size=(60, 80))
    assert Image.read(pixels, seeing=3 * u.pix).bands["image"].fwhm == 3.0
    for unit in (u.arcsec, u.s):
        with pytest.raises(ImageError, match="seeing must be in pixels where there is no WCS"):
            Image.read(pixels, seeing=0.8 * unit)


@pytest.mark.parametrize("kind", ["plain", "gzip", "tiled"])
@pytest.mark.parametrize(("bits", "wanted"), [(None, (1, 2, 1)), (["BAD", "SAT"], (1, 2, 0)), ([1], (1, 0, 0))])
def test_bits_of_a_mask_are_the_same_in_any_packing(
    tmp_path: Path, kind: str, bits: list | None, wanted: tuple
) -> None:
    pixels = np.zeros((40, 50), dtype=np.int32)
    pixels[5, 5], pixels[6, 6], pixels[7, 7] = 2, 4, 32
    header = fits.Header({"MP_BAD": 1, "MP_SAT": 2})
    hdu = fits.CompImageHDU(pixels, header) if kind == "tiled" else fits.PrimaryHDU(pixels, header)
    path = tmp_path / ("mask.fits.gz" if kind == "gzip" else "mask.fits")
    hdu.writeto(path)
    said = with_bits(as_plane(path), bits).read(Section.whole((40, 50)))
    assert (said[5, 5], said[6, 6], said[7, 7]) == wanted
    assert said.sum() == sum(wanted)
