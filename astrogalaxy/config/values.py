"""The kinds of value in a configuration: words, numbers, numbers per band, lengths, sizes of memory.

Each is an annotated type for a pydantic model, whose `Kind` is its name in the documentation. A wrong
value is one sentence that says what is wanted.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator

from astrogalaxy.config.arithmetic import is_sum
from astrogalaxy.config.problems import fail, show
from astrogalaxy.errors import ConfigError

if TYPE_CHECKING:
    from astropy.units import Quantity

__all__ = [
    "Bands",
    "Bits",
    "CentralSide",
    "FileName",
    "Formats",
    "Hdu",
    "Heads",
    "Kind",
    "Length",
    "LengthOrAuto",
    "Lengths",
    "Levels",
    "NameList",
    "PerBand",
    "Planes",
    "Scheduler",
    "Size",
    "Threshold",
    "TileSize",
    "TrainingPrecision",
    "Weights",
    "Workers",
    "ZeroPoint",
    "Zoom",
    "as_tuple",
    "checked_name",
    "checked_text",
    "length_in_pixels",
]

BYTES = {
    "TB": 10**12,
    "TiB": 2**40,
    "GB": 10**9,
    "GiB": 2**30,
    "MB": 10**6,
    "MiB": 2**20,
    "kB": 10**3,
    "KiB": 2**10,
    "B": 1,
}


@dataclass(frozen=True)
class Kind:
    """How the documentation names a type, put beside it: ``Annotated[Any, ..., Kind("angle or auto")]``."""

    text: str


def as_tuple(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """One value or several, as a tuple; None is none."""
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


# -- words and numbers -----------------------------------------------------------------------------


def checked_text(value: Any, wanted: str) -> str:
    """Printable text without blanks around it; an error says that it must be ``wanted``."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise ValueError(f"must be {wanted}, not the number {show(value)}; put it in quotes")
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > 4000:
        raise ValueError(f"must be {wanted}, not {show(value)}")
    return value.strip()


