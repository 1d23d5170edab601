"""Given positions: one row each, where they are given, whatever is there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from typer.testing import CliRunner

import astrogalaxy as ag
from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.cli import app
from astrogalaxy.errors import ConfigError
from astrogalaxy.images import Image, Section
from astrogalaxy.images.sky import to_pixel, to_sky
from astrogalaxy.measurement import Sources, measure
from astrogalaxy.simulation import PROFILES, Scene, simulate_scene
from astrogalaxy.survey import execute
from astrogalaxy.survey.positions import Positions, SkyTable, image_positions, place
from astrogalaxy.survey.shelf import Shelf
from astrogalaxy.survey.stages import _same_position


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A field without artefacts."""
    return simulate_scene(PROFILES["sdss"], size=(320, 352), seed=2, artefacts=False, dither=0.0)


@pytest.fixture(scope="module")
def image(scene: Scene) -> Image:
    """The field as an image."""
    return Image.read({band: (scene.images[band], scene.wcs[band]) for band in "gri"}, zeropoint=22.5)


def sky_of(scene: Scene, x, y) -> SkyCoord:
    return scene.wcs["r"].pixel_to_world(np.asarray(x, float), np.asarray(y, float)).icrs


def alone(truth: Table, *, snr: float) -> np.ndarray:
    """Sources without a visible neighbour, stars all."""
    gaps = np.hypot(*(np.subtract.outer(np.asarray(truth[name]), np.asarray(truth[name])) for name in "xy"))
    gaps[:, ~np.asarray(truth["visible"])] = np.inf
    np.fill_diagonal(gaps, np.inf)
    inside = (truth["x"] > 20) & (truth["x"] < 330) & (truth["y"] > 20) & (truth["y"] < 300)
    return np.asarray((gaps.min(axis=1) > 12) & (truth["snr"] > snr) & inside & (truth["class"] == "star"))


def write(scene: Scene, folder: Path, sky: SkyCoord, *, extra: str = "") -> Path:
    """A survey of the scene with a table of positions; one worker, in this process."""
    for band, pixels in scene.images.items():
        fits.PrimaryHDU(pixels, scene.wcs[band].to_header()).writeto(folder / f"sky-{band}.fits", overwrite=True)
    Table({"RA": sky.ra.deg, "Dec": sky.dec.deg}).write(folder / "wanted.csv", overwrite=True)
    path = folder / "survey.yml"
    path.write_text(
        'name: given\nimages: {path: "sky-{band}.fits", bands: [g, r, i], zeropoint: 22.5}\n'
        f"detection: {{positions: wanted.csv}}\n{extra}compute: {{workers: 1, device: cpu}}\n"
    )
    return path


def test_fluxes_at_true_positions(scene: Scene, image: Image) -> None:
    chosen = scene.truth[alone(scene.truth, snr=30)]
    assert len(chosen) >= 5
    sky = sky_of(scene, chosen["x"], chosen["y"])
    catalog = ag.detect(image, positions=Table({"RA": sky.ra.deg, "DEC": sky.dec.deg}))
    catalog.validate()
    assert catalog["input_row"].tolist() == list(range(len(chosen)))
    assert (catalog["ra"] == sky.ra.deg).all()
    np.testing.assert_allclose(catalog["x"], chosen["x"], atol=1e-6)
    assert np.isnan(catalog["ra_err"]).all()
    offset = np.asarray(catalog["mag_r"]) - np.asarray(chosen["mag_r"])
    assert np.median(np.abs(offset)) < 0.05
    assert np.median(catalog["det_score"]) > 0.9
    # where the network finds the source itself it says the same of it
    usual = ag.detect(image)
    near, gap, _ = catalog.coords.match_to_catalog_sky(usual.coords)
    same = gap.arcsec < 0.4
    assert same.mean() > 0.8
    np.testing.assert_array_equal(catalog["det_score"][same], usual["det_score"][near[same]])


