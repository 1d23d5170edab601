"""The area that was searched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from mocpy import MOC

from astrogalaxy.catalog import CatalogError, covered_area, write_moc


def square(ra: float, dec: float, side: float) -> list[tuple[float, float]]:
    half = side / 2
    wide = half / np.cos(np.radians(dec))
    return [(ra - wide, dec - half), (ra + wide, dec - half), (ra + wide, dec + half), (ra - wide, dec + half)]


def contains(area: MOC, ra: float, dec: float) -> bool:
    return bool(area.contains_lonlat([ra] * u.deg, [dec] * u.deg)[0])


@pytest.mark.parametrize("ra", [150.0, 0.0, 359.99])
def test_covers_the_polygon_and_little_more(ra: float) -> None:
    area = covered_area([square(ra, 2.0, 0.2)])
    assert contains(area, ra % 360, 2.0) and contains(area, (ra + 0.099) % 360, 2.099)
    assert not contains(area, (ra + 0.102) % 360, 2.0) and not contains(area, ra % 360, 2.102)
    square_degrees = area.sky_fraction * 41252.96
    assert 0.04 < square_degrees < 0.0415


def test_union_of_fields_counts_overlaps_once() -> None:
    alone = covered_area([square(10, 0, 0.2)]).sky_fraction
    assert covered_area([square(10, 0, 0.2), square(10, 0, 0.2)]).sky_fraction == pytest.approx(alone)
    assert covered_area([square(10, 0, 0.2), square(50, 0, 0.2)]).sky_fraction == pytest.approx(2 * alone, rel=0.02)


def test_a_sliver_does_not_cut_the_whole_sky_into_its_cells() -> None:
    fields = [square(10 + number, 0, 0.5) for number in range(3)]
    alone, with_sliver = covered_area(fields), covered_area([*fields, square(14, 0, 0.002)])
    assert with_sliver.max_order == alone.max_order
    assert contains(with_sliver, 14, 0)


def test_provenance_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.moc.fits"
    write_moc(covered_area([square(10, 20, 0.1)]), path, meta={"CFGHASH": "abc", "N": 3, "ORDERING": "mine"})
    assert contains(MOC.from_fits(path), 10, 20)
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        header = hdus[1].header
        assert (header["CFGHASH"], header["N"], header["ORDERING"]) == ("abc", 3, "RANGE")
        assert "mine" in header["METAJSON"]
    with pytest.raises(FileExistsError, match="overwrite"):
        write_moc(covered_area([square(10, 20, 0.1)]), path)


def test_errors(tmp_path: Path, make) -> None:
    with pytest.raises(CatalogError, match="no polygon"):
        covered_area([])
    with pytest.raises(CatalogError, match="a MOC holds the area"):
        make(2).write(tmp_path / "x.moc.fits")
    assert list(tmp_path.iterdir()) == []
