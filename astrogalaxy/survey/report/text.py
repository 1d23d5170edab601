"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

__all__ = ["NOTHING", "area", "count", "duration", "joined", "moment", "number", "share", "size"]

#: Stands where there is no value.
NOTHING = "\N{EN DASH}"


def number(value: Any, digits: int = 2) -> str:
    """A number with so many digits after the point; a dash for None, NaN and infinity.

    Examples
    --------
    >>> from astrogalaxy.survey.report.text import number
    >>> number(1.2345), number(-0.001, 1)
    ('1.23', '0.0')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{value:,.{digits}f}"
    # what rounds to zero has no sign
    return text.removeprefix("-") if not text.strip("-0.,") else text.replace("-", "\N{MINUS SIGN}")


def count(value: Any) -> str:
    """A whole number in groups of three digits; a dash for None.

    Examples
    --------
    >>> from astrogalaxy.survey.report.text import count
    >>> count(1234567)
    '1,234,567'
    """
    return NOTHING if value is None else f"{int(value):,}"


def share(part: float, whole: float) -> str:
    r"""A part in percent, in one unbroken piece; a dash where there is no whole.

    Examples
    --------
    >>> from astrogalaxy.survey.report.text import share
    >>> [share(*pair).replace("\N{NO-BREAK SPACE}", " ") for pair in ((1, 8), (1, 3000), (0, 7))]
    ['12.5 %', '< 0.1 %', '0 %']
    """
    if not whole:
        return NOTHING
    percent = 100 * part / whole
    text = "0" if percent == 0 else "< 0.1" if percent < 0.1 else f"{percent:.1f}"
    return f"{text} %".replace(" ", "\N{NO-BREAK SPACE}")


def duration(seconds: Any) -> str:
    """A time span in the units that fit it; a dash for None and NaN.

    Examples
    --------
    >>> from astrogalaxy.survey.report.text import duration
    >>> duration(0.25), duration(83), duration(7260)
    ('0.25 s', '1 min 23 s', '2 h 01 min')
    """
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 59.95:
        return f"{seconds:.{1 if seconds >= 1 else 2}f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def size(n_bytes: Any) -> str:
    """A file's size; a dash for None.

    Examples
    --------
    >>> from astrogalaxy.survey.report.text import size
    >>> size(3_300_000)
    '3.3 MB'
    """
    if n_bytes is None:
        return NOTHING
    value = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.{0 if unit == 'B' else 1}f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def area(square_arcsec: float) -> str:
    """A patch of sky in the unit that fits it; a dash for NaN and 0.

    Examples
    --------
    >>> from astrogalaxy.survey.report.text import area
    >>> area(3600.0 * 75), area(3600.0**2 * 2.5)
    ('75.0 arcmin²', '2.50 deg²')
    """
    if not math.isfinite(square_arcsec) or square_arcsec <= 0:
        return NOTHING
    degrees = square_arcsec / 3600**2
    return f"{number(degrees, 2)} deg²" if degrees >= 0.1 else f"{number(square_arcsec / 3600, 1)} arcmin²"


def joined(names: Iterable[Any]) -> str:
    """Names with commas; a dash for none."""
    return ", ".join(map(str, names)) or NOTHING


def moment(iso: Any) -> str:
    """A time of the record as people write it; what is no time stays as it is."""
    try:
        time = datetime.fromisoformat(str(iso))
    except ValueError:
        return str(iso or "")
    zone = " UTC" if time.tzinfo is not None and not time.utcoffset() else time.strftime(" %z").rstrip()
    return f"{time.day} {time:%B %Y, %H:%M}{zone}"