def test_empty_sky(scene: Scene, image: Image) -> None:
    random = np.random.default_rng(3)
    x, y = random.uniform(10, 340, 3000), random.uniform(10, 310, 3000)
    gaps = np.hypot(x[:, None] - np.asarray(scene.truth["x"]), y[:, None] - np.asarray(scene.truth["y"])).min(axis=1)
    empty = np.flatnonzero(gaps > 9)[:60]
    assert len(empty) == 60
    catalog = ag.detect(image, positions=sky_of(scene, x[empty], y[empty]))
    assert len(catalog) == 60
    assert np.isfinite(catalog["p_galaxy"]).all()
    assert np.quantile(catalog["det_score"], 0.9) < 0.1
    assert (catalog["class"] == "unsure").mean() > 0.9
    pull = np.asarray(catalog["flux_aper_r"] / catalog["flux_aper_r_err"])
    assert abs(np.median(pull)) < 0.6
    assert 0.5 < 1.48 * np.median(np.abs(pull - np.median(pull))) < 1.8
    assert (pull < 0).sum() > 10


def test_position_off_a_star_stays(scene: Scene, image: Image) -> None:
    star = scene.truth[alone(scene.truth, snr=60)][0]
    catalog = ag.detect(image, positions=sky_of(scene, [star["x"] + 0.7], [star["y"]]))
    assert catalog["x"][0] == pytest.approx(star["x"] + 0.7, abs=1e-6)
    assert not catalog.flagged("bad_centroid")


def test_neighbour_outside_the_table_is_taken_out(scene: Scene, image: Image) -> None:
    star = scene.truth[alone(scene.truth, snr=60)][0]
    catalog = ag.detect(image, positions=sky_of(scene, [star["x"] + 6], [star["y"]]))
    assert len(catalog) == 1
    assert catalog["det_score"][0] < 0.3
    whole = 10 ** (-0.4 * (star["mag_r"] - 31.4))
    assert abs(catalog["flux_aper_r"][0]) < 0.05 * whole


def test_positions_that_coincide_are_measured_once(scene: Scene, image: Image) -> None:
    star = scene.truth[alone(scene.truth, snr=60)][0]
    x, y = np.array([star["x"], 300.0, star["x"], star["x"] + 0.5]), np.array([star["y"], 20.0, star["y"], star["y"]])
    once = ag.detect(image, positions=sky_of(scene, x[:2], y[:2]))
    catalog = ag.detect(image, positions=sky_of(scene, x, y))
    catalog.validate()
    assert catalog["input_row"].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(catalog["x"], x, atol=1e-6)
    where = {"input_row", "x", "y", "ra", "dec", "source_id"}
    for name in set(catalog.colnames) - where:
        np.testing.assert_array_equal(catalog[name], once[name][[0, 1, 0, 0]], err_msg=name)
    assert catalog["flux_aper_r"][0] == pytest.approx(10 ** (-0.4 * (star["mag_r"] - 31.4)), rel=0.2)


def test_near_positions_in_a_row_stand_for_themselves() -> None:
    def standing_for(x: list[float]) -> list[int]:
        unknown = np.full(len(x), np.nan)
        return Positions(np.arange(len(x)), np.array(x), np.zeros(len(x)), unknown, unknown).standing_for(0.5).tolist()

    assert standing_for([]) == []
    assert standing_for([7.0] * 3000) == [0] * 3000
    assert standing_for([5.0, 1.0, 5.2, 5.0, 9.0, 5.2]) == [0, 1, 0, 0, 4, 0]
    # none stands for another that is further from it than that
    assert standing_for([0.0, 0.4, 0.8, 1.2]) == [0, 0, 2, 2]


def test_tiles_do_not_matter(scene: Scene, tmp_path: Path) -> None:
    visible = scene.truth[scene.truth["visible"]]
    # close pairs on the line between two tiles, and positions off the image
    x = np.concatenate([visible["x"], [127.2, 127.6, 127.5, 127.2], [-400, 9000]])
    y = np.concatenate([visible["y"], [60.0, 60.2, 127.5, 60.0], [10, 10]])
    sky = sky_of(scene, x, y)
    inside = (x > -0.5) & (x < 351.5) & (y > -0.5) & (y < 319.5)
    whole = execute(write(scene, tmp_path, sky)).catalog
    assert whole["input_row"].tolist() == np.flatnonzero(inside).tolist()
    counts = json.loads((tmp_path / "out/run.json").read_text())["counts"]
    assert counts["positions"] == len(x)
    assert counts["positions_off_images"] == (~inside).sum() >= 2
    told = f"{(~inside).sum()} of the {len(x)} given positions are on no image of the reference band, and have no row"
    assert told in (tmp_path / "out/run.log").read_text()
    for command in ("check", "run"):
        ran = CliRunner().invoke(app, [command, str(tmp_path / "survey.yml")])
        assert told in ran.stderr
    tiled = execute(write(scene, tmp_path, sky, extra="tiles: {size: 128, overlap: 64}\n"))
    assert tiled.tiles["done"] >= 4
    assert tiled.catalog["input_row"].tolist() == whole["input_row"].tolist()
    flux, other, error = (np.asarray(v) for v in (whole["flux_r"], tiled.catalog["flux_r"], whole["flux_r_err"]))
    assert np.median(np.abs(other - flux) / error) < 0.1
    np.testing.assert_array_equal(whole["source_id"], tiled.catalog["source_id"])
    assert SourceCatalog.read(tmp_path / "out/given.fits")["input_row"].tolist() == whole["input_row"].tolist()


