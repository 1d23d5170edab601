"""The catalogue's columns: one registry gives name, type, unit, UCD and description.

The writers, the documentation's table and the validators are all made from it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from astrogalaxy.catalog.flags import flag_bits
from astrogalaxy.errors import CatalogError

__all__ = [
    "CLASSES",
    "CLASS_UCD",
    "COLUMNS",
    "INPUT_ROW",
    "INSTRUMENTAL",
    "MORPHOLOGIES",
    "Column",
    "aperture_prefix",
    "check_classes",
    "check_served",
    "class_column",
    "column_rows",
    "columns_for",
    "ucd_of_band",
]

CLASSES = ("star", "galaxy", "unsure")
"""Values of the column ``class``."""

MORPHOLOGIES = ("smooth", "disk", "unsure", "")
"""Values of the column ``morphology``; empty where the source is no galaxy."""

CLASS_UCD = "src.morph.type;stat.probability"
"""UCD of the classifier's columns, by which they are known again after reading."""

INPUT_ROW = "input_row"
"""Column that says which row of a given table a source is; only there with given positions."""

INSTRUMENTAL = "image units"
"""Words in the description of a flux without zero point, by which it is known again after reading."""

# The kinds of sources whose probabilities are the detector's own.
_DETECTED = ("star", "galaxy")

Kind = Literal["source", "positions", "classifier", "band", "aperture"]

# The UCD vocabulary has words for Johnson's optical bands only; each filter takes the nearest.
_BAND_WORDS = {
    **dict.fromkeys(["u", "U"], "em.opt.U"),
    **dict.fromkeys(["g", "b", "B"], "em.opt.B"),
    **dict.fromkeys(["v", "V"], "em.opt.V"),
    **dict.fromkeys(["r", "R"], "em.opt.R"),
    **dict.fromkeys(["i", "I", "z", "Z", "y", "Y"], "em.opt.I"),
    **dict.fromkeys(["j", "J"], "em.IR.J"),
    **dict.fromkeys(["h", "H"], "em.IR.H"),
    **dict.fromkeys(["k", "K", "ks", "Ks"], "em.IR.K"),
}

_FITS_CODES = {"f4": "E", "f8": "D", "i4": "J", "i8": "K"}


@dataclass(frozen=True)
class Column:
    """One column of the contract.

    Attributes
    ----------
    name : str
        Name in the catalogue; in the registry a band or class is written ``{band}``, ``{class}``.
    dtype : str
        numpy type; ``"U"`` is a string as wide as its longest value.
    unit : str or None
        Unit in the VOUnits spelling; None where there is none.
    ucd : str
        UCD1+ words, checked against the controlled vocabulary.
    description : str
        One sentence; short enough for one FITS card.
    kind : {"source", "positions", "classifier", "band", "aperture"}
        Once per catalogue, once per catalogue made at given positions, once per class of the optional classifier,
        once per band, once per band and aperture after the first.
    missing : object
        The value where nothing was measured: NaN, 0, -1 or a string.
    values : tuple of str
        All that a string column may hold; empty: anything.

    Examples
    --------
    >>> from astrogalaxy.catalog import COLUMNS
    >>> COLUMNS["ra"].unit, COLUMNS["ra"].ucd, COLUMNS["ra"].fits_format
    ('deg', 'pos.eq.ra;meta.main', 'D')
    """

    name: str
    dtype: str
    unit: str | None
    ucd: str
    description: str
    kind: Kind = "source"
    missing: Any = np.nan
    values: tuple[str, ...] = ()

    @property
    def fits_format(self) -> str:
        """The FITS ``TFORM`` code; ``"nA"`` for a string as wide as its longest value."""
        kind = np.dtype(self.dtype)
        if kind.kind == "U":
            return f"{kind.itemsize // 4 or 'n'}A"
        return _FITS_CODES[kind.str[1:]]


