"""What a catalogue draws, and what it says where it cannot."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pytest
from astropy.wcs import WCS

import astrogalaxy as ag
from astrogalaxy import SourceCatalog
from astrogalaxy.catalog import CatalogError


@pytest.fixture(autouse=True)
def _no_windows() -> Iterator[None]:
    mpl.use("agg")
    yield
    from matplotlib import pyplot as plt

    plt.close("all")


def catalog_of(**columns: object) -> SourceCatalog:
    return SourceCatalog.from_columns(columns, bands=["r"])


def centres(ax) -> list[list[float]]:
    return np.vstack([np.asarray(marks.get_offsets()) for marks in ax.collections]).tolist()


def test_without_positions_on_the_sky_the_image_is_asked_for() -> None:
    catalog = catalog_of(x=[10.0, 20.0], y=[5.0, 6.0])
    with pytest.raises(CatalogError, match=r"no source has ra and dec, .*; pass image="):
        catalog.plot()
    image = ag.Image.read({"r": np.random.default_rng(1).normal(size=(40, 40))})
    assert centres(catalog.plot(image=image)) == [[10.0, 5.0], [20.0, 6.0]]
    with pytest.raises(CatalogError, match=r"no source has x and y, .*; leave image= out"):
        catalog_of(ra=[1.0], dec=[2.0]).plot(image=image)


def test_columns_that_were_left_out_are_not_needed() -> None:
    catalog = catalog_of(ra=[1.0, np.nan, 1.2], dec=[2.0, 2.0, 2.2], **{"class": ["star", "star", "galaxy"]})
    assert centres(catalog["ra", "dec"].plot()) == [[1.0, 2.0], [1.2, 2.2]]
    assert len(catalog["ra", "dec", "class"].plot().collections) == 2
    with pytest.raises(CatalogError, match="no column 'dec'"):
        catalog["ra", "class"].plot()


@pytest.mark.parametrize("ra", [[359.999, 0.001], [0.001, 359.999], [359.5, 359.999, np.nan, 0.501]])
def test_a_field_across_zero_hours_is_not_torn(ra: list[float]) -> None:
    ax = catalog_of(ra=ra, dec=np.zeros(len(ra))).plot()
    right, left = ax.get_xlim()
    assert 0 < right - left < 1.2
    assert all(left < x < right for x, _ in centres(ax))
    ax.figure.canvas.draw()
    labels = [float(text.get_text()) for text in ax.get_xticklabels()]
    assert all(0 <= label < 360 for label in labels) and min(labels) < 1 and max(labels) > 359


def test_a_whole_sky_stays_as_it_is() -> None:
    assert catalog_of(ra=[0.0, 90.0, 180.0, 270.0], dec=np.zeros(4)).plot().get_xlim() == (283.5, -13.5)


def test_an_empty_catalogue_has_axes() -> None:
    ax = catalog_of(ra=[], dec=[]).plot()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("right ascension (deg)", "declination (deg)")
    assert not ax.collections


def test_shapes_keep_their_size_where_right_ascension_begins() -> None:
    sides = []
    for middle in (180.0, 0.0):
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [middle, 10.0], [20.5, 20.5]
        wcs.wcs.cdelt = [-1 / 3600, 1 / 3600]
        image = ag.Image.read({"r": (np.random.default_rng(1).normal(size=(40, 40)), wcs)})
        marks = catalog_of(x=[19.2], y=[19.5], a=[2.0], b=[1.0], theta=[90.0]).plot(image=image).collections[0]
        sides.append([float(marks.get_widths()[0]), float(marks.get_heights()[0])])
    assert sides[1] == pytest.approx(sides[0], rel=1e-6) == [12.0, 6.0]