def _number(value: Any) -> float | None:
    """`value` as a finite float, or None where it is not one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
        return None
    return float(value)


def _whole(value: Any, low: int, high: int) -> int | str:
    """'auto' or a whole number in a range, both ends included."""
    if isinstance(value, str) and value == "auto":
        return value
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"must be auto, or a whole number from {low} to {high}, not {show(value)}")
    return value


def checked_name(value: Any) -> str:
    """Text that can name a file on every system."""
    name = checked_text(value, "text")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", name):
        raise ValueError(f"must be up to 100 letters, digits and . _ + - (it names files), not {show(name)}")
    return name


def _names(value: Any, *, example: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"must be a list such as {example}, not {show(value)}")
    return tuple(checked_text(item, "a list of text") for item in value)


def _name_list(value: Any) -> tuple[str, ...]:
    return () if isinstance(value, (list, tuple)) and not value else _names(value, example="[field-1, field-2]")


def _threshold(value: Any) -> float | str:
    number = _number(value)
    if isinstance(value, str) and value == "default":
        return value
    if number is None or not 0 <= number <= 1:
        raise ValueError(f"must be default, or a probability from 0 to 1, not {show(value)}")
    return number


def _tile_size(value: Any) -> int | str:
    size = _whole(value, 128, 65536)
    if isinstance(size, int) and size % 32:
        below = size // 32 * 32
        raise ValueError(f"must be a multiple of 32, such as {below} or {below + 32}, not {size}")
    return size


def _hdu(value: Any) -> int | str | dict[str, int | str]:
    if isinstance(value, Mapping):
        return {checked_text(band, "text"): _one_hdu(hdu) for band, hdu in value.items()}
    return _one_hdu(value)


def _one_hdu(value: Any) -> int | str:
    if isinstance(value, str):
        return checked_text(value, "an extension's name")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10_000:
        raise ValueError(f"must be auto, an extension's name, or its number from 0, not {show(value)}")
    return value


def _bits(value: Any) -> tuple[int | str, ...] | None:
    """Bits of a mask: numbers, or names that its header explains."""
    if value is None:
        return None
    given = value if isinstance(value, (list, tuple)) else [value]
    wanted = "must be a list of bits, numbers from 0 or the names of mask planes, such as [0, 8] or [BAD, SAT]"
    for bit in given:
        if isinstance(bit, int) and not isinstance(bit, bool) and bit > 62 and bit.bit_count() == 1:
            raise ValueError(f"counts bits from 0: the value {bit} is bit {bit.bit_length() - 1}")
        named = isinstance(bit, str) and re.fullmatch(r"[A-Za-z]\w{0,67}", bit)
        if not named and (isinstance(bit, bool) or not isinstance(bit, int) or not 0 <= bit <= 62):
            raise ValueError(f"{wanted}, not {show(bit)}")
    if not given:
        raise ValueError(f"{wanted}, not an empty list")
    return tuple(given)


def _scheduler(value: Any) -> str | None:
    if value is None:
        return None
    address = checked_text(value, "an address")
    if not re.fullmatch(r"[a-z]+://\S+", address):
        raise ValueError(f"must be an address such as 'tcp://host:8786', or null, not {show(value)}")
    return address


def _per_band(value: Any, *, auto: bool = False) -> Any:
    """A number, or what tells it from the header; or these by band."""
    if not isinstance(value, Mapping):
        wanted = "a number, {band: number}, a header keyword or a sum of these, or null"
        return value if value is None else _number_or_header(value, wanted, auto)
    found, wrong = {}, []
    for band, given in value.items():
        try:
            found[checked_text(band, "text")] = _number_or_header(given, "a number, a header keyword or a sum", auto)
        except ValueError as error:
            wrong.append((str(band), str(error)))
    fail(wrong)
    return found


def _number_or_header(value: Any, wanted: str, auto: bool) -> float | str:
    number = _number(value)
    if number is not None:
        return number
    if auto and value == "auto":
        return "auto"
    wrong = f"must be {wanted}, not {show(value)}"
    if not isinstance(value, str) or value.lower() in {"auto", "default", "none"}:
        raise ValueError(wrong)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_. -]{0,67}", value) and not (len(value) <= 200 and is_sum(value)):
        raise ValueError(wrong + ("; numbers have no quotes" if re.match(r"\s*[-+.\d]", value) else ""))
    return value


def _planes(value: Any) -> Any:
    """The number of a plane, or one for each band."""
    if isinstance(value, Mapping):
        return {checked_text(band, "text"): _planes(-1 if plane is None else plane) for band, plane in value.items()}
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10_000):
        raise ValueError(f"must be a plane's number from 0, {{band: number}}, or null, not {show(value)}")
    return value


def _weights(value: Any) -> dict[str, float]:
    """``{name: weight}`` with weights above 0."""
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"must be a mapping such as {{sdss: 1}}, not {show(value)}")
    wanted = "must be a number above 0"
    fail([(str(name), f"{wanted}, not {show(n)}") for name, n in value.items() if (_number(n) or 0) <= 0])
    return {checked_text(name, "text"): float(n) for name, n in value.items()}


def _number_format(value: Any) -> Any:
    """A number format, which is text though 32 is written as a number."""
    return "32" if value == 32 and isinstance(value, int) else value


def _levels(value: Any) -> tuple[int, ...]:
    steps = tuple(value) if isinstance(value, (list, tuple)) else ()
    if not steps or steps != tuple(step for step in (1, 2, 4, 8, 16, 32, 64) if step in steps):
        raise ValueError(f"must be rising powers of two up to 64, such as [4, 8, 16], not {show(value)}")
    return steps


def _zoom(value: Any) -> float:
    from astrogalaxy.models.architecture import ZOOMS

    number = _number(value)
    if number not in ZOOMS:
        raise ValueError(f"must be {', '.join(f'{zoom:g}' for zoom in ZOOMS[:-1])} or {ZOOMS[-1]:g}, not {show(value)}")
    return float(number)


# -- lengths and sizes -----------------------------------------------------------------------------


def _length(value: Any) -> Quantity | float:
    """An angle (as a Quantity in arcsec) or a number of pixels."""
    wrong = ValueError(f"must be an angle such as '20 arcsec', or a number of pixels, not {show(value)}")
    number, unit = _number(value), "pix"
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*([A-Za-z]{2,20}|\"|')\s*", value)
        if match is None:
            raise wrong
        text, unit = match.groups()
        number = float(text) if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d{1,3})?", text.lower()) else None
    elif hasattr(value, "unit") and getattr(value, "shape", None) == ():
        number, unit = float(value.value), value.unit.to_string()
    if number is None:
        raise wrong
    if not 0 < number < 1e7:
        raise ValueError(f"must be more than 0, not {show(value)}")
    if unit in {"pix", "px", "pixel", "pixels"}:
        return int(number) if number == int(number) else number
    return _angle(number, {'"': "arcsec", "'": "arcmin"}.get(unit, unit), wrong)


def _angle(number: float, unit: str, wrong: ValueError) -> Quantity:
    from astropy import units  # here, because it takes longer to import than everything else together

    try:
        return (number * units.Unit(unit, parse_strict="raise")).to(units.arcsec)
    except (TypeError, ValueError, units.UnitsError):
        raise wrong from None


def _length_or_auto(value: Any) -> Quantity | float | str:
    return value if isinstance(value, str) and value == "auto" else _length(value)


def _lengths(value: Any) -> tuple[Quantity | float, ...]:
    """One length or a list of up to ten."""
    given = list(value) if isinstance(value, (list, tuple)) else [value]
    if not 1 <= len(given) <= 10:
        raise ValueError(f"must be one length or a list of up to 10, not {show(value)}")
    return tuple(_length(item) for item in given)


def _length_text(value: Any) -> Any:
    return f"{float(value.value)!r} arcsec".replace(".0 ", " ") if hasattr(value, "unit") else value


def length_in_pixels(length: Quantity | float, pixel_scale: float) -> float:
    """A configured length in pixels.

    Parameters
    ----------
    length : `~astropy.units.Quantity` or number
        An angle, or pixels.
    pixel_scale : float
        Arcsec per pixel; NaN where it is not known (no WCS).

    Returns
    -------
    float
        Pixels.

    Raises
    ------
    ConfigError
        The length is an angle and the pixel scale is not known.

    Examples
    --------
    >>> length_in_pixels(12, 0.4)
    12.0
    """
    if not hasattr(length, "unit"):
        return float(length)
    if not (math.isfinite(pixel_scale) and pixel_scale > 0):
        raise ConfigError(f"a length of {_length_text(length)} needs an image with a WCS; give it in pixels instead")
    return float(length.to_value("arcsec")) / pixel_scale


def _size(value: Any) -> int | str:
    """Bytes, or 'auto'."""
    if isinstance(value, str) and value == "auto":
        return value
    match = re.fullmatch(r"\s*(\d+\.?\d{0,9})\s*([A-Za-z]+)\s*", value) if isinstance(value, str) else None
    unit = match and next((n for name, n in BYTES.items() if name.lower() == match[2].lower()), None)
    if not match or not unit or len(match[1]) > 20:
        raise ValueError(f"must be auto, or a size such as '4 GB', not {show(value)}")
    size = round(float(match[1]) * unit)
    if not 10**8 <= size <= 10**16:
        raise ValueError(f"must be at least 100 MB, not {show(value)}")
    return size


def _size_text(value: int | str) -> str:
    if isinstance(value, str):
        return value
    unit = next(name for name, n in BYTES.items() if value % n == 0)
    return f"{value // BYTES[unit]} {unit}"


# -- the types -------------------------------------------------------------------------------------


FileName = Annotated[str, BeforeValidator(checked_name), Kind("text")]
Bands = Annotated[tuple[str, ...], BeforeValidator(partial(_names, example="[g, r, i]")), Kind("list of text")]
Formats = Annotated[tuple[str, ...], BeforeValidator(partial(_names, example="[fits, votable]")), Kind("list of text")]
NameList = Annotated[tuple[str, ...], BeforeValidator(_name_list), Kind("list of text")]
Heads = Annotated[
    tuple[Literal["detection", "stargalaxy", "morphology"], ...], Kind("list of detection | stargalaxy | morphology")
]
Hdu = Annotated[Any, PlainValidator(_hdu), Kind("auto | name | whole number | {band: one of these}")]
Bits = Annotated[Any, PlainValidator(_bits), Kind("list of bits | null")]
PerBand = Annotated[Any, PlainValidator(_per_band), Kind("number | header keyword | {band: one of these} | null")]
ZeroPoint = Annotated[
    Any,
    PlainValidator(partial(_per_band, auto=True)),
    Kind("number | header keyword | auto | {band: one of these} | null"),
]
Planes = Annotated[Any, PlainValidator(_planes), Kind("whole number | {band: whole number} | null")]
Weights = Annotated[dict[str, float], BeforeValidator(_weights), Kind("{name: number}")]
TrainingPrecision = Annotated[Literal["32", "bf16"], BeforeValidator(_number_format)]
Levels = Annotated[tuple[int, ...], BeforeValidator(_levels), Kind("list of whole numbers")]
Zoom = Annotated[float, BeforeValidator(_zoom), Kind("1 | 1.5 | 2")]
CentralSide = Annotated[
    float, Field(gt=0, le=1, description="Side of the central square that is cut out, as a fraction of the image side.")
]
Threshold = Annotated[Any, PlainValidator(_threshold), Kind("default | number from 0 to 1")]
Workers = Annotated[Any, PlainValidator(lambda value: _whole(value, 1, 100_000)), Kind("auto | whole number")]
TileSize = Annotated[Any, PlainValidator(_tile_size), Kind("auto | multiple of 32")]
Scheduler = Annotated[Any, PlainValidator(_scheduler), Kind("address | null")]
Length = Annotated[Any, PlainValidator(_length), PlainSerializer(_length_text), Kind("angle | pixels")]
Lengths = Annotated[
    Any,
    PlainValidator(_lengths),
    PlainSerializer(lambda lengths: [_length_text(length) for length in lengths]),
    Kind("length, or list of lengths"),
]
LengthOrAuto = Annotated[
    Any, PlainValidator(_length_or_auto), PlainSerializer(_length_text), Kind("auto | angle | pixels")
]
Size = Annotated[Any, PlainValidator(_size), PlainSerializer(_size_text), Kind("auto | size")]
