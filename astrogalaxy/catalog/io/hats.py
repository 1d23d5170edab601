"""Catalogues in HATS: Parquet files by HEALPix cells, which are cut so that the files have similar numbers of rows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from astropy.table import Column, Table

from astrogalaxy.catalog.catalog import SourceCatalog
from astrogalaxy.catalog.ids import ID_ORDER, source_ids
from astrogalaxy.catalog.io.arrow import catalog_of, schema_of, table_of
from astrogalaxy.catalog.io.cells import floats
from astrogalaxy.catalog.io.meta import plain_meta
from astrogalaxy.catalog.io.rows import BLOCK, Block, Rows, grouped, joined
from astrogalaxy.catalog.io.target import check_free, name_of
from astrogalaxy.errors import CatalogError
from astrogalaxy.files import atomic_folder

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["INDEX", "MAX_ROWS", "read", "write"]

INDEX = "_healpix_29"
"""Column by which the rows of the files are sorted; catalogues that are read do not have it."""

MAX_ROWS = 250_000
"""Most rows of a file, unless more of them lie in one cell of the finest order."""

# Cells of the finest partition are 3.4 arcmin wide, those of the map of all sources 55 arcmin.
_FINEST, _MAP_ORDER = 10, 6


class _Cell(NamedTuple):
    """A HEALPix cell that has a file."""

    order: int
    pixel: int

    @property
    def start(self) -> int:
        """Its first pixel of order 29."""
        return self.pixel << 2 * (ID_ORDER - self.order)


def write(rows: Rows, target: str | os.PathLike[str], *, overwrite: bool = False, max_rows: int = MAX_ROWS) -> None:
    """Write rows as a HATS folder, with no more than one file's rows in memory.

    Parameters
    ----------
    rows : Rows
        They need ``ra`` and ``dec`` in degrees.
    target : path-like
        The folder. It appears whole or not at all.
    overwrite : bool
        Replace an existing HATS folder; anything else is never replaced.
    max_rows : int
        Most rows of one file.

    Raises
    ------
    CatalogError
        If a source has no position, or a column, its unit or a meta value cannot be held by the format.
    FileExistsError
        If the folder exists and ``overwrite`` is false.
    RunError
        If the folder or the disk does not take the files.

    Notes
    -----
    The rows of each file are in HEALPix order, with the column ``_healpix_29`` beside those of
    the catalogue. Provenance is in ``hats.properties`` and, with units, UCDs and descriptions, in each
    file as in a single Parquet file.
    """
    counts = _counted(rows, name_of(target))
    cells = _partition(*counts, max_rows)
    schema = schema_of(_with_index(rows.head))
    check_free(target, overwrite=overwrite)
    if os.path.lexists(target) and not (Path(target) / "hats.properties").is_file():
        msg = f"{os.fspath(target)} exists and is not a HATS folder, so it is not replaced; give another name"
        raise CatalogError(msg)
    with atomic_folder(target) as folder:
        for cell, path in zip(cells, _split(rows, cells, schema, folder / "pieces", max_rows), strict=True):
            _write_cell(cell, path, schema, folder)
        (folder / "pieces").rmdir()
        _describe(rows, cells, counts, folder, name=Path(target).stem, max_rows=max_rows)


def _with_index(head: Table) -> Table:
    index = Column(np.empty(0, "i8"), name=INDEX, description="HEALPix nested order 29 pixel of ra, dec")
    kept = [name for name in head.colnames if name != INDEX]
    return Table([index, *(head[name] for name in kept)], names=[INDEX, *kept], meta=head.meta, copy=False)


def _pixels(block: Block) -> np.ndarray:
    return source_ids(floats(block["ra"]), floats(block["dec"]))


def _counted(rows: Rows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the finest order that have sources, and their numbers."""
    for needed in ("ra", "dec"):
        if needed not in rows.head.colnames:
            msg = f"cannot write {name}: the catalogue has no column {needed!r}, by which HATS is cut"
            raise CatalogError(msg)
    # One number for each cell of the sky, 50 MB: to join lists of cells would take longer with every block.
    counts = np.zeros(12 * 4**_FINEST, dtype="i4")
    for block in rows.blocks(["ra", "dec"]):
        pixels = _pixels(block)
        if (lost := int((pixels < 0).sum())) > 0:
            msg = f"cannot write {name}: {lost} sources have no position, which HATS has no place for; drop them first"
            raise CatalogError(msg)
        found, number = np.unique(pixels >> 2 * (ID_ORDER - _FINEST), return_counts=True)
        counts[found] += number
    cells = np.flatnonzero(counts)
    return cells, counts[cells]


def _partition(pixels: np.ndarray, counts: np.ndarray, max_rows: int) -> list[_Cell]:
    """The largest cells that have no more rows than wanted, in order on the sky."""
    cells: list[_Cell] = []
    for order in range(_FINEST + 1):
        parents = pixels >> 2 * (_FINEST - order)
        found, where = np.unique(parents, return_inverse=True)
        small = (np.bincount(where, counts, len(found)) <= max_rows) | (order == _FINEST)
        cells += [_Cell(order, int(pixel)) for pixel in found[small]]
        pixels, counts = pixels[~small[where]], counts[~small[where]]
    # A catalogue without sources has one file without rows: the library wants to see the columns.
    return sorted(cells, key=lambda cell: cell.start) or [_Cell(0, 0)]