def test_changed_table_is_measured_anew(scene: Scene, tmp_path: Path) -> None:
    path = write(scene, tmp_path, sky_of(scene, [50, 60], [50, 60]))
    execute(path)
    assert execute(path).tiles["kept"] == 1
    again = execute(write(scene, tmp_path, sky_of(scene, [50, 61], [50, 60])))
    assert again.tiles["done"] == 1
    assert again.catalog["x"].tolist() == pytest.approx([50, 61], abs=1e-4)


def test_overlapping_fields_give_one_row(tmp_path: Path) -> None:
    def made(rows, field, error):
        columns = {"ra": np.array(rows) * 1e-5, "dec": 0.0, "field": field, "input_row": rows, "snr": 1 / error}
        return SourceCatalog.from_columns({**columns, "flux_aper_r_err": error}, bands=["r"])

    with Shelf(tmp_path / "shelf", given=True) as shelf:
        for number, field in enumerate((made([3, 1], "a", 2.0), made([1, 2], "b", 1.0))):
            shelf.put(number, field)
        _, dropped, chunks = shelf.join()
        merged = SourceCatalog.stack(list(chunks))
    assert dropped == 1
    assert merged["input_row"].tolist() == [1, 2, 3]
    assert merged["field"].tolist() == ["b", "b", "a"]


def test_pixels_of_an_image_without_wcs(scene: Scene) -> None:
    image = Image.read({band: scene.images[band] for band in "gri"})
    catalog = ag.detect(image, positions=Table({"x": [40.25, -9.0, 80.0], "y": [30.0, 5.0, 60.5]}))
    assert catalog["input_row"].tolist() == [0, 2]
    assert catalog["x"].tolist() == [40.25, 80.0]
    assert np.isnan(catalog["ra"]).all()
    with pytest.raises(ConfigError, match="has no WCS; give a table with columns x and y"):
        ag.detect(image, positions=SkyCoord([1.0], [2.0], unit="deg"))


def test_none_on_the_image(image: Image) -> None:
    assert len(ag.detect(image, positions=SkyCoord([200.0], [-60.0], unit="deg"))) == 0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("a,b\n1,2\n", "no positions; it needs columns"),
        ("x,y\n1,2\n", "no columns ra and dec among x, y"),
        ("ra,dec\n", "has no rows"),
        ("ra,dec\n10,5\n11,\n", "row 1 .* has no position"),
        ("ra,dec\n10,95\n", "'dec' has 95 in row 0"),
        ("ra,dec\n200,-60\n", "none of the 1 positions .*ra 200, dec -60"),
    ],
)
def test_wrong_tables(scene: Scene, tmp_path: Path, table: str, message: str) -> None:
    path = write(scene, tmp_path, sky_of(scene, [50], [50]))
    (tmp_path / "wanted.csv").write_text(table)
    with pytest.raises(ConfigError, match=f"detection.positions: .*{message}"):
        execute(path)


def test_no_table_and_no_shift(scene: Scene, tmp_path: Path) -> None:
    path = write(scene, tmp_path, sky_of(scene, [50], [50]), extra="astrometry: {apply: true}\n")
    with pytest.raises(ConfigError, match="astrometry.apply: would move the positions"):
        execute(path)
    path.write_text(path.read_text().replace("apply: true", "apply: false"))
    (tmp_path / "wanted.csv").unlink()
    with pytest.raises(ConfigError, match=r"detection.positions: .*wanted.csv: no such file"):
        execute(path)


