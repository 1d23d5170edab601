"""Every format a FITS image comes in reads to the same pixels, or is refused with the file's name."""

from __future__ import annotations

import bz2
import errno
import gzip
import logging
import lzma
import os
import pickle
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from astrogalaxy.errors import ImageError
from astrogalaxy.images import Section, extensions, fileindex, fitsfile
from astrogalaxy.images.extensions import list_hdus
from astrogalaxy.images.fitsfile import FitsPlane, find_plane
from astrogalaxy.images.inputs import as_plane
from astrogalaxy.images.quiet import quiet

PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
WHOLE = Section(0, 40, 0, 30)


@pytest.fixture
def pixels(rng):
    return rng.normal(100, 5, (30, 40)).astype(np.float32)


@pytest.fixture
def packed(tmp_path, pixels, make_wcs):
    """Writes the pixels, with a WCS or without, compressed by suffix."""

    def write(suffix: str, *, wcs: bool = True) -> Path:
        plain, path = tmp_path / "plain.fits", tmp_path / f"image.fits{suffix}"
        fits.writeto(plain, pixels, make_wcs().to_header() if wcs else None, overwrite=True)
        path.write_bytes(PACKERS[suffix](plain.read_bytes()))
        return path

    return write


def check(plane, expected):
    """Whole and section are native, contiguous, own their memory and agree."""
    ny, nx = expected.shape
    whole = plane.read(Section(0, nx, 0, ny))
    np.testing.assert_array_equal(whole, expected)
    assert whole.dtype == np.float32
    assert whole.dtype.isnative
    assert whole.flags.c_contiguous
    assert whole.flags.writeable
    part = Section(nx // 3, nx, ny // 4, max(ny // 2, ny // 4 + 1))
    np.testing.assert_array_equal(plane.read(part), expected[part.slices])
    whole[:] = -1
    np.testing.assert_array_equal(plane.read(part), expected[part.slices])


@given(
    array=st.sampled_from(["u1", "<i2", ">i2", "<i4", ">i4", "<i8", "<f4", ">f4", "<f8", ">f8"]).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
            elements=hnp.from_dtype(np.dtype(dtype), allow_nan=True, allow_infinity=True),
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_any_dtype_and_byte_order(array):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.fits"
        fits.writeto(path, array)
        with np.errstate(over="ignore", invalid="ignore"):
            check(find_plane(path), array.astype(np.float32))


@given(
    stored=hnp.arrays(np.int16, (6, 7)),
    zero=st.sampled_from([0.0, 32768.0, -7.25, 1e6]),
    scale=st.sampled_from([1.0, 0.5, -2.0, 1e-3]),
    blank=st.none() | st.integers(-3, 3),
)
@settings(max_examples=60, deadline=None)
def test_scaled_integers(stored, zero, scale, blank):
    stored[0, 0] = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.fits"
        fits.writeto(path, stored)
        header = {"BZERO": zero, "BSCALE": scale} | ({} if blank is None else {"BLANK": blank})
        for key, value in header.items():
            with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
                hdus[0].header[key] = value
        expected = stored * scale + zero
        if blank is not None:
            expected[stored == blank] = np.nan
        check(find_plane(path), expected.astype(np.float32))


def test_unsigned_integers(tmp_path):
    array = np.arange(65000, 65000 + 30, dtype=np.uint16).reshape(5, 6)
    fits.writeto(tmp_path / "image.fits", array)
    check(find_plane(tmp_path / "image.fits"), array.astype(np.float32))


@pytest.mark.parametrize("wcs", [True, False])
@pytest.mark.parametrize("suffix", PACKERS)
def test_packed_files(packed, pixels, suffix, wcs):
    plane = find_plane(packed(suffix, wcs=wcs))
    assert (plane.wcs is not None) is wcs
    check(plane, pixels)


def test_compression_is_told_by_content_not_by_name(packed, pixels, tmp_path):
    check(find_plane(packed(".bz2").rename(tmp_path / "no-suffix")), pixels)


@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1"])
def test_tile_compressed_integers(tmp_path, kind):
    array = (np.arange(30 * 40).reshape(30, 40) % 251).astype(np.int16)
    fits.CompImageHDU(array, compression_type=kind).writeto(tmp_path / "image.fits.fz")
    check(find_plane(tmp_path / "image.fits.fz"), array.astype(np.float32))


def test_tile_compressed_floats_with_nan_read_as_astropy_reads_them(tmp_path, pixels):
    pixels[3, 4] = np.nan
    path = tmp_path / "image.fits.fz"
    fits.CompImageHDU(pixels, compression_type="RICE_1", quantize_level=16).writeto(path)
    check(find_plane(path), fits.getdata(path))


@pytest.mark.parametrize("tile", [None, (7, 9), (4, 40)])
@pytest.mark.parametrize("strip", [1, 500, 10**6])
def test_large_tile_compressed_images_are_read_by_section(tmp_path, pixels, monkeypatch, tile, strip):
    path = tmp_path / "image.fits.fz"
    fits.CompImageHDU(pixels, compression_type="GZIP_2", quantize_level=0, tile_shape=tile).writeto(path)
    monkeypatch.setattr(fitsfile, "_DECODE_WHOLE_BYTES", 0)
    monkeypatch.setattr(fitsfile, "_STRIP_PIXELS", strip)
    monkeypatch.setattr(fitsfile.FitsPlane, "_unpacked", None)
    check(find_plane(path), pixels)


@pytest.mark.parametrize("in_memory", [0, 2**20])
def test_tile_compression_within_gzip(tmp_path, pixels, monkeypatch, in_memory):
    monkeypatch.setattr(fitsfile, "_IN_MEMORY_BYTES", in_memory)
    fits.CompImageHDU(pixels, compression_type="GZIP_2", quantize_level=0).writeto(tmp_path / "image.fz")
    path = tmp_path / "image.fz.gz"
    path.write_bytes(gzip.compress((tmp_path / "image.fz").read_bytes()))
    check(find_plane(path), pixels)


def test_large_packed_files_unpack_to_disk(packed, pixels, monkeypatch):
    monkeypatch.setattr(fitsfile, "_IN_MEMORY_BYTES", 0)
    plane = find_plane(packed(".bz2"))
    check(plane, pixels)
    assert plane._unpacked().dtype == np.dtype(">f4")


def test_no_room_to_unpack_is_no_damage_of_the_file(packed, monkeypatch):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fitsfile, "_IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    plane = find_plane(packed(".gz"))
    with pytest.raises(ImageError, match=r"image.fits.gz: no room in .* \(No space left on device\).* set TMPDIR"):
        plane.read(WHOLE)


def test_a_file_that_is_cut_off_while_it_is_read_ends_no_process(packed, monkeypatch):
    """What is mapped and then gone is a signal that ends the process, and so is what a disk or network cannot give."""
    path = packed(".gz").with_name("plain.fits")
    plane = find_plane(path)
    monkeypatch.setattr(fitsfile, "_READ_BYTES", 5 * 4 * 40)
    decode = fitsfile.FitsPlane._decode

    def cut_off(*args):
        os.truncate(path, plane.offset)
        return decode(*args)

    monkeypatch.setattr(fitsfile.FitsPlane, "_decode", cut_off)
    with pytest.raises(ImageError, match=r"plain\.fits: truncated"):
        plane.read(WHOLE)


@pytest.mark.parametrize("section", [Section(0, 40, 0, 30), Section(3, 11, 2, 30), Section(0, 40, 7, 9)])
@pytest.mark.parametrize("read", [1, 3 * 4 * 40, 2**20])
def test_plain_files_are_read_some_rows_at_a_time(packed, pixels, monkeypatch, section, read):
    monkeypatch.setattr(fitsfile, "_READ_BYTES", read)
    np.testing.assert_array_equal(
        find_plane(packed(".gz").with_name("plain.fits")).read(section), pixels[section.slices]
    )


def test_a_pipe_that_came_into_the_place_of_a_file_is_not_waited_for(packed):
    path = packed(".gz").with_name("plain.fits")
    plane = find_plane(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ImageError, match=r"plain\.fits: not a readable FITS file but a folder or a device"):
        plane.read(WHOLE)


def test_a_file_that_may_not_be_read(packed, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied", "image.fits.gz")

    monkeypatch.setitem(fitsfile.OPENERS, "gzip", refuse)
    with pytest.raises(ImageError, match=r"image.fits.gz: cannot be opened \(Permission denied\)$"):
        find_plane(packed(".gz"))


def test_packed_file_is_unpacked_once_for_all_sections_and_copies(packed, monkeypatch):
    path = packed(".bz2")
    unpacked = []
    unpack = fitsfile.FitsPlane._unpack
    monkeypatch.setattr(fitsfile.FitsPlane, "_unpack", lambda plane: unpacked.append(1) or unpack(plane))
    plane = find_plane(path)
    for start in (0, 5, 9):
        plane.read(Section(start, start + 5, 0, 30))
    find_plane(path).read(WHOLE)
    copy = pickle.loads(pickle.dumps(plane))
    assert copy._kept == []
    copy.read(WHOLE)
    assert len(unpacked) == 1


def test_threads_unpack_a_file_once(packed, monkeypatch):
    unpacked = []
    unpack = fitsfile.FitsPlane._unpack
    monkeypatch.setattr(fitsfile.FitsPlane, "_unpack", lambda plane: unpacked.append(1) or unpack(plane))
    path = packed(".gz")
    planes = [find_plane(path) for _ in range(4)]
    threads = [threading.Thread(target=plane.read, args=(WHOLE,)) for plane in planes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(unpacked) == 1


@pytest.mark.parametrize("way", ["section", "whole", "extension", "gzip"])
def test_threads_do_not_wait_while_tiles_are_decoded(tmp_path, pixels, monkeypatch, way):
    """Headers are read by one thread at a time; pixels take longer."""
    path, waited = tmp_path / "image.fits", []
    tiled = fits.CompImageHDU(pixels, compression_type="GZIP_2", quantize_level=0)
    others = [fits.PrimaryHDU(), *(fits.ImageHDU(pixels) for _ in range(way == "extension"))]
    fits.HDUList([*others, tiled]).writeto(path)
    if way == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes()))
    monkeypatch.setattr(fitsfile, "_DECODE_WHOLE_BYTES", 0 if way == "section" else 2**20)

    def read_a_header() -> None:
        with quiet():
            pass

    def part(plane, values, section, cut=FitsPlane._part):
        if section.size > 1:
            other = threading.Thread(target=read_a_header, daemon=True)
            other.start()
            other.join(5)
            waited.append(other.is_alive())
        return cut(plane, values, section)

    plane = find_plane(path, hdu=len(others))
    monkeypatch.setattr(FitsPlane, "_part", part)
    np.testing.assert_array_equal(plane.read(Section.whole(pixels.shape)), pixels)
    assert set(waited) == {False}


def test_recent_images_stay_within_their_limit():
    recent = fitsfile._Recent(limit=100)
    for key in range(5):
        recent.get(key, lambda: np.zeros(10, np.float32))
    assert list(recent._held) == [3, 4]
    recent.get("huge", lambda: np.zeros(100, np.float32))
    assert "huge" not in recent._held


def mef(path, *extra):
    """A table, a small image without WCS, and what is given."""
    table = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=[1.0])], name="TAB")
    plain = fits.ImageHDU(np.ones((4, 5), np.float32), name="THUMB")
    fits.HDUList([fits.PrimaryHDU(), table, plain, *extra]).writeto(path)


