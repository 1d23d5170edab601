"""The source catalogue: an astropy table that knows its contract."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.io.registry import UnifiedReadWriteMethod
from astropy.table import Column, MaskedColumn, Table, vstack
from astropy.table.connect import TableRead, TableWrite

from astrogalaxy.catalog.columns import CLASS_UCD, COLUMNS, INPUT_ROW, INSTRUMENTAL, aperture_prefix, columns_for
from astrogalaxy.catalog.columns import Column as Contract
from astrogalaxy.catalog.crossmatch import CrossMatch, crossmatch
from astrogalaxy.catalog.flags import FLAGS, has_flags
from astrogalaxy.catalog.ids import source_ids
from astrogalaxy.catalog.show import catalog_html, draw_catalog
from astrogalaxy.catalog.values import check_alike, check_column, check_names, common_length, values_of
from astrogalaxy.errors import CatalogError
from astrogalaxy.formats import format_of

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from photutils.aperture import SkyEllipticalAperture

    from astrogalaxy.catalog.crossmatch import WithPositions

__all__ = ["SourceCatalog"]


class _Read(TableRead):
    """Read a catalogue from a file.

    The format is known by the end of the name, as listed in `astrogalaxy.formats.FORMATS`; any other
    that `astropy.table.Table.read` knows works besides.

    Parameters
    ----------
    *args : tuple, optional
        The file's path first.
    format : str
        The format, where the name does not tell.
    **kwargs : dict, optional
        Passed on to the reader.

    Returns
    -------
    SourceCatalog
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **_with_format(args, kwargs))


