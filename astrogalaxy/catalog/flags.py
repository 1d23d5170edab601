"""The bits of the ``flags`` column: one registry with names, meanings and the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import ArrayLike

from astrogalaxy.errors import CatalogError

__all__ = ["FLAGS", "Flag", "count_flags", "decode_flags", "flag_bits", "flag_rows", "has_flags"]


@dataclass(frozen=True)
class Flag:
    """One bit of the ``flags`` column.

    Attributes
    ----------
    bit : int
        Position of the bit; the flag's value is ``2**bit``.
    name : str
        Name by which code and users call it.
    description : str
        What it means for the source.

    Examples
    --------
    >>> from astrogalaxy.catalog import FLAGS
    >>> FLAGS["masked"].bit, FLAGS["masked"].value
    (2, 4)
    """

    bit: int
    name: str
    description: str

    @property
    def value(self) -> int:
        """The number that is added to ``flags``: ``2**bit``."""
        return 1 << self.bit


#: Every flag by its name, lowest bit first.
FLAGS: dict[str, Flag] = {
    flag.name: flag
    for flag in (
        Flag(0, "edge", "The source touches an edge of the image, so part of its light is missing."),
        Flag(1, "saturated", "The source is saturated in at least one band: by a pixel's value, or by its blunt core."),
        Flag(2, "masked", "A pixel of the source is bad (NaN, masked or without weight) in at least one band."),
        Flag(3, "blended", "Another source overlaps this one and may contaminate its fluxes."),
        Flag(4, "missing_band", "At least one band has no usable pixels here; the columns of that band are NaN."),
        Flag(5, "deblended", "The light of an overlapping source was subtracted before this one was measured."),
        Flag(6, "bad_centroid", "The centroid could not be refined; x and y are those of the detection."),
        Flag(7, "outside_weight", "The pixel scale or seeing is outside the range that the weights were trained on."),
        Flag(8, "narrow", "The source is narrower than a star can be, like a cosmic ray or a hot pixel."),
    )
}


def flag_bits(*names: str) -> int:
    """Value of ``flags`` with the named bits set and no other.

    Parameters
    ----------
    *names : str
        Names out of `FLAGS`; none gives 0.

    Returns
    -------
    int
        The sum of the bits.

    Raises
    ------
    CatalogError
        If a name is unknown; the message gives the nearest one.

    Examples
    --------
    >>> from astrogalaxy.catalog import flag_bits
    >>> flag_bits("edge", "masked")
    5
    """
    value = 0
    for name in names:
        if not isinstance(name, str):
            msg = f"flags are named one by one, such as 'edge', 'masked'; {name!r} is no name"
            raise CatalogError(msg)
        if name not in FLAGS:
            near = get_close_matches(name, FLAGS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known flags: {', '.join(FLAGS)}"
            msg = f"unknown flag {name!r}; {hint}"
            raise CatalogError(msg)
        value |= FLAGS[name].value
    return value


def decode_flags(value: int) -> tuple[str, ...]:
    """Names of the bits that are set in one value of ``flags``, lowest bit first.

    Parameters
    ----------
    value : int
        One value of the column, not negative.

    Returns
    -------
    tuple of str
        Names; a bit that this version does not know (a newer file) is given as ``"bit12"``.

    Raises
    ------
    CatalogError
        If ``value`` is negative, or not one number.

    Examples
    --------
    >>> from astrogalaxy.catalog import decode_flags
    >>> decode_flags(5)
    ('edge', 'masked')
    """
    if np.ndim(value):
        msg = f"decode_flags takes one value, not {np.size(value)}; for columns there are has_flags and count_flags"
        raise CatalogError(msg)
    value = int(value)
    if value < 0:
        msg = f"flags cannot be negative, but got {value}"
        raise CatalogError(msg)
    names = {flag.bit: flag.name for flag in FLAGS.values()}
    return tuple(names.get(bit, f"bit{bit}") for bit in range(value.bit_length()) if value >> bit & 1)


def has_flags(flags: ArrayLike, *names: str) -> np.ndarray:
    """Which rows have at least one of the named flags.

    Parameters
    ----------
    flags : array_like of int
        The column, any shape.
    *names : str
        Names out of `FLAGS`; without any, no row has one (`SourceCatalog.flagged` takes all of them then).

    Returns
    -------
    ndarray of bool
        Same shape as ``flags``.

    Raises
    ------
    CatalogError
        If a name is unknown.

    Examples
    --------
    >>> from astrogalaxy.catalog import has_flags
    >>> has_flags([0, 1, 5], "edge").tolist()
    [False, True, True]
    """
    return (np.asarray(flags) & flag_bits(*names)) != 0


def count_flags(flags: ArrayLike) -> dict[str, int]:
    """How many sources have each flag.

    Parameters
    ----------
    flags : array_like of int
        The column, any shape.

    Returns
    -------
    dict of str to int
        Every flag of the registry in bit order, also those with no source.

    Examples
    --------
    >>> from astrogalaxy.catalog import count_flags
    >>> count_flags([1, 5, 0])["edge"]
    2
    """
    values = np.asarray(flags, dtype=np.int64)
    return {name: int(np.count_nonzero(values & flag.value)) for name, flag in FLAGS.items()}


def flag_rows() -> list[tuple[str, str, str, str]]:
    """Rows of the documentation's table: bit, value, name, description.

    Returns
    -------
    list of tuple of str
        A row for each flag, lowest bit first.

    Examples
    --------
    >>> from astrogalaxy.catalog import flag_rows
    >>> flag_rows()[0][:3]
    ('0', '1', 'edge')
    """
    return [(str(flag.bit), str(flag.value), flag.name, flag.description) for flag in FLAGS.values()]
