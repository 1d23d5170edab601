"""FITS checksums of data that are written part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["add_checksum", "signed_header"]

_PUNCTUATION = {*range(0x3A, 0x41), *range(0x5B, 0x61)}


def add_checksum(total: int, data: np.ndarray, before: int) -> int:
    """Continue the sum over an extension's bytes.

    Parameters
    ----------
    total : int
        The sum so far; 0 at first.
    data : ndarray of uint8
        The bytes that follow.
    before : int
        Number of bytes before them: words of four bytes go across parts.

    Returns
    -------
    int
        The ones' complement sum of all big-endian 32-bit words, the last one filled with zeros.
    """
    lead = before % 4
    padded = np.zeros((lead + len(data) + 3) // 4 * 4, dtype=np.uint8)
    padded[lead : lead + len(data)] = data
    total += int(padded.view(">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def signed_header(header: fits.Header, data_sum: int) -> bytes:
    """Bytes of a header with the cards DATASUM and CHECKSUM.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Gets both cards.
    data_sum : int
        What `add_checksum` gave for the data.

    Returns
    -------
    bytes
        In whole blocks of 2880 bytes.
    """
    header["DATASUM"] = (str(data_sum), "as written")
    header["CHECKSUM"] = ("0" * 16, "as written")
    raw = np.frombuffer(header.tostring().encode("ascii"), dtype=np.uint8)
    header["CHECKSUM"] = (_encoded(0xFFFFFFFF ^ add_checksum(data_sum, raw, 0)), "as written")
    return header.tostring().encode("ascii")


def _encoded(value: int) -> str:
    """A number of 32 bits as 16 letters and digits that add up to it (FITS standard 4.0, appendix J)."""
    columns = []
    for byte in value.to_bytes(4, "big"):
        quarter, rest = divmod(byte, 4)
        letters = [0x30 + quarter + (rest if place == 0 else 0) for place in range(4)]
        # One letter of a pair goes up as the other goes down, until neither is a punctuation mark.
        while any(letter in _PUNCTUATION for letter in letters):
            for place in (0, 2):
                if letters[place] in _PUNCTUATION or letters[place + 1] in _PUNCTUATION:
                    letters[place] += 1
                    letters[place + 1] -= 1
        columns.append(letters)
    text = "".join(chr(columns[byte][place]) for place in range(4) for byte in range(4))
    # Values of cards begin at the second byte of a word.
    return text[-1] + text[:-1]
