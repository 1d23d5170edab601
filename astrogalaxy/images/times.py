"""When an image was taken, and for how long it was exposed, by its header."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from astrogalaxy.images.quiet import quiet

__all__ = ["exposure_time", "observed"]

logger = logging.getLogger(__name__)

# FITS itself has XPOSURE only (Rots et al. 2015, A&A 574, A36); cameras write the others.
_EXPOSURE = ("XPOSURE", "EXPTIME", "EXPOSURE")
_MJD = ("MJD-AVG", "MJD-OBS", "MJD-BEG")
_DATES = ("DATE-AVG", "DATE-OBS", "DATE-BEG")
# The time of the day, where the date has none; SDSS writes the last.
_TIMES_OF_DAY = ("TIME-OBS", "UTC-OBS", "UT", "UTC", "TAIHMS")
# Scales that are seconds or more from UTC. UT1 is closer, and to tell the difference takes a table from the network.
_OTHER_SCALES = ("tai", "tt", "tdb", "tcg", "tcb")
# Noon of 1 January 2000, and two minutes in days, for the scales in which that is counted.
_J2000, _MINUTES = 51544.5, 2 / 1440


def exposure_time(keywords: Mapping[str, Any]) -> float | None:
    """Exposure time that a header gives.

    Parameters
    ----------
    keywords : mapping
        Cards of the header.

    Returns
    -------
    float or None
        Seconds; None where no card says it. Of a stack it is whatever those who made it wrote.

    Examples
    --------
    >>> from astrogalaxy.images.times import exposure_time
    >>> exposure_time({"EXPTIME": "53.907456"}), exposure_time({"EXPTIME": 0})
    (53.907456, None)
    """
    for key in _EXPOSURE:
        seconds = _number(keywords.get(key))
        if seconds is not None and seconds > 0:
            return seconds
    return None


def observed(keywords: Mapping[str, Any]) -> float | None:
    """When an image was taken: the middle of the exposure where the header has it, or else its start.

    Parameters
    ----------
    keywords : mapping
        Cards of the header; ``TIMESYS`` is the time scale, UTC where there is none.

    Returns
    -------
    float or None
        Modified Julian date, UTC; None where no card says it, or the date is without a time of the day.

    Examples
    --------
    >>> from astrogalaxy.images.times import observed
    >>> observed({"MJD-OBS": 58119.5}), observed({"DATE-OBS": "2018-01-01"})
    (58119.5, None)
    >>> sdss = {"DATE-OBS": "2003-04-29", "TAIHMS": "04:48:39.69", "TIMESYS": "TAI"}
    >>> round(observed(sdss), 6)
    52758.200089
    """
    for of_mjd, of_date in zip(_MJD, _DATES, strict=True):
        if (mjd := _number(keywords.get(of_mjd))) and (found := _in_utc(mjd, "mjd", keywords)) is not None:
            return found
        date = str(keywords.get(of_date, "")).strip().removesuffix("Z")  # which FITS does not know, though it is meant
        if date and "T" not in date:
            times = (str(keywords.get(key, "")).strip() for key in _TIMES_OF_DAY)
            date = next((f"{date}T{time}" for time in times if ":" in time), "")
        if date and (found := _in_utc(date, "fits", keywords)) is not None:
            return found
    return None


def _in_utc(value: float | str, form: str, keywords: Mapping[str, Any]) -> float | None:
    """A time of a header as a date in UTC, None if it is none, or J2000.0, which stands for none in some stacks."""
    from astropy.time import Time

    scale = str(keywords.get("TIMESYS", "")).strip().lower()
    try:
        with quiet():  # of years that may get leap seconds
            mjd = float(Time(value, format=form, scale=scale if scale in _OTHER_SCALES else "utc").utc.mjd)
    except ValueError as error:
        logger.info("no time of observation: %s", error)
        return None
    return None if abs(mjd - _J2000) < _MINUTES else mjd


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
