"""The catalogue must not depend on how the work was cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from scipy import ndimage

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.config import SurveyConfig
from astrogalaxy.images import Section, Tile
from astrogalaxy.simulation import PROFILES, Scene, simulate_scene
from astrogalaxy.survey import execute
from astrogalaxy.survey.merge import TileCatalog, merge_tiles
from astrogalaxy.survey.shelf import Shelf


def config_of(folder, *, size, output, workers=1):
    """A survey of one field with a given tile size."""
    return SurveyConfig.from_dict(
        {
            "name": "tiled",
            "images": {"path": str(folder / "sky-{band}.fits"), "bands": ["g", "r", "i"], "zeropoint": 22.5},
            "tiles": {"size": size},
            "compute": {"workers": workers, "device": "cpu"},
            "output": {"directory": str(folder / output)},
        }
    )


@pytest.fixture(scope="module")
def crowded() -> Scene:
    """One field with many sources, for tiling."""
    profile = replace(PROFILES["sdss"], seeing=(1.2, 1.3))
    return simulate_scene(profile, size=(512, 640), seed=4, artefacts=False, dither=0.0)


@pytest.fixture(scope="module")
def whole(crowded, tmp_path_factory):
    """The field on disk and its catalogue from one tile."""
    folder = tmp_path_factory.mktemp("tiled")
    for band, pixels in crowded.images.items():
        fits.PrimaryHDU(pixels, crowded.wcs[band].to_header()).writeto(folder / f"sky-{band}.fits")
    return folder, execute(config_of(folder, size=4096, output="whole")).catalog


@pytest.mark.parametrize(("size", "workers"), [(256, 1), (192, 2)])
def test_tiles_change_nothing(whole, size, workers):
    folder, expected = whole
    summary = execute(config_of(folder, size=size, output=f"tiles-{size}", workers=workers))
    assert summary.tiles["done"] >= 4
    catalog = summary.catalog
    gaps, near = expected.coords.match_to_catalog_sky(catalog.coords)[1], None
    same = gaps.arcsec < 0.05
    # sources at the detection threshold may come and go
    secure = np.asarray(expected["det_score"]) > 0.9
    assert same[secure].mean() > 0.99
    near = expected.coords.match_to_catalog_sky(catalog.coords)[0]
    a, b = expected[same & secure], catalog[near[same & secure]]
    assert np.median(np.abs(a["p_galaxy"] - b["p_galaxy"])) < 1e-3
    ratio = np.asarray(b["flux_r"] / a["flux_r"])
    assert np.nanmedian(np.abs(ratio - 1)) < 1e-3
    assert abs(len(catalog) - len(expected)) <= max(2, 0.02 * len(expected))
    # no source twice at a tile's edge
    pairs = catalog.coords.match_to_catalog_sky(catalog.coords, nthneighbor=2)[1]
    alone = expected.coords.match_to_catalog_sky(expected.coords, nthneighbor=2)[1]
    assert (pairs.arcsec < 0.5).sum() == (alone.arcsec < 0.5).sum()


def made(x, y, *, field="f", noise=1.0, flags=0, scale=1e-4):
    """A catalogue with given pixel positions; a pixel is 0.36 arcsec."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    return SourceCatalog.from_columns(
        {
            "x": x,
            "y": y,
            "ra": 10 + x * scale,
            "dec": y * scale,
            "field": field,
            "flux_aper_r_err": noise,
            "flags": flags,
        },
        bands=["r"],
    )


def test_owner_keeps_a_shared_source():
    left = Tile("a", Section(0, 100, 0, 100), Section(0, 132, 0, 100))
    right = Tile("b", Section(100, 200, 0, 100), Section(68, 200, 0, 100))
    merged = merge_tiles(
        [
            TileCatalog(left, made([99.2, 20, 99.6], [50, 80, 70])),
            TileCatalog(right, made([99.3, 150, 99.7], [50.1, 20, 70])),
        ]
    )
    assert merged["x"].tolist() == [150, 99.2, 99.7, 20], "row by row"


def test_lost_between_two_tiles_is_not_lost():
    left = Tile("a", Section(0, 100, 0, 100), Section(0, 132, 0, 100))
    right = Tile("b", Section(100, 200, 0, 100), Section(68, 200, 0, 100))
    # each tile thinks that the other owns it
    merged = merge_tiles([TileCatalog(left, made([99.6], [50])), TileCatalog(right, made([99.4], [50]))])
    assert merged["x"].tolist() == [99.6], "the first of them"


def test_close_pairs_of_one_tile_stay():
    tile = Tile("a", Section(0, 100, 0, 100), Section(0, 100, 0, 100))
    assert len(merge_tiles([TileCatalog(tile, made([50.0, 50.9], [50, 50]))])) == 2


