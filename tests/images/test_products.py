"""Images as observatories deliver them: several detectors, maps in the same file, bits, cubes, units, odd scales."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astrogalaxy.config import SurveyConfig
from astrogalaxy.config.images import ImagesSection
from astrogalaxy.errors import ImageError
from astrogalaxy.images import Image
from astrogalaxy.images.fields import find_fields, open_field, unread_parts
from astrogalaxy.images.fitsfile import find_plane
from astrogalaxy.images.tiling import Section
from astrogalaxy.images.zeropoint import zeropoint_of

SHAPE = (100, 120)
STACK = {"BSOFTEN": 120.0, "BOFFSET": 3.0, "EXPTIME": 1000.0}


@pytest.fixture
def header(make_wcs: Callable[..., WCS]) -> Callable[..., fits.Header]:
    """Header of a detector that lies so many pixels beside the first one."""

    def make(beside: float = 0.0, **cards: Any) -> fits.Header:
        made = make_wcs(centre=(60 - beside, 50)).to_header()
        made.update(cards)
        return made

    return make


@pytest.fixture
def sky(rng: np.random.Generator) -> Callable[..., np.ndarray]:
    def make(level: float = 100.0, noise: float = 2.0) -> np.ndarray:
        return rng.normal(level, noise, SHAPE).astype(np.float32)

    return make


def images_of(folder: Path, **keys: Any) -> ImagesSection:
    keys = {
        key: f"{folder}/{value}" if key in {"path", "psf", "mask", "weight"} else value for key, value in keys.items()
    }
    return SurveyConfig.from_dict({"name": "test", "images": {"bands": ["r"], **keys}}).images


def write(path: Path, *parts: tuple[str, Any, fits.Header], compress: bool = False) -> None:
    kind: Any = fits.CompImageHDU if compress else fits.ImageHDU
    fits.HDUList([fits.PrimaryHDU(), *(kind(data, head, name=name) for name, data, head in parts)]).writeto(path)


# -- several detectors -----------------------------------------------------------------------------


@pytest.fixture
def camera(tmp_path: Path, sky: Any, header: Any) -> Path:
    """An exposure of three detectors, and its masks and weights in files whose detectors come in another order."""
    names = ["S29", "S30", "N4"]
    heads = {name: header(200 * n, MAGZERO=25.0 + n) for n, name in enumerate(names)}
    data = {name: sky(100 * (n + 1)) for n, name in enumerate(names)}
    bad = {name: np.eye(*SHAPE, k=n).astype("int16") for n, name in enumerate(names)}
    write(tmp_path / "a-ooi.fits", *((name, data[name], heads[name]) for name in names), compress=True)
    write(tmp_path / "a-ood.fits", *((name, bad[name], heads[name]) for name in names[::-1]))
    write(tmp_path / "a-oow.fits", *((name, np.full(SHAPE, 0.25, "f4"), heads[name]) for name in names[::-1]))
    return tmp_path


def test_other_detectors_of_a_file_are_not_passed_over_in_silence(camera: Path) -> None:
    images = images_of(camera, path="{field}-ooi.fits")
    (field,) = find_fields(images)
    (said,) = unread_parts(open_field(field, images).bands["r"], images)
    assert "a-ooi.fits[1]: is read alone, though extension 2 S30 of the file shows another part of the sky" in said
    assert "set images.hdu to '*' for each" in said
    named = images_of(camera, path="{field}-ooi.fits", hdu="S30")
    assert unread_parts(open_field(field, named).bands["r"], named) == []


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_other_detectors_behind_a_primary_image_are_not_passed_over(
    tmp_path: Path, sky: Any, header: Any, suffix: str
) -> None:
    path = tmp_path / f"a-r.fits{suffix}"
    first, second = fits.PrimaryHDU(sky(), header()), fits.ImageHDU(sky(), header(200), name="S30")
    table = fits.BinTableHDU.from_columns([fits.Column("n", "J", array=np.arange(5))])
    images = images_of(tmp_path, path=f"{{field}}-r.fits{suffix}")

    def said() -> list[str]:
        return unread_parts(open_field(find_fields(images)[0], images).bands["r"], images)

    for hdus in ([first], [first, table]):
        fits.HDUList(hdus).writeto(path, overwrite=True)
        assert said() == []
    fits.HDUList([first, second]).writeto(path, overwrite=True)
    assert len(said()) == 1
    assert "is read alone, though extension 1 S30 of the file shows another part of the sky" in said()[0]


def test_damage_behind_the_image_is_told_as_its_pixels_are_read(tmp_path: Path, sky: Any, header: Any) -> None:
    path = tmp_path / "a-r.fits.gz"
    fits.HDUList([fits.PrimaryHDU(sky(), header()), fits.ImageHDU(sky(), header(200))]).writeto(path)
    whole = path.read_bytes()
    images = images_of(tmp_path, path="{field}-r.fits.gz")
    for rest in (b"", bytes(100) + whole[len(whole) // 2 + 100 :]):
        path.write_bytes(whole[: len(whole) // 2] + rest)
        band = open_field(find_fields(images)[0], images).bands["r"]
        assert unread_parts(band, images) == []
        with pytest.raises(ImageError, match=r"a-r\.fits\.gz: truncated or damaged"):
            band.pixels()


def test_maps_of_the_same_sky_are_no_other_detectors(tmp_path: Path, sky: Any, header: Any) -> None:
    write(tmp_path / "a-r.fits", ("SCI", sky(), header()), ("WHT", sky(), header()), ("CTX", sky()[:50], header()))
    images = images_of(tmp_path, path="{field}-r.fits")
    assert unread_parts(open_field(find_fields(images)[0], images).bands["r"], images) == []


def test_each_detector_is_a_field_with_its_own_maps_and_zero_point(camera: Path) -> None:
    images = images_of(
        camera, path="{field}-ooi.fits", hdu="*", mask="{field}-ood.fits", weight="{field}-oow.fits",
        zeropoint="MAGZERO",
    )  # fmt: skip
    fields = find_fields(images)
    assert [field.name for field in fields] == ["a-S29", "a-S30", "a-N4"]
    for n, field in enumerate(fields):
        band = open_field(field, images).bands["r"]
        assert band.zeropoint == 25 + n
        assert band.mesh.background().mean() == pytest.approx(100 * (n + 1), rel=0.01)
        assert band.pixels().bad[0, n], "the mask of the same detector"
        assert not band.pixels().bad[0, n + 1]


def test_a_pattern_chooses_detectors(camera: Path) -> None:
    images = images_of(camera, path="{field}-ooi.fits", hdu="S*")
    assert [field.name for field in find_fields(images)] == ["a-S29", "a-S30"]
    assert [field.stem for field in find_fields(images)] == ["a", "a"]


def test_extensions_of_one_name_are_told_by_their_version(tmp_path: Path, sky: Any, header: Any) -> None:
    parts = []
    for version in (1, 2):
        head = header(300 * version, EXTVER=version)
        flagged = np.zeros(SHAPE, "int16")
        flagged[version] = 4
        flagged[50 + version] = 1024
        parts += [("SCI", sky(10 * version), head), ("DQ", flagged, head)]
    write(tmp_path / "a_flc.fits", *parts)
    second = find_plane(tmp_path / "a_flc.fits", hdu="SCI,2")
    assert second.index == 3
    alone = images_of(tmp_path, path="{field}_flc.fits")
    (said,) = unread_parts(open_field(find_fields(alone)[0], alone).bands["r"], alone)
    assert "set images.hdu to 'SCI*' for each" in said
    images = images_of(
        tmp_path, path="{field}_flc.fits", hdu="SCI*", mask="{field}_flc.fits", mask_hdu="DQ*", mask_bits=[2]
    )
    fields = find_fields(images)
    assert [field.name for field in fields] == ["a-SCI-1", "a-SCI-2"]
    for version, field in enumerate(fields, start=1):
        bad = open_field(field, images).bands["r"].pixels().bad
        assert np.flatnonzero(bad.all(axis=1)).tolist() == [version]


def test_detectors_have_point_spreads_by_their_order(camera: Path) -> None:
    def gaussian(sigma: float) -> np.ndarray:
        return np.exp(-((np.arange(-15, 16) ** 2 + np.arange(-15, 16)[:, None] ** 2) / (2 * sigma**2)))

    def model(sigma: float) -> fits.BinTableHDU:
        masks = fits.Column("PSF_MASK", "961E", dim="(31, 31, 1)", array=gaussian(sigma)[None, None].astype("f4"))
        return fits.BinTableHDU.from_columns([masks], fits.Header({"PSF_SAMP": 1.0, "POLNAXIS": 0}), name="PSF_DATA")

    fits.HDUList([fits.PrimaryHDU(), *map(model, (1.5, 2.0, 2.5))]).writeto(camera / "a.psf")
    fits.writeto(camera / "all.fits", gaussian(2.0))
    keys = {"path": "{field}-ooi.fits", "hdu": "*"}

    def seeings(**psf: object) -> list[float]:
        images = images_of(camera, **keys, **psf)
        return [open_field(field, images).bands["r"].given_psf.seeing for field in find_fields(images)]

    assert seeings(psf="{field}.psf") == pytest.approx([3.53, 4.71, 5.89], rel=0.03)
    assert seeings(psf="all.fits") == pytest.approx([4.71] * 3, rel=0.03)
    assert seeings(psf="{field}.psf", psf_hdu=3) == pytest.approx([5.89] * 3, rel=0.03)
    fits.HDUList([fits.PrimaryHDU(), *map(model, (1.5, 2.0))]).writeto(camera / "a.psf", overwrite=True)
    with pytest.raises(ImageError, match=r"a\.psf: .* several \(1 PSF_DATA, 2 PSF_DATA\); images\.psf_hdu"):
        seeings(psf="{field}.psf")


def test_a_detector_that_a_band_lacks_is_named(camera: Path) -> None:
    write(camera / "a-g.fits", ("S29", np.ones(SHAPE, "f4"), find_plane(camera / "a-ooi.fits", hdu="S29").header))
    (camera / "a-ooi.fits").rename(camera / "a-r.fits")
    keys = {"path": f"{camera}/{{field}}-{{band}}.fits", "bands": ["g", "r"], "hdu": "*"}
    images = SurveyConfig.from_dict({"name": "test", "images": keys}).images
    fields = {field.name: field for field in find_fields(images)}
    assert list(fields) == ["a-S29", "a-S30", "a-N4"]
    with pytest.raises(ImageError, match="no HDU 'S30'"):
        open_field(fields["a-S30"], images, bands=["g"])


# -- maps ------------------------------------------------------------------------------------------


def test_an_image_is_not_its_own_map(tmp_path: Path, sky: Any, header: Any) -> None:
    path = tmp_path / "drc.fits"
    write(path, ("SCI", sky(), header()), ("WHT", np.full(SHAPE, 0.25, "f4"), header()))
    for key in ("mask", "weight"):
        with pytest.raises(ImageError, match=rf"is the image itself; .* images\.{key}_hdu"):
            Image.read({"r": path}, **{key: path})
    band = Image.read({"r": path}, weight=path, weight_hdu="WHT").bands["r"]
    assert band.pixels().noise == pytest.approx(2)


def test_an_image_on_another_scale_is_not_its_own_map_either(tmp_path: Path, sky: Any, header: Any) -> None:
    write(tmp_path / "stack.fits", ("SCI", sky(0.5, 0.1), header(**STACK)))
    with pytest.raises(ImageError, match="is the image itself"):
        Image.read(tmp_path / "stack.fits", weight=tmp_path / "stack.fits")


def test_a_map_of_another_detector_is_refused(camera: Path) -> None:
    with pytest.raises(ImageError, match=r"a-ood.fits\[1\]: this mask shows another part of the sky.*images.mask_hdu"):
        Image.read({"r": camera / "a-ooi.fits"}, hdu="S29", mask=camera / "a-ood.fits")


@pytest.mark.parametrize("kind", ["plain", "tiled", "gzip", "array"])
def test_only_some_bits_are_bad(tmp_path: Path, sky: Any, header: Any, kind: str) -> None:
    bits = np.zeros(SHAPE, "int32")
    bits[3], bits[4], bits[5], bits[6] = 1 << 5, 1 << 0, (1 << 30) | 1, 1 << 30
    path: Any = tmp_path / "mask.fits"
    write(path, ("MASK", bits, header(MP_BAD=0, MP_SAT=1, MP_CR=5)), compress=kind == "tiled")
    if kind == "gzip":
        path.with_suffix(".gz").write_bytes(gzip.compress(path.read_bytes()))
        path = path.with_suffix(".gz")
    given: list[Any] = [[0, 1]] if kind == "array" else [[0, 1], ["BAD", "SAT"]]
    for chosen in given:
        image = Image.read({"r": sky()}, mask=bits if kind == "array" else path, mask_bits=chosen)
        assert np.flatnonzero(image.bands["r"].pixels().bad.all(axis=1)).tolist() == [4, 5]


def test_unsigned_bits(tmp_path: Path, sky: Any) -> None:
    bits = np.zeros(SHAPE, "uint16")
    bits[3], bits[4] = 1 << 15, 1
    fits.writeto(tmp_path / "mask.fits", bits)
    bad = Image.read({"r": sky()}, mask=tmp_path / "mask.fits", mask_bits=[15]).bands["r"].pixels().bad
    assert np.flatnonzero(bad.all(axis=1)).tolist() == [3]


def test_a_mask_plane_that_is_not_there_is_named(tmp_path: Path, sky: Any, header: Any) -> None:
    write(tmp_path / "mask.fits", ("MASK", np.zeros(SHAPE, "int32"), header(MP_BAD=0, MP_SAT=1)))
    with pytest.raises(ImageError, match="no mask plane 'CLOUD'; it has BAD, SAT"):
        Image.read({"r": sky()}, mask=tmp_path / "mask.fits", mask_bits=["CLOUD"])


@pytest.mark.parametrize(
    ("kind", "of_noise"),
    [
        ("inverse_variance", lambda noise: 1 / noise**2),
        ("variance", lambda noise: noise**2),
        ("rms", lambda noise: noise),
        ("relative", lambda noise: 2000 / noise**2),
    ],
)
def test_what_weight_maps_hold(rng: np.random.Generator, kind: str, of_noise: Callable[..., Any]) -> None:
    noise = np.where(np.arange(300) < 150, 0.02, 0.03) * np.ones((200, 1))
    weight = of_noise(noise)
    empty = {"variance": np.inf, "rms": 1e20}.get(kind, 0.0)
    weight[5], weight[6] = empty, np.nan
    pixels = Image.read(rng.normal(0, noise), weight=weight, weight_type=kind).bands["image"].pixels()
    assert np.flatnonzero(pixels.bad.all(axis=1)).tolist() == [5, 6]
    assert pixels.noise[20:, :140] == pytest.approx(0.02, rel=0.05)
    assert pixels.noise[20:, 160:] == pytest.approx(0.03, rel=0.05)


@pytest.mark.parametrize(("said", "held"), [("inverse_variance", 2), ("variance", -2), ("inverse_variance", 1)])
def test_a_map_that_is_turned_over_is_refused(rng: np.random.Generator, said: str, held: int) -> None:
    """Where the noise is near 1 in image units, a variance is as large as its inverse."""
    noise = np.where(np.arange(512) < 256, 0.8, 1.3) * np.ones((512, 1))
    band = Image.read(rng.normal(0, noise), weight=noise**held, weight_type=said).bands["image"]
    with pytest.raises(ImageError, match=r"less noise where the pixels of .* have more; .* images.weight_type"):
        band.pixels()


# -- cubes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "tiled", "gzip"])
def test_planes_of_a_cube(tmp_path: Path, rng: np.random.Generator, header: Any, kind: str) -> None:
    cube = np.stack([rng.normal(level, 5, SHAPE) for level in (900, 1900, 2900)]).astype("uint16")
    path = tmp_path / "colour.fits"
    if kind == "tiled":
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(cube, header())]).writeto(path)
    else:
        fits.writeto(path, cube, header())
    if kind == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes()))
    keys = {"path": str(path), "bands": ["b", "g", "r"], "plane": {"b": 2, "g": 1, "r": 0}}
    images = SurveyConfig.from_dict({"name": "test", "images": keys}).images
    image = open_field(find_fields(images)[0], images)
    assert image.wcs is not None
    for band, plane in keys["plane"].items():
        assert image.bands[band].mesh.background().mean() == pytest.approx(900 + 1000 * plane, abs=2)
        part = image.bands[band].exposure.plane.read(Section(3, 9, 4, 6))
        np.testing.assert_array_equal(part, cube[plane, 4:6, 3:9].astype("f4"))


def test_a_cube_is_refused_with_the_key_that_helps(tmp_path: Path, header: Any) -> None:
    fits.writeto(tmp_path / "colour.fits", np.zeros((3, *SHAPE), "uint16"), header())
    with pytest.raises(ImageError, match=r"no 2-D image with pixels; .*; images.plane names the plane of a cube"):
        find_plane(tmp_path / "colour.fits")
    with pytest.raises(ImageError, match=r"plane 3 of a cube is wanted"):
        find_plane(tmp_path / "colour.fits", layer=3)


def test_sip_of_a_cube_is_kept(tmp_path: Path, header: Any) -> None:
    cards = header()
    cards["CTYPE1"], cards["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    cards.update({"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5, "B_0_2": 1e-5})
    fits.writeto(tmp_path / "colour.fits", np.zeros((3, *SHAPE), "int16"), cards)
    wcs = find_plane(tmp_path / "colour.fits", layer=0).wcs
    assert wcs is not None
    assert wcs.sip is not None


# -- units -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cards", "wanted"),
    [
        ({"BUNIT": "nJy"}, 31.4),
        ({"BUNIT": "nanomaggy"}, 22.5),
        ({"BUNIT": "nanomaggies"}, 22.5),
        ({"BUNIT": "MJy/sr", "PIXAR_SR": 9.31e-14}, 26.48),
        ({"BUNIT": "MJy/sr"}, 22.46),  # pixels of 0.4 arcsec
        # the zero point that STScI gives for ACS/WFC F606W and these numbers
        ({"BUNIT": "ELECTRONS/S", "PHOTFLAM": 7.8711e-20, "PHOTPLAM": 5921.98}, 26.49),
        ({"BUNIT": "ELECTRONS", "PHOTFLAM": 7.8711e-20, "PHOTPLAM": 5921.98, "EXPTIME": 100.0}, 31.49),
        ({"BUNIT": "ADU", "FLUXMAG0": 10**10.8}, 27.0),
        (STACK, 32.5),
        ({"BUNIT": "adu", "EXPTIME": 30.0}, None),
        ({"BUNIT": "ELECTRONS/S", "PHOTFLAM": 7.8711e-20}, None),
        ({"BUNIT": "ELECTRONS/S", "PHOTPLAM": 5921.98}, None),
        ({"BUNIT": "mag", "PHOTFLAM": 7e-20, "PHOTPLAM": 5921.98}, None),
        ({}, None),
    ],
)
def test_zero_points_that_headers_tell(header: Any, cards: dict[str, Any], wanted: float | None) -> None:
    told = zeropoint_of(Image.read((np.zeros(SHAPE), header(**cards))).bands["image"].exposure.plane)
    assert told == (None if wanted is None else pytest.approx(wanted, abs=0.01))


def test_auto_needs_a_unit(header: Any, sky: Any) -> None:
    image = Image.read((sky(), header(BUNIT="nJy")), zeropoint="auto")
    assert image.bands["image"].zeropoint == pytest.approx(31.4)
    with pytest.raises(ImageError, match=r"zeropoint is auto, but .* \(BUNIT 'adu'\).*; give a number or a keyword"):
        Image.read((sky(), header(BUNIT="adu")), zeropoint="auto")


def test_sums_of_keywords(header: Any, sky: Any) -> None:
    source = (sky(), header(MAGZPT=23.0, EXPTIME=10.0, GAIN=4.2, NJITTER=6))
    band = Image.read(source, zeropoint="MAGZPT + 2.5*log10(EXPTIME) + 1.85", gain="GAIN*NJITTER").bands["image"]
    assert (band.zeropoint, band.gain) == pytest.approx((27.35, 25.2))
    with pytest.raises(ImageError, match="the header has no keyword 'NCOMB', given as gain: GAIN\\*NCOMB"):
        Image.read(source, gain="GAIN*NCOMB")
    with pytest.raises(ImageError, match="zeropoint: MAGZPT/\\(GAIN-GAIN\\) cannot be calculated"):
        Image.read(source, zeropoint="MAGZPT/(GAIN-GAIN)")


def test_stacks_on_an_asinh_scale_are_read_linear(header: Any, sky: Any) -> None:
    """As Pan-STARRS delivers them; their weight maps, of variances, too."""
    flux = sky(50, 10)

    def scaled(values: Any) -> Any:
        return np.arcsinh((values - 3.0) / 240.0) / (0.4 * np.log(10))

    cards = header(**STACK)
    maps = {"weight": (scaled(np.full(SHAPE, 100.0)), cards), "weight_type": "variance"}
    band = Image.read((scaled(flux), cards), zeropoint="auto", **maps).bands["image"]
    assert band.zeropoint == 32.5
    pixels = band.pixels()
    assert pixels.noise == pytest.approx(10, rel=1e-3)
    assert pixels.data + band.mesh.background() == pytest.approx(flux, abs=1e-2)


def test_a_file_of_roman_is_called_asdf(tmp_path: Path) -> None:
    path = tmp_path / "r0000101001001001001_0001_wfi01_f158_cal.asdf"
    path.write_bytes(b"#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n%YAML 1.1\n")
    with pytest.raises(ImageError, match=r"wfi01_f158_cal\.asdf: an ASDF file .* only FITS is read"):
        find_plane(path)