def test_auto_prefers_the_first_image_with_a_wcs(tmp_path, pixels, make_wcs):
    science = fits.ImageHDU(pixels, make_wcs().to_header(), name="SCI")
    other = fits.ImageHDU(pixels + 1, make_wcs().to_header(), name="OTHER")
    mef(tmp_path / "a.fits", science, other)
    plane = find_plane(tmp_path / "a.fits")
    assert plane.origin == f"{tmp_path / 'a.fits'}[3]"
    check(plane, pixels)
    mef(tmp_path / "b.fits")
    assert find_plane(tmp_path / "b.fits").index == 2


@pytest.mark.parametrize("hdu", ["SCI", "sci", 3, "3", -1])
def test_hdu_by_name_or_number(tmp_path, pixels, hdu):
    mef(tmp_path / "a.fits", fits.ImageHDU(pixels, name="SCI"))
    assert find_plane(tmp_path / "a.fits", hdu=hdu).index == 3


@pytest.mark.parametrize(("hdu", "what"), [("NONE", "no HDU 'NONE'"), (9, "no HDU 9"), ("TAB", "not a 2-D image")])
def test_wrong_hdu_names_what_there_is(tmp_path, hdu, what):
    mef(tmp_path / "a.fits")
    with pytest.raises(ImageError, match=rf"a\.fits: .*{what}.*2 THUMB \(4, 5\)"):
        find_plane(tmp_path / "a.fits", hdu=hdu)