def join(tmp_path, *fields):
    """Rows of fields joined, and how many gave way."""
    with Shelf(tmp_path / "shelf") as shelf:
        for number, field in reversed(list(enumerate(fields))):
            shelf.put(number, field)
        n, dropped, chunks = shelf.join()
        merged = SourceCatalog.stack(list(chunks))
    assert n == len(merged)
    assert not (tmp_path / "shelf").exists()
    return merged, dropped


def test_overlapping_fields_give_one_row_per_source(tmp_path):
    merged, dropped = join(
        tmp_path,
        made([10, 20, 30], [5, 5, 5], field="a", noise=1.5),
        made([20.2, 30.1, 40, 50], [5, 5, 5, 5], field="b", noise=1.2),
    )
    assert dropped == 2
    assert sorted(zip(np.round(merged["x"]), merged["field"], strict=True)) == [
        (10, "a"), (20, "b"), (30, "b"), (40, "b"), (50, "b"),
    ]  # fmt: skip


def test_source_cut_by_an_edge_gives_way(tmp_path):
    fields = made([20], [5], field="a", noise=1.0, flags=1), made([20], [5], field="b", noise=9.0)
    merged, _ = join(tmp_path, *fields)
    assert list(merged["field"]) == ["b"]


def test_a_deeper_field_that_lacks_a_band_gives_way(tmp_path):
    def seen(field, r, g, flags=0):
        columns = {"ra": [10.0], "dec": [5.0], "field": field, "flags": flags}
        columns |= {"flux_aper_r_err": [r], "flux_aper_g_err": [g]}
        return SourceCatalog.from_columns(columns, bands=["g", "r"])

    both, deep = seen("both", 1.0, 1.0), seen("deep", 0.2, np.nan)
    for fields in ((both, deep), (deep, both)):
        assert list(join(tmp_path, *fields)[0]["field"]) == ["both"]
    assert list(join(tmp_path, seen("even", 3.0, 3.0), seen("uneven", 1.0, 4.0))[0]["field"]) == ["uneven"]
    # light that an edge cuts is wrong, light that is lacking is not known
    assert list(join(tmp_path, seen("both", 1.0, 1.0, flags=1), deep)[0]["field"]) == ["deep"]


def test_three_fields_of_one_source_leave_one(tmp_path):
    far = made([9e5], [5], field="far")
    seen = [made([20 + d], [5], field=f, noise=s) for d, f, s in ((0.0, "a", 1.3), (0.3, "b", 1.1), (0.6, "c", 1.2))]
    merged, dropped = join(tmp_path, seen[0], far, *seen[1:])
    assert dropped == 2
    assert list(merged["field"]) == ["far", "b"]


def test_a_field_without_sources_joins(tmp_path):
    empty = made([], [], field="a")
    merged, dropped = join(tmp_path, empty, made([20], [5], field="b"))
    assert (len(merged), dropped) == (1, 0)
    assert join(tmp_path, empty)[0].colnames == merged.colnames


def test_close_pair_seen_twice_stays_a_pair(tmp_path):
    merged, dropped = join(tmp_path, made([20, 22], [5, 5], field="a"), made([20.1, 22.1], [5, 5], field="b"))
    assert len(merged) == 2
    assert dropped == 2


def test_tiles_beside_a_large_galaxy_change_nothing(tmp_path):
    """It is found once for the field, kept with its sky, and every tile that its light reaches sees all of it."""
    side, middle = 704, 340.0
    scene = simulate_scene(PROFILES["sdss"], size=side, seed=5, artefacts=False, dither=0.0)
    y, x = np.indices((side, side)) - middle
    profile = ndimage.gaussian_filter(np.exp(-1.678 / 45 * np.hypot(x, y / 0.8)), 1.4)
    for band, light in {"g": 1000, "r": 2000, "i": 2600}.items():
        pixels = (scene.images[band] + light * profile / profile.sum()).astype(np.float32)
        fits.PrimaryHDU(pixels, scene.wcs[band].to_header()).writeto(tmp_path / f"sky-{band}.fits")
    whole = execute(config_of(tmp_path, size=4096, output="whole")).catalog
    summary = execute(config_of(tmp_path, size=256, output="tiles"))
    assert summary.tiles["done"] == 9
    assert len(summary.catalog) == len(whole)
    off = np.abs(np.asarray(summary.catalog["flux_r"]) - np.asarray(whole["flux_r"])) / np.asarray(whole["flux_r_err"])
    assert off.max() < 1e-3
    near = np.hypot(whole["x"] - middle, whole["y"] - middle) < 5
    assert float(whole["flux_r"][near].max()) == pytest.approx(2000 * 3631, rel=0.12)