class _Write(TableWrite):
    """Write the catalogue to a file: whole, or not at all.

    The format is known by the end of the name, as listed in `astrogalaxy.formats.FORMATS`, or is one
    that `astropy.table.Table.write` knows besides.

    Parameters
    ----------
    *args : tuple, optional
        The file's path first.
    format : str
        The format, where the name does not tell.
    overwrite : bool
        Replace an existing file.
    **kwargs : dict, optional
        Passed on to the writer.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        super().__call__(*args, **_with_format(args, kwargs))


def _with_format(args: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """The options with the format that the name tells: more names than astropy knows by themselves."""
    target = args[0] if args else None
    if "format" in options or not isinstance(target, str | os.PathLike):
        return options
    form = format_of(target)
    return options if form is None else {**options, "format": form.name}


class SourceCatalog(Table):
    """Sources with their positions, classes and fluxes; an `astropy.table.Table` in all else.

    Make one with `from_columns`, read one with ``SourceCatalog.read("x.fits")``, write it with
    ``catalog.write("x.vot")``; `astrogalaxy.formats.FORMATS` lists the formats. Rows, column
    subsets and unpickled copies are again of this class. Columns and their units are listed in the documentation and in
    `astrogalaxy.catalog.COLUMNS`; each column's UCD is in ``catalog["ra"].meta["ucd"]``.

    Notes
    -----
    The catalogue's own columns are never masked: where nothing was measured a float is NaN, a
    string its default, ``flags`` 0 and ``source_id`` -1. ``meta`` holds flat provenance keys
    (`astrogalaxy.catalog.provenance`), which every file format keeps.

    Examples
    --------
    >>> from astrogalaxy.catalog import SourceCatalog
    >>> catalog = SourceCatalog.from_columns(
    ...     {"ra": [10.0, 11.0], "dec": [0.5, 0.6], "class": ["star", "galaxy"]}, bands=["g", "r"]
    ... )
    >>> len(catalog.galaxies), catalog.bands
    (1, ('g', 'r'))
    """

    read = UnifiedReadWriteMethod(_Read)
    write = UnifiedReadWriteMethod(_Write)

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, Any],
        *,
        bands: Sequence[str],
        calibrated: bool | Collection[str] = True,
        classes: Sequence[str] = (),
        apertures: int = 1,
        meta: Mapping[str, Any] | None = None,
    ) -> SourceCatalog:
        """Build a catalogue with every column of the contract.

        Parameters
        ----------
        columns : mapping of str to array_like
            Values by column name, all of one length; a scalar is repeated. Quantities are
            converted to the column's unit, other values are taken to be in it. Masked values
            become the column's missing value. Columns that are not given hold their missing
            value, except ``source_id``, which is computed from ``ra`` and ``dec``.
        bands : sequence of str
            Band names, shortest wavelength first.
        calibrated : bool or collection of str
            Whether fluxes are in nJy: for all bands, none, or those named.
        classes : sequence of str
            Classes of the optional cutout classifier.
        apertures : int
            How many fixed apertures there are.
        meta : mapping, optional
            Provenance.

        Returns
        -------
        SourceCatalog
            With every column; what was not given has its missing value.

        Raises
        ------
        CatalogError
            If a name is not in the contract (the message gives the nearest), lengths differ,
            a value does not fit the column's type or unit, or is not among its allowed ones.
        """
        contract = columns_for(
            bands, calibrated=calibrated, classes=classes, apertures=apertures, positions=INPUT_ROW in columns
        )
        check_names(columns, [column.name for column in contract])
        n_rows = common_length(columns)
        values = {c.name: values_of(c, columns.get(c.name, c.missing), n_rows) for c in contract}
        if "source_id" not in columns:
            values["source_id"] = source_ids(values["ra"], values["dec"])
        catalog = cls(values, copy=False, meta=dict(meta or {}))
        for column in contract:
            here = catalog[column.name]
            here.unit, here.description, here.meta["ucd"] = column.unit, column.description, column.ucd
        return catalog

    @classmethod
    def from_pandas(cls, dataframe: Any, *args: Any, **kwargs: Any) -> SourceCatalog:
        """Make a catalogue of a pandas data frame, which holds neither units nor UCDs.

        Parameters
        ----------
        dataframe : pandas.DataFrame
            A catalogue, or part of one, such as `~astropy.table.Table.to_pandas` makes.
        *args : tuple, optional
            See `astropy.table.Table.from_pandas`.
        **kwargs : dict, optional
            See `astropy.table.Table.from_pandas`; given ``units`` are kept.

        Returns
        -------
        SourceCatalog
            Columns that have the name of one of the contract have its unit, description and UCD. Fluxes of a band
            without magnitudes have no unit, as they are without a zero point.

        Examples
        --------
        >>> from astrogalaxy.catalog import SourceCatalog
        >>> catalog = SourceCatalog.from_columns({"ra": [10.0], "dec": [0.0], "fwhm": [1.3]}, bands=["r"])
        >>> SourceCatalog.from_pandas(catalog.to_pandas())["fwhm"].unit
        Unit("arcsec")
        """
        catalog = super().from_pandas(dataframe, *args, **kwargs)
        for column in _known_columns(catalog):
            here = catalog[column.name]
            if isinstance(here, MaskedColumn):  # of NaN, which is what a catalogue holds
                if isinstance(column.missing, float) and here.dtype.kind != "f":
                    here = here.astype(float)
                filled = here.filled(column.missing)
                # text with missing values comes as objects
                catalog[column.name] = Column(filled if filled.dtype.kind != "O" else filled.tolist(), unit=here.unit)
                here = catalog[column.name]
            if isinstance(here, Column) and here.unit is None:
                here.unit, here.description, here.meta["ucd"] = column.unit, column.description, column.ucd
        return catalog

    @classmethod
    def stack(cls, catalogs: Iterable[SourceCatalog]) -> SourceCatalog:
        """Put the rows of several catalogues under each other.

        Parameters
        ----------
        catalogs : iterable of SourceCatalog
            At least one; all with the same columns and units. Columns are put in the first
            one's order. Rows are neither merged nor sorted.

        Returns
        -------
        SourceCatalog
            A copy. ``meta`` has the keys on which all catalogues agree.

        Raises
        ------
        CatalogError
            If there is no catalogue, or columns, types or units differ.
        """
        tables = list(catalogs)
        if not tables:
            msg = "there is no catalogue to stack; give at least one"
            raise CatalogError(msg)
        first = tables[0]
        for number, table in enumerate(tables[1:], start=2):
            check_alike(first, table, f"number {number}")
        # Of a single table vstack returns, before astropy 7.2, that table itself.
        alone = len(tables) == 1
        stacked = first.copy() if alone else vstack(tables, join_type="exact", metadata_conflicts="silent")
        stacked.meta = _agreed_meta(tables)
        return stacked

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in the order of their columns."""
        seen = Counter(
            match[1]
            for name in self.colnames
            for pattern in (r"(?:flux|mag)_(.+)_err", r"(?:flux|mag)_(.+)")
            if (match := re.fullmatch(pattern, name))
        )
        # A band has four such columns; three still tell it, so that validate() can name the lost one.
        return tuple(band for band, count in seen.items() if count >= 3)

    @property
    def calibrated(self) -> tuple[str, ...]:
        """Names of the bands whose fluxes are in nJy; the others' are in image units."""

        def instrumental(band: str) -> bool:
            """Whether the band's fluxes say that they are in image units."""
            name = f"flux_{band}"
            return name in self.colnames and INSTRUMENTAL in (self[name].description or "")

        return tuple(band for band in self.bands if not instrumental(band))

    @property
    def apertures(self) -> int:
        """How many fixed apertures there are, by the columns of the first band."""
        number = 1
        while self.bands and f"{aperture_prefix(number)}_{self.bands[0]}" in self.colnames:
            number += 1
        return number

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the optional cutout classifier, as spelt in the column names (without ``p_``)."""
        return tuple(
            name[2:]
            for name in self.colnames
            if name.startswith("p_") and name not in COLUMNS and self[name].meta.get("ucd") == CLASS_UCD
        )

    @property
    def coords(self) -> SkyCoord:
        """Positions in ICRS, one per row; NaN where a source has none."""
        from astropy.coordinates import SkyCoord

        ra, dec = self._need("ra"), self._need("dec")
        return SkyCoord(np.asarray(ra) * u.deg, np.asarray(dec) * u.deg, frame="icrs")

    def sky_ellipses(self, scale: float = 1.0) -> list[SkyEllipticalAperture]:
        """Shapes of the sources as apertures of photutils, to be drawn or summed over on images with a WCS.

        Parameters
        ----------
        scale : float, optional
            Semi-axes in units of ``a`` and ``b``.

        Returns
        -------
        list of photutils.aperture.SkyEllipticalAperture
            One for each row.

        Raises
        ------
        CatalogError
            If a row has no position or no shape; leave such rows out.

        Notes
        -----
        photutils counts position angles from north to the left of the image. On mirrored images, such as DECam's, what
        it makes of these apertures is therefore mirrored: use regions there (``catalog.write("x.reg")``).

        Examples
        --------
        >>> from astrogalaxy import SourceCatalog
        >>> columns = {"ra": [10.0], "dec": [0.5], "a": [2.0], "b": [1.0], "theta": [30.0]}
        >>> catalog = SourceCatalog.from_columns(columns, bands=["r"])
        >>> catalog.sky_ellipses(3)[0].a
        <Quantity 6. arcsec>
        """
        from photutils.aperture import SkyEllipticalAperture

        axes = [np.asarray(self._need(name), float) for name in ("ra", "dec", "a", "b", "theta")]
        unknown = np.flatnonzero(~np.isfinite(axes).all(axis=0))
        if len(unknown):
            msg = f"row {unknown[0]} (of {len(unknown)}) has no position or no shape; leave such rows out"
            raise CatalogError(msg)
        _, _, a, b, theta = axes
        sizes = scale * a * u.arcsec, scale * b * u.arcsec, theta * u.deg
        return [
            SkyEllipticalAperture(at, major, minor, theta=angle)
            for at, major, minor, angle in zip(self.coords, *sizes, strict=True)
        ]

    @property
    def stars(self) -> SourceCatalog:
        """The rows whose ``class`` is star."""
        return self[np.asarray(self._need("class")) == "star"]

    @property
    def galaxies(self) -> SourceCatalog:
        """The rows whose ``class`` is galaxy."""
        return self[np.asarray(self._need("class")) == "galaxy"]

    def flagged(self, *names: str) -> SourceCatalog:
        """Rows with at least one of the named flags.

        Parameters
        ----------
        *names : str
            Names out of `astrogalaxy.catalog.FLAGS`; none means any flag of the registry.

        Returns
        -------
        SourceCatalog
            In the order of the rows.

        Raises
        ------
        CatalogError
            If a name is unknown or the catalogue has no column ``flags``.
        """
        return self[has_flags(self._need("flags"), *(names or FLAGS))]

    def crossmatch(
        self, other: WithPositions, *, radius: u.Quantity | float = 1.0, one_to_one: bool = True
    ) -> CrossMatch:
        """Match the sources with those of another catalogue by their positions on the sky.

        Parameters
        ----------
        other : astropy.table.Table, pandas.DataFrame or astropy.coordinates.SkyCoord
            Another catalogue, any table with columns ``ra`` and ``dec`` (in their units, or
            degrees, ICRS) or with a column of coordinates, or positions in any frame.
        radius : astropy.units.Quantity or float, optional
            Largest separation, an angle or arcsec.
        one_to_one : bool, optional
            Use each row of both only once, the closest pairs first. Otherwise each source here has its
            nearest there, which several may share.

        Returns
        -------
        CrossMatch
            The pairs and their separations, what has no partner, and the joined table.

        Raises
        ------
        CatalogError
            If one of both has rows, but no position on the sky, ``other`` has one that is not on the sky, or the
            radius is no angle above 0.

        Notes
        -----
        Sources without a position match nothing. Where ``other`` has proper motions, bring it to
        the epoch of the images first (`astropy.coordinates.SkyCoord.apply_space_motion`).

        Examples
        --------
        >>> from astropy.table import Table
        >>> from astrogalaxy.catalog import SourceCatalog
        >>> mine = SourceCatalog.from_columns({"ra": [10.0, 11.0], "dec": [0.0, 0.0]}, bands=["r"])
        >>> gaia = Table({"ra": [11.0001], "dec": [0.0], "parallax": [3.2]})
        >>> match = mine.crossmatch(gaia, radius=1.0)
        >>> match.index, match.separation.round(2)
        (array([1]), <Quantity [0.36] arcsec>)
        >>> match.joined()["ra", "parallax"].as_array().tolist()
        [(11.0, 3.2)]
        """
        return crossmatch(self, other, radius=radius, one_to_one=one_to_one)

    def plot(self, *, image: Any = None, ax: Any = None, **options: Any) -> Any:
        """Mark the sources, on the sky or on an image.

        Parameters
        ----------
        image : Image, optional
            What they were found in: it is drawn below them, unless axes with it are given.
        ax : matplotlib Axes, optional
            Where to draw; by default new axes.
        **options : dict, optional
            For `matplotlib.collections.EllipseCollection`, such as ``linewidths``.

        Returns
        -------
        matplotlib Axes
            In pixels of the image, or else in right ascension and declination.

        Raises
        ------
        CatalogError
            If no source has a position there: without a WCS there are positions on an image only.

        Notes
        -----
        Classes and shapes are drawn where there are such columns.

        Examples
        --------
        >>> from astrogalaxy.catalog import SourceCatalog
        >>> catalog = SourceCatalog.from_columns({"ra": [10.0, 10.1], "dec": [0.0, 0.1]}, bands=["r"])
        >>> catalog.plot().get_xlabel()
        'right ascension (deg)'
        """
        return draw_catalog(self, image=image, ax=ax, **options)

    def _repr_html_(self) -> str:
        """A line about the catalogue and its main columns, for notebooks."""
        return catalog_html(self, [f"{'mag' if band in self.calibrated else 'flux'}_{band}" for band in self.bands])

    def validate(self) -> None:
        """Check that the catalogue is what its contract says.

        Raises
        ------
        CatalogError
            If a column of the contract is missing, is masked, or has another type, unit or UCD,
            no description, or a value that is not allowed. Other columns are not looked at.
        """
        if not self.bands:
            msg = "the catalogue has no band: there are no columns flux_<band> and mag_<band>"
            raise CatalogError(msg)
        kinds = {"calibrated": self.calibrated, "classes": self.classes, "apertures": self.apertures}
        for column in columns_for(self.bands, positions=INPUT_ROW in self.colnames, **kinds):
            check_column(column, self._need(column.name))

    def _need(self, name: str) -> Any:
        """The column, or an error that names it."""
        if name not in self.colnames:
            msg = f"the catalogue has no column {name!r}"
            raise CatalogError(msg)
        return self[name]


def _agreed_meta(tables: Sequence[SourceCatalog]) -> dict[str, Any]:
    """Provenance that is true of every table: the keys with one and the same value."""
    first, rest = tables[0].meta, [table.meta for table in tables[1:]]
    return {key: value for key, value in first.items() if all(key in m and m[key] == value for m in rest)}


def _known_columns(catalog: SourceCatalog) -> list[Contract]:
    """What the contract says of the columns, by their names alone."""

    def measured(name: str) -> bool:
        """Whether a column has a number in any row."""
        return name in catalog.colnames and np.isfinite(np.ma.filled(catalog[name].astype(float), np.nan)).any()

    try:
        own = columns_for(
            catalog.bands,
            calibrated=[band for band in catalog.bands if measured(f"mag_{band}")],
            classes=[name[2:] for name in catalog.colnames if name.startswith("p_") and name not in COLUMNS],
            apertures=catalog.apertures,
            positions=True,
        )
    except (TypeError, ValueError):  # no bands, or names and values that no catalogue has
        own = [column for column in COLUMNS.values() if column.kind in ("source", "positions")]
    return [column for column in own if column.name in catalog.colnames]
