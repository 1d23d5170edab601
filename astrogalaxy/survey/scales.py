"""Zero points and gains of fields that differ from those of the others: most of these are mistakes in headers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from astrogalaxy.survey.plan import Plan

__all__ = ["odd_scales", "zeropoint_ranges"]

# Clouds and exposure times change zero points by less than these magnitudes; gains that differ by 100 do not belong to
# images of one unit.
_OTHER_MAGNITUDES, _OTHER_GAIN = 3.0, 100.0
# So many fields are named.
_MOST_NAMES = 3


def odd_scales(plan: Plan) -> list[str]:
    """Say which zero points and gains are far from the median of their band over the survey: one remark for each."""
    far = {
        f"zero points more than {_OTHER_MAGNITUDES:g} mag": _far(plan, "zeropoint"),
        f"gains more than a factor of {_OTHER_GAIN:g}": _far(plan, "gain"),
    }
    return [
        f"{what} from the median of their band: {len(names)}, of {_some(names)}; see whether their headers are right"
        for what, names in far.items()
        if names
    ]


def zeropoint_ranges(plan: Plan) -> dict[str, tuple[float, float]]:
    """Least and largest zero point of each band in which they differ."""
    found = {band: [value for _, value in of_fields] for band, of_fields in _by_band(plan, "zeropoint")}
    return {band: (min(values), max(values)) for band, values in found.items() if min(values) < max(values)}


def _far(plan: Plan, what: str) -> list[str]:
    """Fields, bands and values."""
    found = []
    for band, of_fields in _by_band(plan, what):
        values = np.array([value for _, value in of_fields])
        middle = float(np.median(values))
        if what == "gain":
            distance = np.abs(np.log(values / middle)) / np.log(_OTHER_GAIN)
        else:
            distance = np.abs(values - middle) / _OTHER_MAGNITUDES
        found += [
            f"field {name}, band {band} ({value:.6g}, median {middle:.6g})"
            for (name, value), far in zip(of_fields, distance, strict=True)
            if far > 1
        ]
    return found


def _by_band(plan: Plan, what: str) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """The fields of each band for which the value is known."""
    most_first = sorted(plan.fields, key=lambda field: -len(field.bands))
    for band in dict.fromkeys(band for field in most_first for band in field.bands):
        have = [(field.name, field.headers.bands[band]) for field in plan.fields if band in field.bands]
        known = [(name, value) for name, header in have if (value := getattr(header, what)) is not None]
        if known:
            yield band, known


def _some(names: list[str]) -> str:
    left = len(names) - _MOST_NAMES
    return "; ".join(names[:_MOST_NAMES]) + (f"; and {left} more" if left > 0 else "")
