"""What the bits of a mask say of pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.errors import ImageError

__all__ = ["BAD", "SATURATED", "Bits", "bits_of"]

#: What a mask says of a pixel; 0 is nothing.
BAD, SATURATED = 1, 2

# Names of planes of saturated pixels, and of planes of what saturation does to them and to pixels around: charge that
# runs over, and the values that stand in for them.
_SATURATED = {"SAT", "SATUR", "SATURATE", "SATURATED"}
_AFTER = {"BLEED", "TRAIL", "INTRP", "INTERP"}
_EVERY = -1
# Masks have integers of so many bits at most.
_BITS = 63


@dataclass(frozen=True)
class Bits:
    """Bits of a mask, by what they mean.

    Parameters
    ----------
    bad : int or None
        Bits of pixels without use; None: any value but 0.
    saturated : int
        Bits of saturated pixels, which are kept.
    after : int
        Bits that make a pixel bad unless it is saturated.

    Examples
    --------
    >>> import numpy as np
    >>> Bits(bad=1, saturated=2, after=4).say(np.array([0, 1, 2, 3, 4, 6, 8]))
    array([0, 1, 2, 1, 1, 2, 0], dtype=uint8)
    """

    bad: int | None = None
    saturated: int = 0
    after: int = 0

    def say(self, values: Any) -> NDArray[np.uint8]:
        """For each pixel of a mask `BAD`, `SATURATED`, or 0; what is no number is bad."""
        values = np.asarray(values)
        if self.bad is None:
            return (values != 0).astype(np.uint8)
        unknown = np.False_
        if values.dtype.kind == "f":
            unknown = ~np.isfinite(values)
            values = np.where(unknown, 0, values)
        values = values.astype(np.int64)
        saturated = values & self.saturated != 0
        bad = unknown | (values & self.bad != 0) | ((values & self.after != 0) & ~saturated)
        return np.where(bad, BAD, np.where(saturated, SATURATED, 0)).astype(np.uint8)


def bits_of(keywords: Mapping[str, Any], wanted: int | str | Sequence[int | str] | None, *, origin: str) -> Bits:
    """Bits that count: by number, or by name if the header of the mask names them (``MP_BAD``).

    Planes that it calls saturated say so, however they are asked for: the star is there.

    Parameters
    ----------
    keywords : mapping
        Header cards of the mask.
    wanted : int, str, sequence of them, or None
        Numbers from 0, or names; None: all.
    origin : str
        What to call the mask, for messages.

    Returns
    -------
    Bits

    Raises
    ------
    astrogalaxy.errors.ImageError
        If the header has no such name, or a number is below 0.

    Examples
    --------
    >>> bits_of({"MP_BAD": 0, "MP_SAT": 1, "MP_DETECTED": 5}, ["BAD", "SAT"], origin="mask")
    Bits(bad=1, saturated=2, after=0)
    """
    cards = {str(key).upper(): value for key, value in keywords.items()}
    numbers = {key[3:]: value for key, value in cards.items() if key.startswith("MP_")}
    planes = {name: int(n) for name, n in numbers.items() if isinstance(n, int | float) and 0 <= n < _BITS}
    chosen = _EVERY if wanted is None else _sum(_numbers(planes, wanted, origin))
    saturated = chosen & _sum({planes[name] for name in _SATURATED & planes.keys()})
    after = chosen & _sum({planes[name] for name in _AFTER & planes.keys()})
    if wanted is None and not saturated:
        return Bits()
    return Bits(chosen & ~saturated & ~after, saturated, after)


def _numbers(planes: Mapping[str, int], wanted: int | str | Sequence[int | str], origin: str) -> set[int]:
    """Numbers of bits that are asked for."""
    bits = [wanted] if isinstance(wanted, str | int) else wanted
    below = [bit for bit in bits if not isinstance(bit, str) and bit < 0]
    if below:
        msg = f"{origin}: bits of a mask count from 0; {below[0]} is none"
        raise ImageError(msg)
    names = [bit.upper().removeprefix("MP_") if isinstance(bit, str) else bit for bit in bits]
    unknown = [bit for bit, name in zip(bits, names, strict=True) if isinstance(name, str) and name not in planes]
    if unknown:
        known = f"it has {', '.join(sorted(planes))}" if planes else "it names none (MP_...); give numbers"
        msg = f"{origin}: its header has no mask plane {unknown[0]!r}; {known}"
        raise ImageError(msg)
    return {planes[name] if isinstance(name, str) else int(name) for name in names}


def _sum(numbers: set[int]) -> int:
    return sum(1 << number for number in numbers)