def _split(rows: Rows, cells: list[_Cell], schema: pa.Schema, folder: Path, max_rows: int) -> list[Path]:
    """Put the rows of each cell into a file of its own, to which all that are in memory at a time are added at once."""
    import pyarrow as pa

    folder.mkdir()
    head = _with_index(rows.head)
    # The description of all columns would take longer to write than most of the pieces themselves.
    bare = schema.remove_metadata()
    starts = np.array([cell.start for cell in cells])
    paths = [folder / str(number) for number in range(len(cells))]
    # Half of a file's rows at a time, since sorting them takes a copy.
    for group in grouped(rows.blocks(), max(max_rows // (2 * BLOCK), 1)):
        pixels = np.concatenate([_pixels(block) for block in group])
        home = np.searchsorted(starts, pixels, side="right") - 1
        # Sorted by cells once: to pick the rows of each cell would go over all as often as there are cells.
        order = np.argsort(home, kind="stable")
        columns = {name: joined([block[name] for block in group])[order] for name in group[0]}
        table = table_of(columns | {INDEX: pixels[order]}, head, bare)
        for cell, first, number in zip(*np.unique(home[order], return_index=True, return_counts=True), strict=True):
            with open(paths[cell], "ab") as file, pa.ipc.new_stream(file, bare) as writer:
                writer.write_table(table.slice(first, number))
    return paths


def _write_cell(cell: _Cell, path: Path, schema: pa.Schema, folder: Path) -> None:
    """Sort a cell's rows, which are in a file, and write them as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from hats.io.paths import pixel_catalog_file
    from hats.pixel_math import HealpixPixel

    pieces = []
    if path.exists():
        with pa.OSFile(str(path), "rb") as file:
            while file.tell() < file.size():
                pieces.append(pa.ipc.open_stream(file).read_all())
        path.unlink()
    target = Path(str(pixel_catalog_file(folder, HealpixPixel(cell.order, cell.pixel))))
    target.parent.mkdir(parents=True, exist_ok=True)
    table = pa.concat_tables(pieces).sort_by(INDEX) if pieces else schema.empty_table()
    pq.write_table(table.cast(schema), target, compression="zstd")


def _describe(
    rows: Rows, cells: list[_Cell], counts: tuple[np.ndarray, np.ndarray], folder: Path, *, name: str, max_rows: int
) -> None:
    """Write the files beside the data: properties, list of cells, Parquet's common metadata, map of the sources."""
    from hats.catalog import PartitionInfo, TableProperties
    from hats.io import parquet_metadata, paths
    from hats.io.file_io import write_fits_image
    from hats.pixel_math import HealpixPixel

    size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    provenance = {f"astrogalaxy_{key.lower()}": str(value) for key, value in plain_meta(rows.head.meta).items()}
    properties: dict[str, Any] = {
        "catalog_name": name,
        "catalog_type": "object",
        "total_rows": len(rows),
        "ra_column": "ra",
        "dec_column": "dec",
        "healpix_column": INDEX,
        "healpix_order": ID_ORDER,
        "hats_max_rows": max_rows,
        "hats_order": max(cell.order for cell in cells),
        "hats_estsize": size // 1024 + 1,
        "hats_version": "v1.0",
        "hats_builder": str(rows.head.meta.get("CREATOR", "astrogalaxy")),
        "hats_creation_date": str(rows.head.meta.get("DATE", "")),
        "obs_title": str(rows.head.meta.get("SURVEY", name)),
    }
    TableProperties(**properties, **provenance).to_properties_file(folder)
    pixels = [HealpixPixel(cell.order, cell.pixel) for cell in cells]
    PartitionInfo.from_healpix(pixels).write_to_file(catalog_path=folder)
    parquet_metadata.write_parquet_metadata(folder)
    sources = np.zeros(12 * 4**_MAP_ORDER, dtype="i8")
    np.add.at(sources, counts[0] >> 2 * (_FINEST - _MAP_ORDER), counts[1])
    write_fits_image(sources, paths.get_point_map_file_pointer(folder))


def read(source: str | os.PathLike[str]) -> SourceCatalog:
    """Read a whole folder that `SourceCatalog.write` or another program made.

    Rows are in HEALPix order, without the column ``_healpix_29``. For a part of a large catalogue, use LSDB or pyarrow.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from hats import read_hats as open_hats
    from hats.io.paths import pixel_catalog_file

    if not Path(source).exists():
        raise FileNotFoundError(f"no such folder: {os.fspath(source)}")
    try:
        found: Any = open_hats(Path(source))
        files = [str(pixel_catalog_file(found.catalog_path, pixel)) for pixel in found.get_healpix_pixels()]
        tables = [pq.ParquetFile(file).read() for file in files]
        catalog = catalog_of(pa.concat_tables(tables))
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError) as error:
        reason = " ".join(str(error).split())
        msg = f"cannot read the catalogue {name_of(source)}: {reason}; the folder is damaged or not HATS"
        raise CatalogError(msg) from error
    if INDEX in catalog.colnames:
        catalog.remove_column(INDEX)
    return catalog
