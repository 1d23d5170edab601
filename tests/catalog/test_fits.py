"""The FITS file as other programs see it."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, Table

from astrogalaxy.catalog import CatalogError, SourceCatalog, columns_for
from astrogalaxy.catalog.io.registry import write_rows
from astrogalaxy.catalog.io.rows import TableRows


@pytest.fixture
def path(tmp_path: Path, catalog: SourceCatalog) -> Path:
    catalog.write(tmp_path / "x.fits")
    return tmp_path / "x.fits"


def test_every_column_has_its_cards(path: Path, catalog: SourceCatalog) -> None:
    header = fits.getheader(path, 1)
    contract = columns_for(catalog.bands, classes=["Edge-on disk", "merger"])
    assert header["TFIELDS"] == len(contract)
    for number, column in enumerate(contract, start=1):
        assert header[f"TTYPE{number}"] == column.name
        assert header[f"TFORM{number}"].lstrip("1") == column.fits_format.replace("nA", "7A")
        assert header[f"TUCD{number}"] == column.ucd
        assert header[f"TCOMM{number}"] == column.description
        assert header.get(f"TUNIT{number}") == column.unit
        assert f"TNULL{number}" not in header


def test_layout_and_provenance(path: Path, catalog: SourceCatalog) -> None:
    with fits.open(path) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "CATALOG"]
        for hdu in hdus:
            header = hdu.header
            assert header["PIXBASE"] == 0 and "(0, 0)" in header.comments["PIXBASE"]
            assert header["CREATOR"] == catalog.meta["CREATOR"] and header["DATE"] == catalog.meta["DATE"]
            assert header["CFGHASH"] == catalog.meta["CFGHASH"]
            assert header["NTILES"] == 12 and header["COMPLETE"] is True
            assert "COMMENT" not in header
            assert {"CHECKSUM", "DATASUM"} <= set(header)
        assert hdus[1].data.dtype["ra"].str == ">f8"


@pytest.mark.parametrize("n_rows", [0, 1, 100])
def test_standard_and_checksums_hold(tmp_path: Path, make, n_rows: int) -> None:
    make(n_rows, meta={"LONG": "x" * 300, "nested": {"a": [1, "it's"]}}).write(tmp_path / "x.fits")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(tmp_path / "x.fits", checksum=True) as hdus:
            hdus.verify("exception")
            assert all(hdu.verify_checksum() == 1 and hdu.verify_datasum() == 1 for hdu in hdus)
    assert (tmp_path / "x.fits").stat().st_size % 2880 == 0


def test_wrong_checksum_is_told_in_the_log(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"frame-0")] = ord("F")
    path.write_bytes(raw)
    with caplog.at_level(logging.WARNING):
        catalog = SourceCatalog.read(path)
    assert "Frame-0" in catalog["field"]
    assert "x.fits" in caplog.text and "Datasum verification failed" in caplog.text


def test_names_that_fits_cannot_hold(tmp_path: Path, catalog: SourceCatalog) -> None:
    catalog["größe"] = 1
    with pytest.raises(CatalogError, match="'größe' cannot be written to FITS"):
        catalog.write(tmp_path / "x.fits")
    catalog.rename_column("größe", "RA")
    with pytest.raises(CatalogError, match="'ra' and 'RA' differ in case only"):
        catalog.write(tmp_path / "x.fits")
    for longest, longer in (("n" * 68, "n" * 69), ("n" * 64 + "''", "n" * 65 + "''")):
        catalog.rename_column(catalog.colnames[-1], longest)
        catalog.write(tmp_path / "x.fits", overwrite=True)
        assert SourceCatalog.read(tmp_path / "x.fits").colnames[-1] == longest
        catalog.rename_column(longest, longer)
        with pytest.raises(CatalogError, match=f"{longer}.* is too long for FITS; use at most 68"):
            catalog.write(tmp_path / "x.fits", overwrite=True)


def test_odd_descriptions_are_put_on_one_line(tmp_path: Path, catalog: SourceCatalog) -> None:
    catalog["snr"].description = "first line\nsecond: µ"
    catalog.write(tmp_path / "x.fits")
    assert SourceCatalog.read(tmp_path / "x.fits")["snr"].description == "first line second: ?"


def test_finds_the_table_in_a_file_of_others(tmp_path: Path, path: Path, catalog: SourceCatalog) -> None:
    image = fits.CompImageHDU(np.zeros((8, 8), dtype="i2"))
    other = fits.BinTableHDU(Table({"z": [1.5]}), name="OTHER")
    with fits.open(path) as hdus:
        fits.HDUList([fits.PrimaryHDU(), image, other, hdus[1]]).writeto(tmp_path / "many.fits")
    assert len(SourceCatalog.read(tmp_path / "many.fits")) == len(catalog)
    assert SourceCatalog.read(tmp_path / "many.fits", hdu="OTHER").colnames == ["z"]
    with pytest.raises(CatalogError, match="in extension 1"):
        SourceCatalog.read(tmp_path / "many.fits", hdu=1)
    with pytest.raises(CatalogError, match=r"many\.fits"):
        SourceCatalog.read(tmp_path / "many.fits", hdu="NONE")


def test_reads_what_other_tools_write(tmp_path: Path) -> None:
    columns = [
        fits.Column("ra", "D", unit="deg", array=[1.0, 2.0]),
        fits.Column("flags", "J", null=-99, array=np.array([4, -99])),
        fits.Column("count", "J", null=-99, array=np.array([4, -99])),
        fits.Column("scaled", "I", bzero=32768, array=np.array([1, 40000], dtype="u2")),
        fits.Column("odd", "E", unit="furlong", array=[1.0, 2.0]),
        fits.Column("name", "6A", array=np.array([b"a b   ", b"c"])),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "x.fits")
    catalog = SourceCatalog.read(tmp_path / "x.fits")
    assert catalog["flags"].tolist() == [4, 0]
    assert catalog["count"].tolist() == [4, None]
    assert catalog["scaled"].tolist() == [1, 40000]
    assert catalog["name"].tolist() == ["a b", "c"]
    assert str(catalog["odd"].unit) == "furlong"
    assert all(catalog[name].dtype.isnative for name in catalog.colnames)


def test_file_without_table(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(tmp_path / "image.fits")
    with pytest.raises(CatalogError, match=r"image\.fits has no binary table"):
        SourceCatalog.read(tmp_path / "image.fits")


def test_reads_strings_that_are_not_ascii(tmp_path: Path, path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"frame-0", "frame\N{LATIN SMALL LETTER E WITH ACUTE}".encode()))
    assert "frameé" in SourceCatalog.read(path)["field"]


def test_writes_quantities_of_any_table(tmp_path: Path) -> None:
    write_rows(TableRows(QTable({"d": [1.5, 2.5] * u.deg})), tmp_path / "x.fits", "fits")
    assert SourceCatalog.read(tmp_path / "x.fits")["d"].unit == u.deg


def test_a_card_without_a_value_can_be_written_again(tmp_path: Path, path: Path) -> None:
    with fits.open(path) as hdus:
        hdus[1].header["OBSNOTE"] = None
        hdus.writeto(tmp_path / "noted.fits", checksum=True)
    noted = SourceCatalog.read(tmp_path / "noted.fits")
    noted.write(tmp_path / "again.fits")
    assert noted.meta["OBSNOTE"] is None
    assert SourceCatalog.read(tmp_path / "again.fits").meta == noted.meta