def _columns() -> Iterable[Column]:
    """Every column of the contract, in its order."""
    f4, f8 = "float32", "float64"
    text = "HEALPix pixel of ra, dec (nested, order 29); -1: no position"
    yield Column("source_id", "int64", None, "meta.id;meta.main", text, missing=-1)
    yield Column("ra", f8, "deg", "pos.eq.ra;meta.main", "Right ascension, ICRS")
    yield Column("dec", f8, "deg", "pos.eq.dec;meta.main", "Declination, ICRS")
    yield Column("ra_err", f4, "arcsec", "stat.error;pos.eq.ra", "1 sigma error of ra on the sky (cos dec included)")
    yield Column("dec_err", f4, "arcsec", "stat.error;pos.eq.dec", "1 sigma error of dec")
    for axis in ("x", "y"):
        text = f"{axis} in the reference image; the centre of the first pixel is 0"
        yield Column(axis, f8, "pix", f"pos.cartesian.{axis};instr.pixel", text)
    for axis in ("x", "y"):
        for end, word in (("min", "Lower"), ("max", "Upper")):
            text = f"{word} {axis} edge of the source's bounding box, 0-based"
            yield Column(f"{axis}_{end}", f4, "pix", f"pos.cartesian.{axis};stat.{end}", text)
    yield Column("field", "U", None, "meta.id;obs.field", "Survey field in which the source was found", missing="")
    text = "Row of the source in the table of given positions, from 0"
    yield Column(INPUT_ROW, "int64", None, "meta.id.cross", text, "positions", missing=-1)
    yield Column("det_score", f4, None, "stat.probability", "Calibrated probability that the source is real")
    for name in _DETECTED:
        ucd = "src.class.starGalaxy;stat.probability"
        yield Column(f"p_{name}", f4, None, ucd, f"Calibrated probability that the source is a {name}")
    yield Column("class", "U6", None, "src.class", "star, galaxy or unsure", missing="unsure", values=CLASSES)
    for name, text in (("smooth", "smooth"), ("disk", "a disk")):
        text = f"Calibrated probability that the galaxy is {text}; NaN for stars"
        yield Column(f"p_{name}", f4, None, CLASS_UCD, text)
    text = "smooth, disk or unsure; empty if the source is not a galaxy"
    yield Column("morphology", "U6", None, "src.morph.type", text, missing="", values=MORPHOLOGIES)
    text = "Calibrated probability of the class {class}"
    yield Column("p_{class}", f4, None, CLASS_UCD, text, "classifier")
    yield from _band_columns()
    yield Column("snr", f4, None, "stat.snr", "Signal-to-noise ratio of all bands combined")
    yield Column("a", f4, "arcsec", "phys.angSize.smajAxis", "Semi-major axis: rms extent of the light along it")
    yield Column("b", f4, "arcsec", "phys.angSize.sminAxis", "Semi-minor axis: rms extent of the light along it")
    yield Column("theta", f4, "deg", "pos.posAng", "Position angle of the major axis, east of north")
    yield Column("ellipticity", f4, None, "src.ellipticity", "1 - b/a")
    yield Column("half_light_radius", f4, "arcsec", "phys.angSize", "Radius of the circle containing half of the light")
    text = "half_light_radius less that of stars in quadrature; 0: as a star"
    yield Column("radius_corr", f4, "arcsec", "phys.angSize", text)
    yield Column("fwhm", f4, "arcsec", "phys.angSize", "Full width at half maximum of the Moffat profile with its size")
    text = "Disk fraction of a PSF plus disk fit; 0: point, about 1: extended"
    yield Column("spread", f4, None, "phys.angSize;arith.ratio", text)
    yield Column("spread_err", f4, None, "stat.error;phys.angSize;arith.ratio", "1 sigma error of spread")
    yield Column("flags", "int32", None, "meta.code.qual", "Quality flags, a bit field; 0: none is set", missing=0)


def _band_columns() -> Iterable[Column]:
    """The columns that each band has, for a band with a zero point."""
    yield from _pair("flux_{band}", "Total flux in {band}, AB zero point", "nJy", "phot.flux")
    yield from _pair("mag_{band}", "Total AB magnitude in {band}", "mag", "phot.mag")
    text = "Fixed-aperture flux in {band}, AB zero point"
    yield from _pair("flux_aper_{band}", text, "nJy", "phot.flux")
    yield from _pair(
        "flux_aper{number}_{band}", "Aperture {number} flux in {band}, AB zero point", "nJy", "phot.flux", "aperture"
    )
    text = "Aperture-corrected star flux in {band}, AB zero point"
    yield from _pair("flux_apcor_{band}", text, "nJy", "phot.flux")
    yield from _pair("flux_psf_{band}", "PSF flux in {band}, AB zero point", "nJy", "phot.flux")
    text = "Quality flags of {band}: edge, saturated, masked, missing_band"
    missing = flag_bits("missing_band")
    yield Column("flags_{band}", "int32", None, "meta.code.qual;{em}", text, "band", missing=missing)


def _pair(name: str, text: str, unit: str, ucd: str, kind: Kind = "band") -> Iterable[Column]:
    """A column of a band and that of its error."""
    yield Column(name, "float32", unit, f"{ucd};{{em}}", text, kind)
    error = f"1 sigma error of {name}" + (" (AB)" if unit == "mag" else "")
    yield Column(f"{name}_err", "float32", unit, f"stat.error;{ucd};{{em}}", error, kind)


