"""The table of fields, ``fields.ecsv``: where each is, what its headers say, and how sharp and deep it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import MaskedColumn, Table

from astrogalaxy.catalog import COLUMNS
from astrogalaxy.files import atomic_path
from astrogalaxy.survey.facts import FieldFacts

__all__ = ["FIELD_COLUMNS", "FieldColumn", "field_table", "write_fields"]


@dataclass(frozen=True)
class FieldColumn:
    """One column of the table of fields.

    Attributes
    ----------
    name : str
        In the registry a band is written ``{band}``.
    unit : str or None
        Unit; None where there is none.
    description : str
        One sentence.
    value : callable
        Its value from `FieldFacts`, and from the name of the band for a column of each band; None where it is not
        known.
    """

    name: str
    unit: str | None
    description: str
    value: Callable[..., Any]

    @property
    def by_band(self) -> bool:
        """Whether each band has one."""
        return "{band}" in self.name


def _columns() -> Iterator[FieldColumn]:
    """Every column, in its order."""
    # in the words of the catalogue, so that the two are joined without a warning
    yield FieldColumn("field", None, COLUMNS["field"].description, lambda f: f.name)
    yield FieldColumn("status", None, "done, partial or failed", lambda f: f.status)
    yield FieldColumn("ra", "deg", "Right ascension of the middle of the reference image, ICRS", lambda f: f.centre[0])
    yield FieldColumn("dec", "deg", "Declination of the middle of the reference image, ICRS", lambda f: f.centre[1])
    yield FieldColumn("nx", "pix", "Columns of the reference image", lambda f: f.shape[1])
    yield FieldColumn("ny", "pix", "Rows of the reference image", lambda f: f.shape[0])
    yield FieldColumn("pixel_scale", "arcsec / pix", "Pixel size of the reference image", lambda f: f.pixel_scale)
    yield FieldColumn(
        "area", "deg2", "Area that was searched, overlaps with other fields included", lambda f: f.area / 3600**2
    )
    yield FieldColumn("sources", None, "Rows of the field in the catalogue", lambda f: f.sources)
    text = "Stars from which the seeing was measured"
    yield FieldColumn("stars", None, text, lambda f: 0 if f.seeing is None else f.seeing.n_stars)
    yield FieldColumn("seeing", "arcsec", "Median FWHM of these stars", lambda f: f.seeing and f.seeing.median)
    yield FieldColumn("seeing_spread", "arcsec", "Scatter of their FWHM", lambda f: f.seeing and f.seeing.spread)
    text = "Median ellipticity, 1 - b/a, of stars"
    yield FieldColumn("ellipticity", None, text, lambda f: f.measured.get("ellipticity"))
    for axis in ("ra", "dec"):
        yield FieldColumn(f"offset_{axis}", "arcsec", f"Median {axis} less that of astrometry.check", _offset(axis))
    yield FieldColumn("image_{band}", None, "Image of {band}", lambda f, band: f.inputs.get(band, {}).get("path"))
    yield FieldColumn("mjd_{band}", "d", "Modified Julian date of {band}, UTC, by the header", _header("mjd"))
    yield FieldColumn("exptime_{band}", "s", "Exposure time of {band}, by the header", _header("exposure_time"))
    yield FieldColumn("zeropoint_{band}", "mag", "AB magnitude of one image unit of {band}", _header("zeropoint"))
    yield FieldColumn("gain_{band}", "electron", "Electrons in one image unit of {band}", _header("gain"))
    yield FieldColumn(
        "depth_{band}", "mag", "5 sigma limit of {band} in the fixed aperture, AB",
        lambda f, band: f.depth[band].value if band in f.depth and f.depth[band].is_magnitude else None,
    )  # fmt: skip
    text = "Factor from flux_aper to flux_apcor of {band}"
    yield FieldColumn("apcor_{band}", None, text, lambda f, band: _corrections(f, band).get("factor"))
    text = "1 sigma error of apcor_{band}"
    yield FieldColumn("apcor_{band}_err", None, text, lambda f, band: _corrections(f, band).get("error"))
    for number, axis in enumerate("xy"):
        text = f"Shift of the WCS of {{band}} along {axis}; 0 if it agrees with that of the reference"
        yield FieldColumn(f"shift_{axis}_{{band}}", "pix", text, _shift(number))


def _header(name: str) -> Callable[[FieldFacts, str], float | None]:
    return lambda facts, band: facts.headers.get(band, {}).get(name)


def _offset(axis: str) -> Callable[[FieldFacts], float | None]:
    return lambda facts: (facts.measured.get("astrometry") or {}).get(axis)


def _shift(number: int) -> Callable[[FieldFacts, str], float | None]:
    """0 for bands that were used and not shifted."""
    return lambda f, band: f.shifts.get(band, (0, 0))[number] if band in f.bands else None


def _corrections(facts: FieldFacts, band: str) -> Mapping[str, float | None]:
    return facts.measured.get("corrections", {}).get(band, {})


FIELD_COLUMNS: dict[str, FieldColumn] = {column.name: column for column in _columns()}
"""The registry; columns of bands are templates."""


def field_table(facts: Sequence[FieldFacts], bands: Iterable[str]) -> Table:
    """One row for each field of a run.

    Parameters
    ----------
    facts : sequence of FieldFacts
        The fields.
    bands : iterable of str
        Those of the survey.

    Returns
    -------
    Table
        The columns of `FIELD_COLUMNS`, with units and descriptions; NaN, or masked, where something is not known.
    """
    table = Table()
    for template in FIELD_COLUMNS.values():
        for band in bands if template.by_band else ("",):
            of_band = (band,) if template.by_band else ()
            values = [template.value(field, *of_band) for field in facts]
            name, text = (words.replace("{band}", band) for words in (template.name, template.description))
            table[name] = _column(values, template.unit, text)
    return table


def _column(values: list[Any], unit: str | None, description: str) -> MaskedColumn:
    kinds = {type(value) for value in values if value is not None}
    if str in kinds:
        return MaskedColumn(["" if value is None else value for value in values], description=description)
    if kinds == {int} and None not in values:
        return MaskedColumn(values, unit=unit, description=description)
    known = [np.nan if value is None else float(value) for value in values]
    return MaskedColumn(np.array(known, dtype=float), unit=unit, description=description)


def write_fields(path: Path, facts: Sequence[FieldFacts], bands: Iterable[str]) -> None:
    """Write the table of fields as ECSV, atomically."""
    table = field_table(facts, bands)
    with atomic_path(path) as temporary:
        table.write(temporary, format="ascii.ecsv", overwrite=True)