@pytest.mark.parametrize("packed", [True, False])
def test_an_extension_opened_alone_is_as_in_the_whole_file(tmp_path, pixels, make_wcs, monkeypatch, packed):
    kind = fits.CompImageHDU if packed else fits.ImageHDU
    cards = {"GAINA": 4.0, **make_wcs().to_header()}
    detectors = [
        kind(pixels + n, fits.Header({**cards, "EXTVER": 1 + n % 2, "CCDNUM": n}), name=f"N{n // 2}") for n in range(6)
    ]
    mef(tmp_path / "a.fits", *detectors)
    path = tmp_path / "a.fits"
    fits.setval(path, "MAGZERO", value=25.0)
    fileindex._index.cache_clear()
    choices = ["N1", "n2,2", "N1 , 2", "*2*", 4, "7", "THUMB"]
    numbers = list_hdus(path, "N*")
    alone = [find_plane(path, hdu=hdu) for hdu in choices]
    read = [plane.read(Section(0, plane.shape[1], 0, plane.shape[0])) for plane in alone]
    assert fileindex._index.cache_info().misses == 1  # however often it is opened
    for module in (extensions, fitsfile):
        monkeypatch.setattr(module, "file_index", lambda _path: ())
    monkeypatch.setattr(fitsfile, "_RECENT", fitsfile._Recent(0))
    assert numbers == list_hdus(path, "N*")
    assert list(numbers) == ["N0-1", "N0-2", "N1-1", "N1-2", "N2-1", "N2-2"]
    for hdu, plane, values in zip(choices, alone, read, strict=True):
        whole = find_plane(path, hdu=hdu)
        for name in ("index", "shape", "offset", "tiled", "scaling", "bitpix", "no_wcs"):
            assert getattr(plane, name) == getattr(whole, name), (hdu, name)
        assert plane.header.tostring() == whole.header.tostring()
        assert plane.primary["MAGZERO"] == plane.keywords["MAGZERO"] == 25.0
        assert (plane.wcs is None) == (whole.wcs is None)
        np.testing.assert_array_equal(values, whole.read(Section(0, whole.shape[1], 0, whole.shape[0])))


