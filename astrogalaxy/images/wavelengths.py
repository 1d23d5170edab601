"""Wavelengths of the bands that are known by name, and the order that networks expect."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

__all__ = ["WAVELENGTHS", "order_problem"]

#: Central wavelengths in nm, by the names of the bands.
WAVELENGTHS = {
    "u": 355.0, "g": 477.0, "r": 623.0, "i": 763.0, "z": 913.0, "y": 1000.0, "Y": 1000.0,
    "J": 1250.0, "H": 1630.0, "Ks": 2150.0,
}  # fmt: skip


def order_problem(bands: Sequence[str]) -> str:
    """Say where bands are not in the order of their wavelengths, shortest first, as networks have learned them.

    Parameters
    ----------
    bands : sequence of str
        Names. Those of unknown wavelength may stand anywhere.

    Returns
    -------
    str
        What is wrong; empty where nothing is.

    Examples
    --------
    >>> from astrogalaxy.images.wavelengths import order_problem
    >>> order_problem(["i", "r", "g"])
    'the network expects the shortest wavelength first, and i comes before r'
    >>> order_problem(["F814W", "g", "r"])
    ''
    """
    known = [band for band in bands if band in WAVELENGTHS]
    for band, following in pairwise(known):
        if WAVELENGTHS[band] > WAVELENGTHS[following]:
            return f"the network expects the shortest wavelength first, and {band} comes before {following}"
    return ""