def test_held_centres_stay_among_neighbours() -> None:
    y, x = np.mgrid[:96, :96]
    light = sum(800 * np.exp(-((x - cx) ** 2 + (y - 48) ** 2) / 8) for cx in (40.0, 47.0))
    image = Image.read({"r": light + np.random.default_rng(1).normal(size=light.shape)})
    free = Sources.around([40.4, 47.0], [48, 48], side=10)
    held = Sources(*(getattr(free, n) for n in ("x", "y", "x_min", "x_max", "y_min", "y_max")), held=[True, False])
    assert measure(image, free, pixel_scale=0.4)["x"][0] == pytest.approx(40.0, abs=0.1)
    table = measure(image, held, pixel_scale=0.4)
    assert table["x"][0] == pytest.approx(40.4, abs=1e-6)
    assert table["x"][1] == pytest.approx(47.0, abs=0.2)


def test_the_sky_goes_before_pixels(scene: Scene, image: Image) -> None:
    x, y, elsewhere = np.array([40.25, 80.0]), np.array([30.0, 60.5]), np.array([7.0, 9.0])
    sky = sky_of(scene, x, y)
    tables = {
        "pixels": Table({"x": x, "y": y, "X": elsewhere}),
        "both": Table({"ra": sky.ra.deg, "dec": sky.dec.deg, "x": elsewhere, "y": elsewhere}),
        "coordinates": Table({"where": sky, "x": elsewhere, "y": elsewhere}),
    }
    for name, table in tables.items():
        found = image_positions(image, table)
        np.testing.assert_allclose(found.x, x, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(found.y, y, atol=1e-6, err_msg=name)
        assert np.isnan(found.ra).all() == (name == "pixels")
    assert image_positions(Image.read({"r": scene.images["r"]}), tables["both"]).x.tolist() == elsewhere.tolist()


def test_what_is_seen_as_one_position() -> None:
    assert [_same_position(seeing) for seeing in (8.0, 1.0, np.nan)] == [2.0, 0.5, 0.5]


def wcs_of(projection: str, ra: float, dec: float, *, shape: tuple[int, int], scale: float) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"RA---{projection}", f"DEC--{projection}"]
    wcs.wcs.crval, wcs.wcs.cdelt = [ra, dec], [-scale, scale]
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    return wcs


@pytest.mark.parametrize(
    ("projection", "ra", "dec", "scale"),
    [
        ("TAN", 0.01, 10.0, 0.001), ("TAN", 83.0, 89.99, 0.01), ("ZEA", 120.0, -89.0, 0.1), ("CAR", 180.0, 0.0, 0.2),
        ("TAN", 200.0, -30.0, 0.9), ("CAR", 180.0, 0.0, 3.0), ("AIT", 0.0, 0.0, 3.0), ("ZEA", 0.0, 90.0, 1.5),
    ],
)  # fmt: skip
def test_all_positions_on_an_image_are_placed(projection: str, ra: float, dec: float, scale: float) -> None:
    shape = (60, 120)
    wcs = wcs_of(projection, ra, dec, shape=shape, scale=scale)
    image = Image.read((np.zeros(shape), wcs))
    rng = np.random.default_rng(1)
    inside = to_sky(wcs, rng.uniform(-0.5, 119.5, 300), rng.uniform(-0.5, 59.5, 300))
    somewhere = rng.uniform(0, 360, 2000), np.degrees(np.arcsin(rng.uniform(-1, 1, 2000)))
    where = np.hstack([inside, somewhere])
    sky = SkyTable(*where[:, np.isfinite(where).all(axis=0)])
    x, y = to_pixel(wcs, sky.ra, sky.dec)
    on = np.flatnonzero(Section.whole(shape).contains(x, y))
    placed = place(image, sky)
    assert len(on) >= 200
    assert placed.row.tolist() == on.tolist()
    np.testing.assert_allclose(placed.x, x[on], atol=1e-6)
    np.testing.assert_allclose(placed.y, y[on], atol=1e-6)


def test_positions_far_from_an_image_are_not_projected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of a million rows is for thousands of fields."""
    wcs, rng, asked = wcs_of("TAN", 150.0, 2.0, shape=(60, 120), scale=0.001), np.random.default_rng(1), []

    def counted(wcs, ra, dec):
        asked.append(len(ra))
        return to_pixel(wcs, ra, dec)

    monkeypatch.setattr("astrogalaxy.survey.positions.to_pixel", counted)
    ra, dec = rng.uniform(145, 155, 100_000), rng.uniform(-3, 7, 100_000)
    placed = place(Image.read((np.zeros((60, 120)), wcs)), SkyTable(ra, dec))
    assert 0 < len(placed) <= asked[0] < 300