COLUMNS: dict[str, Column] = {column.name: column for column in _columns()}
"""The registry, in the contract's order; band and class columns are templates."""


def ucd_of_band(band: str) -> str | None:
    """UCD word of a band's part of the spectrum, or None where there is none.

    Parameters
    ----------
    band : str
        Name of the band. Johnson's and the SDSS, PanSTARRS, LSST and near-infrared names are
        known; anything else has no word.

    Returns
    -------
    str or None
        Such as ``em.opt.R``.

    Examples
    --------
    >>> from astrogalaxy.catalog import ucd_of_band
    >>> ucd_of_band("g"), ucd_of_band("F606W")
    ('em.opt.B', None)
    """
    return _BAND_WORDS.get(band)


def class_column(name: str) -> str:
    """Column name of one class of a classifier.

    Parameters
    ----------
    name : str
        The classifier's own name of the class.

    Returns
    -------
    str
        ``p_`` and the name in lower case, with everything else than letters and digits as ``_``.

    Examples
    --------
    >>> from astrogalaxy.catalog import class_column
    >>> class_column("Round Smooth Galaxies")
    'p_round_smooth_galaxies'
    """
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not slug:
        msg = f"class name {name!r} has no ASCII letter or digit to name a column by"
        raise CatalogError(msg)
    return f"p_{slug}"


def check_classes(names: Iterable[str]) -> None:
    """See that each class of a classifier can have a column of its own.

    Parameters
    ----------
    names : iterable of str
        The classifier's own names of the classes.

    Raises
    ------
    CatalogError
        If one has no letter or digit for it, or two would share one.

    Examples
    --------
    >>> from astrogalaxy.catalog import check_classes
    >>> check_classes(["disk", "Disk"])
    Traceback (most recent call last):
    ...
    astrogalaxy.errors.CatalogError: the classes disk and Disk would share the column p_disk; rename one of them
    """
    owners: dict[str, str] = {}
    for name in names:
        column = class_column(name)
        if column in owners:
            msg = f"the classes {owners[column]} and {name} would share the column {column}; rename one of them"
            raise CatalogError(msg)
        owners[column] = name


def check_served(names: Iterable[str]) -> None:
    """See that the classes of a classifier can be columns beside those of the detector.

    Parameters
    ----------
    names : iterable of str
        The classifier's own names of the classes.

    Raises
    ------
    CatalogError
        If one would take the place of a probability that the detector says, or `check_classes` refuses them.

    Examples
    --------
    >>> from astrogalaxy.catalog import check_served
    >>> check_served(["spiral", "Star"])
    Traceback (most recent call last):
    ...
    astrogalaxy.errors.CatalogError: its class Star would take the place of p_star, which the detector says; rename it
    """
    names = list(names)
    check_classes(names)
    for name in names:
        if class_column(name) in {f"p_{said}" for said in _DETECTED}:
            msg = f"its class {name} would take the place of {class_column(name)}, which the detector says; rename it"
            raise CatalogError(msg)


def aperture_prefix(number: int) -> str:
    """First part of the names of a fixed aperture's columns.

    Parameters
    ----------
    number : int
        Which of the apertures, from 0.

    Returns
    -------
    str
        Such as ``flux_aper``; ``_<band>`` follows it.

    Examples
    --------
    >>> from astrogalaxy.catalog import aperture_prefix
    >>> aperture_prefix(0), aperture_prefix(1)
    ('flux_aper', 'flux_aper2')
    """
    return f"flux_aper{number + 1}" if number else "flux_aper"


def columns_for(
    bands: Sequence[str],
    *,
    calibrated: bool | Collection[str] = True,
    classes: Sequence[str] = (),
    apertures: int = 1,
    positions: bool = False,
) -> list[Column]:
    """Columns of a catalogue with these bands and classes, in the contract's order.

    Parameters
    ----------
    bands : sequence of str
        Band names, shortest wavelength first: ASCII letters, digits and underscores.
    calibrated : bool or collection of str
        Whether fluxes are in nJy (a zero point is known): for all bands, none, or those named.
        A band without has fluxes in image units, without unit, and NaN magnitudes.
    classes : sequence of str
        Classes of the optional cutout classifier; see `class_column`.
    apertures : int, optional
        How many fixed apertures there are.
    positions : bool, optional
        Whether the sources are those of a given table: its rows are a column.

    Returns
    -------
    list of Column
        Templates filled in; names are unique even where case is ignored, as FITS wants.

    Raises
    ------
    CatalogError
        If there is no band, a name cannot be a column's name, or two columns would share one.

    Examples
    --------
    >>> from astrogalaxy.catalog import columns_for
    >>> [column.name for column in columns_for(["g"]) if column.kind == "band"][:3]
    ['flux_g', 'flux_g_err', 'mag_g']
    """
    _check_bands(bands, calibrated)
    result: list[Column] = []
    grouped = {
        "band": [_for_band(band, _is_calibrated(band, calibrated), apertures) for band in bands],
        "classifier": [[_for_class(name) for name in classes]],
    }
    for column in COLUMNS.values():
        if column.kind == "source" or (positions and column.kind == "positions"):
            result.append(column)
        elif column.kind not in ("aperture", "positions"):
            # All templates of a kind stand together: the first one takes the place of all.
            result += [filled for group in grouped.pop(column.kind, []) for filled in group]
    _check_unique(result)
    return result