def test_a_file_that_is_replaced_is_looked_at_again(tmp_path, pixels):
    path = tmp_path / "a.fits"
    mef(path, fits.ImageHDU(pixels, name="SCI"))
    assert find_plane(path, hdu="SCI").index == 3
    path.unlink()
    mef(path, fits.ImageHDU(pixels, name="OTHER"), fits.ImageHDU(pixels, name="SCI"))
    assert find_plane(path, hdu="SCI").index == 4


@pytest.mark.parametrize("kind", [fits.ImageHDU, fits.CompImageHDU])
def test_an_extension_that_is_cut_off_is_refused_alone_too(tmp_path, rng, kind):
    noise = rng.normal(0, 1, (200, 300)).astype(np.float32)
    mef(tmp_path / "a.fits", kind(noise, name="N1"), kind(noise, name="N2"))
    content = (tmp_path / "a.fits").read_bytes()
    (tmp_path / "a.fits").write_bytes(content[: len(content) - 2880 * 20])
    find_plane(tmp_path / "a.fits", hdu="N1").read(Section(0, 300, 0, 200))
    with pytest.raises(ImageError, match=r"a\.fits: truncated"):
        find_plane(tmp_path / "a.fits", hdu="N2")


def test_axes_of_length_one_are_dropped_and_cubes_refused(tmp_path, pixels):
    fits.writeto(tmp_path / "radio.fits", pixels[None, None])
    check(find_plane(tmp_path / "radio.fits"), pixels)
    fits.writeto(tmp_path / "cube.fits", np.zeros((3, 4, 5), np.float32))
    with pytest.raises(ImageError, match=r"cube\.fits: no 2-D image"):
        find_plane(tmp_path / "cube.fits")


def test_keywords_of_the_primary_header_count_too(tmp_path, pixels):
    primary = fits.PrimaryHDU()
    primary.header["MAGZERO"], primary.header["GAIN"] = 27.0, 1.0
    image = fits.ImageHDU(pixels)
    image.header["GAIN"] = 2.0
    fits.HDUList([primary, image]).writeto(tmp_path / "a.fits")
    keywords = find_plane(tmp_path / "a.fits").keywords
    assert (keywords["MAGZERO"], keywords["GAIN"]) == (27.0, 2.0)


@pytest.mark.parametrize("keep", [0.3, 0.9])
@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz", ".fz"])
def test_truncated_files_are_refused_by_name(tmp_path, rng, suffix, keep):
    path = tmp_path / f"cut.fits{suffix}"
    noise = rng.normal(0, 1, (200, 300)).astype(np.float32)
    (fits.CompImageHDU(noise) if suffix == ".fz" else fits.PrimaryHDU(noise)).writeto(tmp_path / "whole")
    whole = PACKERS.get(suffix, bytes)((tmp_path / "whole").read_bytes())
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(ImageError, match=r"cut\.fits.*(truncated|damaged)"):
        find_plane(path).read(Section(0, 300, 0, 200))


