"""FITS files that are broken, each in its own way; made here, so that none has to be kept."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

__all__ = ["BROKEN", "MISLEADING", "plain", "tiled"]

_SHAPE = (120, 140)
_BLOCK = 2880


def plain() -> bytes:
    """A whole image with a WCS, 16-bit integers."""
    return _bytes(fits.PrimaryHDU(_pixels().astype(np.int16), _wcs()))


def tiled(compression: str = "RICE_1") -> bytes:
    """The same in compressed tiles."""
    return _bytes(
        fits.PrimaryHDU(), fits.CompImageHDU(_pixels().astype(np.int16), _wcs(), compression_type=compression)
    )


def _pixels() -> np.ndarray:
    return np.random.default_rng(7).normal(1000, 30, _SHAPE)


def _wcs() -> fits.Header:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ("RA---TAN", "DEC--TAN"), (150.0, 2.0), (70, 60)
    wcs.wcs.cdelt = -1e-4, 1e-4
    return wcs.to_header()


def _bytes(*hdus: fits.hdu.base._BaseHDU) -> bytes:
    stream = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(stream)
    return stream.getvalue()


def _card(key: str, value: str, content: bytes | None = None) -> bytes:
    """The image with another value on one card."""
    content = plain() if content is None else content
    start = content.index(f"{key:8}= ".encode())
    card = f"{key:8}= {value:>20}".encode("latin-1").ljust(80)[:80]
    return content[:start] + card + content[start + 80 :]


def _more(*cards: str) -> bytes:
    """The image with more cards."""
    content = plain()
    end = content.index(b"END" + b" " * 77)
    text = b"".join(card.encode("latin-1").ljust(80) for card in cards)
    head = content[:end] + text + b"END".ljust(80)
    return head + b" " * (-len(head) % _BLOCK) + content[_BLOCK * -(-(end + 80) // _BLOCK) :]


def _with_axes(*sizes: int) -> bytes:
    """Float pixels of as many axes as there are sizes, without saying what they are."""
    return _bytes(fits.PrimaryHDU(np.ones(sizes[::-1], np.float32)))


def _cubes() -> bytes:
    return _bytes(fits.PrimaryHDU(), fits.ImageHDU(np.ones((3, 4, 5, 6), np.float32)))


def _table() -> bytes:
    return _bytes(fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])]))


_PLAIN, _RICE = plain(), tiled()
_HALF = len(_PLAIN) // 2

#: Files without an image that could be read: opening them, or reading their pixels, must be refused by name.
BROKEN: dict[str, bytes] = {
    "empty": b"",
    "no-fits": b"<!DOCTYPE html><html><body>404</body></html>" * 100,
    "zeros": bytes(10_000),
    "text": b"SIMPLE  = T / but then only words\n" * 200,
    "header-cut": _PLAIN[:400],
    "header-cut-at-a-block": _more(*["COMMENT x"] * 60)[:_BLOCK],
    "no-end": _PLAIN.replace(b"END" + b" " * 77, b" " * 80, 1)[:_BLOCK],
    "pixels-cut": _PLAIN[:_HALF],
    "no-pixels": _PLAIN[:_BLOCK],
    "bitpix-17": _card("BITPIX", "17"),
    "bitpix-word": _card("BITPIX", "'sixteen'"),
    "bitpix-64-on-16": _card("BITPIX", "64"),
    "naxis-0": _card("NAXIS", "0"),
    "naxis-1": _with_axes(50),
    "naxis-4": _with_axes(6, 5, 4, 3),
    "naxis-999": _card("NAXIS", "999"),
    "naxis-1000000": _card("NAXIS", "1000000"),
    "naxis-minus-1": _card("NAXIS", "-1"),
    "naxis-word": _card("NAXIS", "T"),
    "naxis1-negative": _card("NAXIS1", "-140"),
    "naxis1-zero": _card("NAXIS1", "0"),
    "naxis1-float": _card("NAXIS1", "140.5"),
    "naxis1-huge": _card("NAXIS1", "2000000000"),
    "both-huge": _card("NAXIS2", "3000000000", _card("NAXIS1", "3000000000")),
    "beyond-64-bit": _card("NAXIS1", "99999999999999999999"),
    "naxis1-missing": _PLAIN.replace(b"NAXIS1  =", b"NAXUS1  =", 1),
    "no-simple": _PLAIN.replace(b"SIMPLE  =", b"SAMPLE  =", 1),
    "cubes-only": _cubes(),
    "table-only": _table(),
    "gzip-cut": gzip.compress(_PLAIN)[:3000],
    "gzip-damaged": gzip.compress(_PLAIN)[:2000] + b"\0" * 200 + gzip.compress(_PLAIN)[2200:],
    "gzip-of-nothing": gzip.compress(b""),
    "gzip-of-words": gzip.compress(b"not FITS" * 1000),
    "gzip-huge": gzip.compress(_card("NAXIS2", "3000000000", _card("NAXIS1", "3000000000"))),
    "gzip-negative": gzip.compress(_card("NAXIS1", "-140")),
    "bzip2-cut": bz2.compress(_PLAIN)[:3000],
    "bzip2-huge": bz2.compress(_card("NAXIS1", "2000000000")),
    "bzip2-bitpix": bz2.compress(_card("BITPIX", "17")),
    "xz-cut": lzma.compress(_PLAIN)[:3000],
    "rice-cut": _RICE[: len(_RICE) - 3 * _BLOCK],
    "rice-damaged": _RICE[: 3 * _BLOCK] + b"\xff" * 4000 + _RICE[3 * _BLOCK + 4000 :],
    "rice-huge": _card("ZNAXIS1", "2000000000", _RICE),
    "rice-both-huge": _card("ZNAXIS2", "3000000000", _card("ZNAXIS1", "3000000000", _RICE)),
    "rice-tile-zero": _card("ZTILE1", "0", _RICE),
    "rice-tile-negative": _card("ZTILE1", "-140", _RICE),
    "rice-unknown": _card("ZCMPTYPE", "'MIDAS_1 '", _RICE),
    "rice-no-type": _RICE.replace(b"ZCMPTYPE=", b"ZCMPTYPO=", 1),
    "rice-bitpix": _card("ZBITPIX", "17", _RICE),
    "rice-rows": _card("NAXIS2", "100000000", _RICE),
    "gzip-tiles-damaged": tiled("GZIP_1")[: 3 * _BLOCK] + b"\xff" * 4000 + tiled("GZIP_1")[3 * _BLOCK + 4000 :],
    "bscale-nan": _more("BSCALE  = NaN"),
    "bscale-word": _more("BSCALE  = 'much    '"),
    "bscale-zero": _more("BSCALE  =                  0.0"),
    "bzero-word": _more("BZERO   = 'nothing '"),
    "blank-word": _more("BLANK   = 'none    '"),
    "blank-all": _more("BSCALE  = 1E39"),
}

#: Files that are odd but have an image: they are read, some without a WCS, or are refused by name.
MISLEADING: dict[str, bytes] = {
    "no-padding": _PLAIN[:-100] if _PLAIN.endswith(bytes(100)) else _PLAIN,
    "behind-the-end": _PLAIN + b"rubbish" * 500,
    "second-hdu-cut": _PLAIN + _cubes()[_BLOCK:][:3000],
    "not-ascii": _more("OBJECT  = 'Größe \xff'", "\xe9\xe8\xea   = 3"),
    "null-cards": _more("\0" * 80),
    "no-value": _more("SATURATE=", "GAIN    =", "CRVAL1  ="),
    "card-twice": _more("NAXIS1  = 99"),
    "continue": _more("CONTINUE  'nothing before this'"),
    "wcs-singular": _more("PC1_1   = 0.0", "PC1_2   = 0.0", "PC2_1   = 0.0", "PC2_2   = 0.0"),
    "wcs-nan": _more("PC1_1   = NaN", "CD1_1   = NaN"),
    "wcs-far": _card("CRPIX1", "1E300"),
    "wcs-infinite": _card("CRVAL1", "1E999"),
    "wcs-words": _card("CTYPE1", "'RA---XXX'"),
    "wcs-half": _card("CTYPE2", "'FREQ    '"),
    "wcs-sip": _more("A_ORDER = 9999999", "B_ORDER = -5", "A_0_2   = 'x'"),
    "wcs-tables": _more("CPDIS1  = 'LOOKUP'", "DP1     = 'EXTVER: 1'", "DP1     = 'NAXES: 2'"),
    "wcs-many-axes": _more("WCSAXES = 1000000000"),
}