def _for_band(band: str, calibrated: bool, apertures: int) -> list[Column]:
    """Fill the band templates in for one band."""
    word = ucd_of_band(band)
    filled = []
    for column, number in _band_templates(apertures):
        text = column.description.format(band=band, number=number)
        unit = column.unit
        if not calibrated and unit == "nJy":
            unit, text = None, text.replace(", AB zero point", "") + f", {INSTRUMENTAL} (no zero point)"
        elif unit is not None and not calibrated:
            text += ": NaN, no zero point"
        ucd = column.ucd.replace(";{em}", f";{word}" if word else "")
        name = column.name.format(band=band, number=number)
        filled.append(replace(column, name=name, kind="band", unit=unit, ucd=ucd, description=text))
    return filled


def _band_templates(apertures: int) -> Iterable[tuple[Column, int]]:
    """Templates of a band in their order, those of apertures once for each after the first."""
    more = [column for column in COLUMNS.values() if column.kind == "aperture"]
    for column in COLUMNS.values():
        if column.kind == "band":
            yield column, 1
        elif column is more[0]:
            yield from ((template, number) for number in range(2, apertures + 1) for template in more)


def _for_class(name: str) -> Column:
    """Fill the classifier template in for one class."""
    template = COLUMNS["p_{class}"]
    text = template.description.replace("{class}", name)
    return replace(template, name=class_column(name), description=text)


def _is_calibrated(band: str, calibrated: bool | Collection[str]) -> bool:
    return calibrated if isinstance(calibrated, bool) else band in calibrated


def _check_bands(bands: Sequence[str], calibrated: bool | Collection[str]) -> None:
    """Refuse band names that cannot make column names."""
    if isinstance(bands, str):
        msg = f"bands must be a list of names, such as [{bands!r}], not the string {bands!r}"
        raise CatalogError(msg)
    if not bands:
        msg = "bands is empty; a catalogue has at least one band"
        raise CatalogError(msg)
    for band in bands:
        if not isinstance(band, str) or not re.fullmatch(r"[A-Za-z0-9_]+", band):
            msg = f"band name {band!r} cannot be part of a column name; use ASCII letters, digits and underscores"
            raise CatalogError(msg)
    strangers = [] if isinstance(calibrated, bool) else sorted(set(calibrated) - set(bands))
    if strangers:
        msg = f"calibrated names {strangers[0]!r}, which is not one of the bands {', '.join(bands)}"
        raise CatalogError(msg)


def _check_unique(columns: Sequence[Column]) -> None:
    """Refuse two columns that FITS, which ignores case, could not tell apart."""
    counts = Counter(column.name.lower() for column in columns)
    twice = [column.name for column in columns if counts[column.name.lower()] > 1]
    if twice:
        msg = f"two columns would be called {' and '.join(twice[:2])} (case is ignored); rename a band or class"
        raise CatalogError(msg)


def column_rows(columns: Iterable[Column] | None = None) -> list[tuple[str, str, str, str, str, str]]:
    """Rows of the documentation's table: name, type, unit, FITS format, UCD, description.

    Parameters
    ----------
    columns : iterable of Column, optional
        Default: the registry, with ``{band}`` and ``{class}`` left as they are.

    Returns
    -------
    list of tuple of str
        A row for each column; an empty string where there is no unit.

    Examples
    --------
    >>> from astrogalaxy.catalog import column_rows, columns_for
    >>> next(row[:4] for row in column_rows(columns_for(["r"])) if row[0] == "flux_r")
    ('flux_r', 'float32', 'nJy', 'E')
    """
    chosen = COLUMNS.values() if columns is None else columns
    return [
        (c.name, _type_name(c.dtype), c.unit or "", c.fits_format, c.ucd.replace("{em}", "em.*"), c.description)
        for c in chosen
    ]


def _type_name(dtype: str) -> str:
    return "string" if dtype.startswith("U") else dtype