@pytest.mark.parametrize("suffix", PACKERS)
def test_truncation_of_packed_files_shows_where_only_the_end_is_missing(packed, suffix):
    path = packed(suffix)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ImageError, match=r"image\.fits.*truncated or damaged"):
        find_plane(path).read(WHOLE)


def test_missing_padding_is_no_truncation(tmp_path, pixels):
    path = tmp_path / "image.fits"
    fits.writeto(path, pixels)
    with fits.open(path) as hdus:
        offset = hdus[0].fileinfo()["datLoc"]
    path.write_bytes(path.read_bytes()[: offset + pixels.nbytes])
    check(find_plane(path), pixels)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ImageError, match=r"image\.fits: truncated"):
        find_plane(path)


@pytest.mark.parametrize("suffix", PACKERS)
def test_damage_within_packed_files_is_refused(packed, suffix):
    path = packed(suffix)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"image\.fits"):
        find_plane(path).read(WHOLE)


@pytest.mark.parametrize("content", [b"", b"SIMPLE", b"\x89PNG\r\n" * 600, b"BZh not bzip2", b"\x1f\x8b not gzip"])
def test_what_is_not_fits_is_refused(tmp_path, content):
    path = tmp_path / "picture.fits"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"picture\.fits"):
        find_plane(path)


@given(content=st.binary(max_size=400))
@settings(max_examples=40, deadline=None)
def test_no_content_raises_anything_but_an_image_error(content):
    card = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2)]).tostring(padding=False).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.fits"
        for start in (b"", card, b"BZh9", b"\x1f\x8b\x08"):
            path.write_bytes(start + content)
            with pytest.raises(ImageError, match=r"image\.fits"):
                find_plane(path).read(Section(0, 1, 0, 1))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ImageError, match=r"nothing\.fits: no such file"):
        find_plane(tmp_path / "nothing.fits")
    with pytest.raises(ImageError, match="not a readable FITS file"):
        find_plane(tmp_path)


def test_file_that_vanishes_later_is_named(tmp_path, pixels):
    path = tmp_path / "image.fits"
    fits.writeto(path, pixels)
    plane = find_plane(path)
    path.unlink()
    with pytest.raises(ImageError, match=r"image\.fits: no such file"):
        plane.read(WHOLE)


def test_oddities_make_one_log_line_and_no_warning(tmp_path, pixels, make_wcs, caplog):
    header = make_wcs().to_header()
    del header["RADESYS"]
    header["RADECSYS"] = "FK5"
    header["DATE-OBS"] = "31/12/98"
    fits.writeto(tmp_path / "image.fits", pixels, header)
    with caplog.at_level(logging.DEBUG, logger="astrogalaxy"):
        plane = find_plane(tmp_path / "image.fits")
    assert plane.wcs is not None
    assert len(caplog.records) == 1
    assert str(tmp_path / "image.fits") in caplog.text
    assert "RADECSYS" in caplog.text


@pytest.mark.parametrize("compressed", [False, True])
def test_wcs_of_the_primary_header_is_taken_where_the_image_inherits_it(tmp_path, make_wcs, caplog, compressed):
    pixels = np.arange(200, dtype=np.float32).reshape(10, 20)
    primary, path = fits.PrimaryHDU(header=make_wcs().to_header()), tmp_path / "image.fits"

    def planes(**cards):
        kind = fits.CompImageHDU if compressed else fits.ImageHDU
        hdus = fits.HDUList([primary, kind(pixels, fits.Header(cards))])
        hdus.writeto(path, overwrite=True)
        return find_plane(path), as_plane(hdus)

    for plane in planes(INHERIT=True):
        assert plane.wcs.pixel_to_world(49.5, 49.5).ra.deg == pytest.approx(150)
    assert not caplog.text
    assert [plane.wcs for plane in planes()] == [None, None]
    assert caplog.text.count("does not inherit (INHERIT)") == 2
    own = make_wcs(sky=(20.0, 0.0)).to_header()
    for plane in planes(INHERIT=True, **own):
        assert plane.wcs.pixel_to_world(49.5, 49.5).ra.deg == pytest.approx(20)


def test_a_wcs_is_read_once(tmp_path, caplog):
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": 0.0, "CDELT2": 1e-4})
    fits.writeto(tmp_path / "a.fits", np.ones((4, 5)), header)
    assert find_plane(tmp_path / "a.fits").wcs is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
