"""Regions as another program reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table
from astropy.wcs import WCS
from regions import CircleSkyRegion, EllipseSkyRegion, Regions

from astrogalaxy.catalog import CatalogError, SourceCatalog, provenance


@pytest.fixture
def catalog() -> SourceCatalog:
    return SourceCatalog.from_columns(
        {
            "ra": [10.0, 10.01, 10.02, np.nan, 10.03],
            "dec": [40.0, 40.0, 40.0, 40.0, 40.0],
            "class": ["star", "galaxy", "unsure", "star", "galaxy"],
            "a": [1.0, 2.0, np.nan, 1.0, 0.0],
            "b": [1.0, 0.5, np.nan, 1.0, 0.0],
            "theta": [0.0, 30.0, np.nan, 0.0, 0.0],
            "fwhm": [1.3, 4.0, np.nan, 1.3, 0.0],
        },
        bands=["r"],
        meta=provenance(CFGHASH="abc"),
    )


def test_sources_without_any_position_are_no_regions(tmp_path: Path, catalog) -> None:
    """The file was empty, and nothing said so."""
    with pytest.raises(CatalogError, match=r"none of the 1 sources has a position on the sky"):
        catalog[3:4].write(tmp_path / "x.reg")
    assert not (tmp_path / "x.reg").exists()
    catalog[:0].write(tmp_path / "x.reg")
    assert len(Regions.read(tmp_path / "x.reg", format="ds9")) == 0


def test_shapes_and_classes(tmp_path: Path, catalog) -> None:
    catalog.write(tmp_path / "x.reg")
    found = Regions.read(tmp_path / "x.reg", format="ds9")
    assert [type(region) for region in found] == [CircleSkyRegion, EllipseSkyRegion, CircleSkyRegion, CircleSkyRegion]
    assert [region.meta["tag"] for region in found] == [["star"], ["galaxy"], ["unsure"], ["galaxy"]]
    assert [region.visual["edgecolor"] for region in found] == ["cyan", "red", "yellow", "red"]
    assert found[0].radius.to_value("arcsec") == pytest.approx(1.3)
    assert found[1].center.separation(catalog.coords[1]).arcsec < 0.001
    assert "# CFGHASH: abc" in (tmp_path / "x.reg").read_text().splitlines()


def test_ellipses_lie_along_the_position_angle(tmp_path: Path, catalog) -> None:
    catalog.write(tmp_path / "x.reg")
    ellipse = Regions.read(tmp_path / "x.reg", format="ds9")[1]
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [10.01, 40.0], [50, 50]
    turn = np.radians(25)
    wcs.wcs.cd = 0.1 / 3600 * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = catalog.coords[1]
    for offset, angle, inside in [
        (5.8, 30, True),
        (6.2, 30, False),
        (1.4, 120, True),
        (1.6, 120, False),
        (5.8, 210, True),
    ]:
        point = centre.directional_offset_by(angle * u.deg, offset * u.arcsec)
        assert ellipse.contains(point, wcs) == inside, (offset, angle)


def test_only_positions_are_needed(tmp_path: Path) -> None:
    Table({"ra": [1.0], "dec": [2.0]}).write(tmp_path / "x.reg", format="regions")
    assert Regions.read(tmp_path / "x.reg", format="ds9")[0].radius == 2 * u.arcsec
    with pytest.raises(CatalogError, match="no column 'dec'"):
        SourceCatalog({"ra": [1.0]}).write(tmp_path / "y.reg")


def test_other_columns_are_not_looked_at(tmp_path: Path, catalog) -> None:
    catalog.write(tmp_path / "before.reg")
    catalog["sky"] = SkyCoord([1.0] * 5, [2.0] * 5, unit="deg")
    catalog["big"] = np.arange(5, dtype="u8")
    catalog["good"] = MaskedColumn([True] * 5, mask=[True] * 5)
    catalog.write(tmp_path / "x.reg")
    assert (tmp_path / "x.reg").read_bytes() == (tmp_path / "before.reg").read_bytes()


def test_holes_in_integers_are_no_positions(tmp_path: Path) -> None:
    table = Table({"ra": MaskedColumn([1, 2], mask=[False, True]), "dec": [2, 3], "a": MaskedColumn([1, 2], mask=True)})
    table.write(tmp_path / "x.reg", format="regions")
    assert len(Regions.read(tmp_path / "x.reg", format="ds9")) == 1


def test_meta_stays_in_its_comment(tmp_path: Path, catalog) -> None:
    catalog.meta = {"A": "one\nfk5\ncircle(1,2,3)", "B": [1, 2]}
    catalog.write(tmp_path / "x.reg")
    assert len(Regions.read(tmp_path / "x.reg", format="ds9")) == 4
