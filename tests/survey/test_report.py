"""The report: whole, valid, safe, and true to the catalogue."""

from __future__ import annotations

import base64
import copy
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from astrogalaxy.catalog import FLAGS, SourceCatalog, flag_bits
from astrogalaxy.errors import RunError
from astrogalaxy.images import Aligned, Section, plan_tiles
from astrogalaxy.survey.facts import depth, field_facts, field_rows, seeing, whole_field
from astrogalaxy.survey.preview import Preview, StoredPreviews, make_preview, preview_step
from astrogalaxy.survey.report import text as words
from astrogalaxy.survey.report import write_report
from astrogalaxy.survey.report.marks import Frame, mark_paths, orientation
from astrogalaxy.survey.report.pictures import jpeg_uri

SHAPE = (180, 260)
VOID = {"meta", "img", "input", "br", "hr", "link"}


class Page(HTMLParser):
    """What is on a page; refuses elements that are not closed in order."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(content)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"twice the same attribute in {tag}: {names}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def make_catalog(
    n: int = 60, *, bands: tuple[str, ...] = ("g", "r", "i"), calibrated: bool = True, field: str = "one", seed: int = 1
) -> SourceCatalog:
    """Stars and galaxies on a field of 0.4 arcsec pixels, north up and east left."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, SHAPE[1] - 1, n), rng.uniform(0, SHAPE[0] - 1, n)
    galaxy = np.where(np.arange(n) % 3 == 0, 0.95, np.where(np.arange(n) % 3 == 1, 0.02, 0.5))
    columns: dict[str, Any] = {
        "x": x, "y": y, "x_min": x - 4, "x_max": x + 4, "y_min": y - 4, "y_max": y + 4, "field": np.full(n, field),
        "ra": (359.999 - (x - 130) * 0.4 / 3600 / np.cos(np.radians(30))) % 360, "dec": 30 + (y - 90) * 0.4 / 3600,
        "p_galaxy": galaxy, "p_star": 1 - galaxy, "det_score": np.full(n, 0.9), "snr": rng.uniform(60, 500, n),
        "class": np.select([galaxy > 0.6, galaxy < 0.4], ["galaxy", "star"], "unsure"),
        "p_disk": np.where(galaxy >= 0.5, rng.uniform(0, 1, n), np.nan),
        "morphology": np.where(galaxy >= 0.5, "unsure", ""), "flags": np.zeros(n, int),
        "fwhm": rng.normal(1.2, 0.05, n), "half_light_radius": np.where(galaxy > 0.6, 1.5, 0.7),
        "a": np.full(n, 1.2), "b": np.full(n, 0.6), "theta": rng.uniform(0, 180, n),
    }  # fmt: skip
    for number, band in enumerate(bands):
        magnitude = rng.normal(20 - 0.4 * number, 1, n)
        flux = 10 ** (-0.4 * (magnitude - (31.4 if calibrated else 22.5)))
        for name in (f"flux_{band}", f"flux_aper_{band}"):
            columns |= {name: flux, f"{name}_err": 0.02 * flux}
        if calibrated:
            columns |= {f"mag_{band}": magnitude, f"mag_{band}_err": np.full(n, 0.02)}
    return SourceCatalog.from_columns(columns, bands=bands, calibrated=calibrated)


def make_run(*fields: str, bands: tuple[str, ...] = ("g", "r", "i"), **changes: Any) -> dict[str, Any]:
    ny, nx = SHAPE
    names = fields or ("one",)
    inputs = {b: {"path": f"/sky/frame-{b}.fits", "sha256": "0123456789abcdef" * 4, "bytes": 3_300_000} for b in bands}
    record = {"status": "done", "bands": list(bands), "shape": [ny, nx], "pixel_scale": 0.4, "inputs": inputs}
    return {
        "format": 1, "name": "my survey", "status": "complete", "started": "2025-03-04T05:06:07+00:00",
        "finished": "2025-03-04T05:07:30+00:00", "wall_seconds": 83.0,
        "bands": list(bands), "reference": bands[len(bands) // 2],
        "versions": {"astrogalaxy": "1.2.3", "numpy": "2.0"}, "config_sha256": "c0ffee", "workers": 2, "threads": 1,
        "weights": {"name": "nano", "version": "7", "sha256": "feed"}, "device": "cpu",
        "fields": [{"name": name, **record} for name in names],
        "tiles": [{"field": name, "tile": "x0y0", "status": "done", "pixels": ny * nx, "sources": 1} for name in names],
        "failures": [], "seconds": {"read": 8.0, "detect": 2.0, "merge": 0.1, "catalog": None},
        "counts": {"duplicates": 0},
    } | changes  # fmt: skip


def make_previews(step: int | None = None, *, tile: int = 96) -> list[Preview]:
    snr = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
    whole = Aligned(snr, np.zeros(snr.shape, bool), ("g", "r", "i"), Section.whole(SHAPE))
    previews = []
    for piece in plan_tiles(SHAPE, size=tile, overlap=0):
        aligned = Aligned(snr[:, *piece.core.slices], whole.bad[:, *piece.core.slices], whole.bands, piece.core)
        previews.append(make_preview(aligned, piece.core, step=step or preview_step(SHAPE), detail=64))
    return previews


def with_measured(run: dict[str, Any], catalog: SourceCatalog) -> dict[str, Any]:
    """The record with what a run measures of each field."""
    rows = field_rows(catalog)
    wholes = {name: whole_field(catalog[mine], run.get("bands", ()), {}) for name, mine in rows.items()}
    fields = run.get("fields", [])
    return {**run, "fields": [{"measured": wholes.get(record["name"]), **record} for record in fields]}


def written(path: Path, **parts: Any) -> tuple[Page, str]:
    settings = {"run": make_run(), "catalog": make_catalog(), "previews": {"one": make_previews()}} | parts
    settings["run"] = with_measured(settings["run"], settings["catalog"])
    write_report(path / "report.html", facts=field_facts(settings["run"], settings["catalog"]), **settings)
    content = (path / "report.html").read_text(encoding="utf-8")
    return Page(content), content


# -- the page --------------------------------------------------------------------------------------


def test_needs_nothing_else_and_is_valid(tmp_path: Path) -> None:
    page, content = written(tmp_path, previews={"one": make_previews(2)})
    assert content.startswith("<!DOCTYPE html>")
    for tag in ("script", "link", "iframe", "object"):
        assert not page.all(tag)
    assert all(str(image["src"]).startswith("data:image/") and image["alt"] for image in page.all("img"))
    assert not re.search(r"url\(|@import|https?://", content)
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for a in page.all("a")} <= set(ids)
    assert {label["for"] for label in page.all("label")} <= set(ids)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_says_what_was_done(tmp_path: Path) -> None:
    page, _ = written(tmp_path)
    for part in (
        "my survey", "complete", "60 sources from 1 field in g r i", "20 galaxies", "20 stars", "1 min 23 s",
        "2.1 arcmin²", "4 March 2025, 05:07 UTC", "90.0 % expected to be real", "nano 7", "feed", "c0ffee", "1.2.3",
        "frame-g.fits", "3.3 MB", "0123456789abcdef", "read images, measure the sky", "8.0 s", "2 workers × 1 thread on cpu",
        "1 of 1 tile", f"All {len(make_catalog(1).colnames)} columns",
    ):  # fmt: skip
        assert part in page.text, part
    for flag in FLAGS.values():
        assert flag.name in page.text and flag.description in page.text
    assert "Failures" not in page.text


def test_charts_are_there_for_which_there_is_data(tmp_path: Path) -> None:
    weights = {"name": "n", "metrics": {"galaxy_ece": 0.0312}, "reliability": {"galaxy": [[0.1, 0.2], [0.9, 0.8, 40]]}}
    both = SourceCatalog.stack([make_catalog(), make_catalog(field="two", seed=2)])
    page, _ = written(tmp_path, run=make_run("one", "two", weights=weights), catalog=both)
    titles = ("Number counts", "Size and magnitude", "Colour and magnitude", "Two colours", "Star or galaxy",
              "Smooth or disk", "Seeing", "Reliability")  # fmt: skip
    for title in titles:
        assert title in page.text, title
    assert "galaxy calibration error 0.031" in page.text
    charts = [str(i["src"]) for i in page.all("img") if str(i["src"]).startswith("data:image/svg+xml")]
    assert len(charts) == len(titles)
    for chart in charts:
        assert b"<svg" in base64.b64decode(chart.split(",")[1])


def test_names_cannot_put_markup_on_the_page(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script> & \"$m$\" 星"
    failure = {"field": evil, "band": "r", "tile": "", "stage": "read", "reason": f"{evil}: damaged"}
    both = SourceCatalog.stack([make_catalog(field=evil), make_catalog(field="two", seed=2)])
    run = make_run(evil, "two", name=evil, status="partial", failures=[failure], versions={evil: evil})
    run["fields"][0]["inputs"]["g"]["path"] = evil
    page, content = written(tmp_path, run=run, catalog=both, previews={evil: make_previews()})
    assert not page.all("script") and "<script" not in content
    assert page.text.count(evil) > 5


def test_failures_are_listed_and_the_status_says_so(tmp_path: Path) -> None:
    failures = [{"field": f"f{i}", "band": "g", "stage": "open", "reason": f"no file {i}"} for i in range(250)]
    nothing = {"catalog": SourceCatalog.from_columns({"ra": []}, bands=["g"]), "previews": {}}
    page, _ = written(tmp_path, run=make_run(status="partial", failures=failures), **nothing)
    assert re.search(r"partial ?: 250 failures", page.text)
    assert "no file 199" in page.text and "no file 200" not in page.text
    assert "And 50 more" in page.text
    alone, _ = written(tmp_path, run=make_run(status="partial", failures=failures[:1]), **nothing)
    assert re.search(r"partial ?: 1 failure\b", alone.text) and "1 failures" not in alone.text


def test_nothing_at_all_still_makes_a_page(tmp_path: Path) -> None:
    empty = SourceCatalog.from_columns({"ra": []}, bands=["g"])
    page, _ = written(tmp_path, run={"name": "empty"}, catalog=empty, previews={})
    assert "No sources from 0 fields" in page.text and "unknown" in page.text


@pytest.mark.parametrize("status", ["complete", "failed"])
def test_an_empty_catalogue_shows_the_sky(tmp_path: Path, status: str) -> None:
    empty = SourceCatalog.from_columns({"ra": []}, bands=["g", "r", "i"])
    page, _ = written(tmp_path, run=make_run(status=status), catalog=empty)
    assert "0 galaxies" in page.text and "too few good stars" in page.text
    assert sum(str(i["src"]).startswith("data:image/jpeg") for i in page.all("img")) == 1
    assert ("How to read the catalogue" in page.text) == (status == "complete")


def test_the_catalogue_is_where_it_was_written(tmp_path: Path) -> None:
    files = [{"name": name} for name in ("m.parquet", "m.reg", "m.vot", "m.moc.fits", "survey.yml")]
    page, _ = written(tmp_path, run=make_run() | {"files": files})
    assert "It is in m.parquet and m.vot , with the same rows in each." in page.text
    assert 'SourceCatalog.read("m.parquet")' in page.text


def test_one_band_without_zero_point_and_without_wcs(tmp_path: Path) -> None:
    catalog = make_catalog(bands=("white",), calibrated=False)
    for name in ("ra", "dec", "a", "b", "theta", "fwhm", "half_light_radius"):
        catalog[name][:] = np.nan
    run = make_run(bands=("white",))
    run["fields"][0]["pixel_scale"] = None
    page, _ = written(tmp_path, run=run, catalog=catalog)
    assert "Number counts" in page.text and "image units" in page.text
    assert "Colour and magnitude" not in page.text and "Size and magnitude" not in page.text
    assert not [svg for svg in page.all("svg") if svg.get("class") == "compass"]


def test_two_bands_have_one_colour(tmp_path: Path) -> None:
    page, _ = written(tmp_path, run=make_run(bands=("g", "r")), catalog=make_catalog(bands=("g", "r")))
    assert "Colour and magnitude" in page.text and "Two colours" not in page.text


def test_values_that_are_not_numbers_do_no_harm(tmp_path: Path) -> None:
    catalog = make_catalog()
    for name in catalog.colnames:
        if catalog[name].dtype.kind == "f":
            catalog[name][::2] = np.nan
    written(tmp_path, catalog=catalog)
    for name in catalog.colnames:
        if catalog[name].dtype.kind == "f":
            catalog[name][:] = np.nan
    page, content = written(tmp_path, catalog=catalog)
    assert "nan" not in page.text.split() and not re.search(r' d="[^"]*nan', content)


def test_more_fields_than_are_shown(tmp_path: Path) -> None:
    names = [f"f{i:02d}" for i in range(15)]
    catalog = SourceCatalog.stack([make_catalog(6, field=name, seed=i) for i, name in enumerate(names)])
    asked: list[str] = []

    class Previews(dict[str, list[Preview]]):
        def __getitem__(self, name: str) -> list[Preview]:
            asked.append(name)
            return super().__getitem__(name)

    shown = make_previews()
    previews = Previews({name: [] if name == "f03" else shown for name in names})
    page, _ = written(tmp_path, run=make_run(*names), catalog=catalog, previews=previews)
    assert len([d for d in page.all("details") if d.get("class") == "field"]) == 12
    assert "And 2 more fields" in page.text
    assert asked == names[:13], "a field without a preview takes no place; pictures that are not shown are not read"


def test_fields_with_failures_come_first_in_a_table_that_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrogalaxy.survey.report.write.MOST_FIELDS", 2)
    run = make_run("north", "south", "partly", "lost")
    for field, status, zeropoint in zip(
        run["fields"], ("done", "done", "partial", "failed"), (25.0, 25.0, 25.25, 25.0), strict=True
    ):
        headers = {"g": {"zeropoint": 22.5}, "r": {"zeropoint": zeropoint}}
        field |= {"status": status, "headers": headers}
    page, _ = written(tmp_path, run=run, previews={})
    table = page.text[page.text.index("Centre") : page.text.index("And 2 more fields")]
    assert table.index("lost") < table.index("partly") and "north" not in table and "south" not in table
    assert "bands g r i, zero point r 25.00" in table and "bands g r i, zero point r 25.25" in table
    assert "run.json has all of them" in page.text


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path)[1] == written(tmp_path)[1]


def test_leaves_its_input_and_matplotlib_as_they_were(tmp_path: Path) -> None:
    run, catalog, before = make_run(), make_catalog(), dict(mpl.rcParams)
    run_before, catalog_before = copy.deepcopy(run), catalog.copy()
    written(tmp_path, run=run, catalog=catalog)
    assert run == run_before and dict(mpl.rcParams) == before
    for name in catalog.colnames:
        np.testing.assert_array_equal(catalog[name], catalog_before[name])


def test_a_style_of_the_user_changes_nothing(tmp_path: Path) -> None:
    plain = written(tmp_path)[1]
    with mpl.rc_context({"font.size": 30, "axes.grid": False, "lines.linewidth": 9}):
        styled = written(tmp_path)[1]
    assert abs(len(plain) - len(styled)) < 0.1 * len(plain)


def test_cannot_be_written_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        write_report(tmp_path / "no" / "report.html", run=make_run(), catalog=make_catalog(), facts=[], previews={})


# -- numbers ---------------------------------------------------------------------------------------


def test_seeing_is_that_of_good_stars_only() -> None:
    catalog = make_catalog(90)
    stars = np.flatnonzero(catalog["class"] == "star")
    catalog["fwhm"][:] = 9.0
    catalog["fwhm"][stars] = np.linspace(1.0, 1.4, len(stars))
    spoiled = stars[:9]
    catalog["fwhm"][spoiled] = 5.0
    flags = ("edge", "saturated", "masked", "blended", "bad_centroid")
    catalog["flags"][spoiled[:5]] = [flag_bits(name) for name in flags]
    catalog["snr"][spoiled[5:8]] = 3.0
    catalog["fwhm"][spoiled[8]] = np.nan
    found = seeing(catalog)
    assert found is not None
    kept = np.asarray(catalog["fwhm"][stars[9:]], float)
    assert found.n_stars == len(kept) and found.median == pytest.approx(np.median(kept))
    assert found.low < found.median < found.high and found.spread == pytest.approx((found.high - found.low) / 2)
    assert seeing(catalog[:2]) is None


def test_depth_is_five_times_the_noise_of_faint_sources() -> None:
    catalog = make_catalog()
    catalog["flux_aper_r"][:] = 500.0
    catalog["flux_aper_r_err"][:] = 100.0
    catalog["flux_aper_r"][:20], catalog["flux_aper_r_err"][:20] = 1e6, 1e4
    found = depth(catalog, "r")
    assert found is not None and found.is_magnitude
    assert found.value == pytest.approx(31.4 - 2.5 * np.log10(500), abs=1e-4)
    plain = make_catalog(calibrated=False)
    plain["flux_aper_r"][:], plain["flux_aper_r_err"][:] = 1.0, 0.2
    found = depth(plain, "r")
    assert found is not None and not found.is_magnitude and found.value == pytest.approx(1.0)
    plain["flux_aper_r_err"][:] = np.nan
    assert depth(plain, "r") is None


def test_area_and_density_count_overlaps_once(tmp_path: Path) -> None:
    """One field is 2.08 square arcmin."""
    names = "one", "two"
    catalog = SourceCatalog.stack([make_catalog(30, field=name) for name in names])
    for area, said in [
        (None, "4.2 arcmin² 14.4 sources per arcmin²; sum of the fields, overlaps counted repeatedly"),
        (2 * 2.08 / 3600, "4.2 arcmin² 14.4 sources per arcmin²"),
        (3.0 / 3600, "3.0 arcmin² 20.0 sources per arcmin², overlaps counted once"),
    ]:
        page, _ = written(tmp_path, run=make_run(*names, area=area), catalog=catalog, previews={})
        assert said in page.text
        assert ("overlaps counted" in page.text) == ("overlaps counted" in said)


def test_the_seeing_of_a_field_is_that_of_all_its_stars_where_others_have_its_rows(tmp_path: Path) -> None:
    run = make_run("one", "two")
    for field, fwhm in zip(run["fields"], (0.75, 1.3), strict=True):
        field["measured"] = {"stars": 40, "seeing": fwhm, "seeing_spread": 0.02}
    page, _ = written(tmp_path, run=run, catalog=make_catalog(60, field="one"), previews={})
    assert "0.75 to 1.30″" in page.text and "1.30 ± 0.02 from 40 stars" in page.text
    run["fields"][1]["measured"] = {"stars": 3, "seeing": None, "seeing_spread": None}
    page, _ = written(tmp_path, run=run, catalog=make_catalog(60, field="one"), previews={})
    assert "too few good stars" in page.text


def test_fields_are_told_apart_in_any_order() -> None:
    catalog = SourceCatalog.stack([make_catalog(4, field=name) for name in ("b", "a", "b")])
    rows = field_rows(catalog)
    assert {name: list(found) for name, found in rows.items()} == {"b": [0, 1, 2, 3, 8, 9, 10, 11], "a": [4, 5, 6, 7]}
    shuffled = catalog[np.random.default_rng(0).permutation(len(catalog))]
    for name, found in field_rows(shuffled).items():
        np.testing.assert_array_equal(found, np.flatnonzero(shuffled["field"] == name))
    assert field_rows(catalog[:0]) == {}


def test_area_counts_what_was_searched() -> None:
    run = make_run("one", "two", "three")
    run["fields"][2] |= {"status": "failed", "shape": None, "pixel_scale": None, "bands": []}
    run["tiles"] = [
        {"field": "one", "tile": "a", "status": "done", "pixels": 100},
        {"field": "one", "tile": "b", "status": "kept", "pixels": 50},
        {"field": "one", "tile": "c", "status": "failed", "pixels": 70},
    ]
    one, two, three = field_facts(run, make_catalog())
    assert one.area == pytest.approx(150 * 0.16) and one.tiles == (2, 3)
    assert two.area == pytest.approx(SHAPE[0] * SHAPE[1] * 0.16)
    assert np.isnan(three.area) and three.counts["sources"] == 0


def test_centre_of_a_field_is_that_of_its_image(tmp_path: Path) -> None:
    run = make_run()
    assert np.isnan(field_facts(run, make_catalog())[0].centre).all()
    run["fields"][0]["centre"] = [359.995, -30.5]
    assert "23:59:59 \N{MINUS SIGN}30:30:00" in written(tmp_path, run=run)[0].text


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (words.number(float("nan")), "–"), (words.number(None), "–"), (words.number(-1234.5, 1), "−1,234.5"),
        (words.duration(59.99), "1 min 00 s"), (words.duration(3599.9), "1 h 00 min"), (words.duration(None), "–"),
        (words.area(float("nan")), "–"), (words.area(0), "–"), (words.size(999), "999 B"), (words.share(3, 0), "–"),
        (words.count(None), "–"), (words.joined([]), "–"),
    ],
)  # fmt: skip
def test_numbers_as_people_read_them(made: str, wanted: str) -> None:
    assert made == wanted


# -- marks -----------------------------------------------------------------------------------------


def on_sky(angle: float, *, flip: bool, dec: float, scale: float = 0.5) -> SourceCatalog:
    """Sources of a field that is turned by an angle, on a plane that touches the sky."""
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 1000, 50), rng.uniform(0, 800, 50)
    east, north = (-1 if flip else 1) * (x - 500) * scale, (y - 400) * scale
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    east, north = np.radians(np.array([c * east - s * north, s * east + c * north]) / 3600)
    at = np.radians(dec)
    down = np.cos(at) - north * np.sin(at)
    ra = np.degrees(np.arctan2(east, down)) % 360
    declination = np.degrees(np.arctan2(np.sin(at) + north * np.cos(at), np.hypot(east, down)))
    return SourceCatalog.from_columns({"x": x, "y": y, "ra": ra, "dec": declination}, bands=["r"])


@pytest.mark.parametrize("dec", [0.0, -45.0, 85.0])
@pytest.mark.parametrize(("angle", "flip"), [(0, True), (0, False), (37, True), (200, False)])
def test_orientation_is_found_from_the_sources(angle: float, flip: bool, dec: float) -> None:
    turned = orientation(on_sky(angle, flip=flip, dec=dec))
    assert turned is not None and turned.scale == pytest.approx(2, rel=1e-3)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    sign = -1 if flip else 1
    np.testing.assert_allclose(turned.direction(0.0), [sign * s, c], atol=3e-3)
    np.testing.assert_allclose(turned.direction(90.0), [sign * c, -s], atol=3e-3)


def test_no_orientation_without_a_map() -> None:
    sky = on_sky(0, flip=True, dec=0)
    assert orientation(sky[:3]) is None
    line = sky.copy()
    line["y"][:] = 2 * line["x"]
    line["dec"][:] = 0.5 * line["ra"]
    assert orientation(line) is None
    wild = sky.copy()
    wild["ra"] = np.random.default_rng(0).permutation(wild["ra"])
    assert orientation(wild) is None


def test_marks_are_where_the_sources_are() -> None:
    frame = Frame(10.0, 20.0, 2.0, 100, 80, 3.0)
    u, v = frame.place(np.array([9.5, 10.0, 209.5]), np.array([19.5, 20.0, 179.5]))
    np.testing.assert_allclose(u, [0, 0.25, 100])
    np.testing.assert_allclose(v, [80, 79.75, 0])
    on = frame.holds(np.array([9.5, 9.4, np.nan]), np.full(3, 20.0))
    np.testing.assert_array_equal(on, [True, False, False])


def test_each_class_has_its_own_shape() -> None:
    catalog = make_catalog(3)
    catalog["x"][:], catalog["y"][:] = 100, 50
    paths = mark_paths(catalog, Frame(0, 0, 1, 260, 180, 3), None)
    assert [bool(p) for p in paths["galaxy"]] == [True, False, False]
    assert "a" in paths["galaxy"][0] and paths["star"][1].count("l") == 1 and "h" in paths["unsure"][2]
    ends = [float(number) for number in re.findall(r"-?[\d.]+", paths["star"][1])][:2]
    half = np.hypot(ends[0] - 100.5, ends[1] - 129.5)
    assert 3 < half < 8 and ends[1] == pytest.approx(129.5)


@pytest.mark.parametrize("theta", [0.0, 30.0, 90.0, 150.0])
def test_ellipses_lie_as_the_galaxy_on_the_sky(theta: float) -> None:
    # north up and east left: the major axis turns from up to the left
    turned = orientation(on_sky(0, flip=True, dec=0, scale=0.5))
    columns = {"x": [50.0], "y": [40.0], "x_min": [30.0], "x_max": [70.0], "y_min": [20.0], "y_max": [60.0]}
    shape = {"a": [2.0], "b": [1.0], "theta": [theta], "class": ["galaxy"]}
    catalog = SourceCatalog.from_columns(columns | shape, bands=["r"])
    (path,) = mark_paths(catalog, Frame(0, 0, 1, 100, 80, 3), turned)["galaxy"]
    x, y, major, minor, angle = (float(n) for n in re.findall(r"-?[\d.]+", path)[:5])
    assert major == pytest.approx(2 * minor, rel=0.02) and major == pytest.approx(2 * 3 * 2, rel=0.02)
    to_end = np.array([x - 50.5, -(y - 39.5)]) / major
    wanted = np.array([-np.sin(np.radians(theta)), np.cos(np.radians(theta))])
    assert abs(to_end @ wanted) == pytest.approx(1, abs=0.02)
    assert np.sin(np.radians(-angle) - np.arctan2(wanted[1], wanted[0])) == pytest.approx(0, abs=0.02)


def test_without_a_shape_the_box_is_drawn() -> None:
    columns = {"x": [50.0], "y": [40.0], "x_min": [30.0], "x_max": [70.0], "y_min": [35.0], "y_max": [45.0]}
    catalog = SourceCatalog.from_columns(columns | {"class": ["galaxy"]}, bands=["r"])
    for turned in (None, orientation(on_sky(0, flip=True, dec=0))):
        (path,) = mark_paths(catalog, Frame(0, 0, 1, 100, 80, 3), turned)["galaxy"]
        assert path.startswith("M70.5 39.5a20 5 0 ")


# -- pictures --------------------------------------------------------------------------------------


def test_pictures_keep_within_their_budget() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 600, 3), dtype=np.uint8)
    free, tight = jpeg_uri(noise, 10**7), jpeg_uri(noise, 60_000)
    assert len(tight) < 60_100 < len(free)
    assert tight.startswith("data:image/jpeg;base64,")


def test_six_fields_of_a_survey_weigh_less_than_six_megabytes(tmp_path: Path) -> None:
    names = [f"f{i}" for i in range(6)]
    rng = np.random.default_rng(0)
    noise = rng.integers(20, 60, (745, 1024, 3), dtype=np.uint8)
    preview = Preview(noise, 0, 0, 2)
    run = make_run(*names)
    for field in run["fields"]:
        field["shape"] = [1490, 2048]
    catalog = SourceCatalog.stack([make_catalog(1500, field=name, seed=i) for i, name in enumerate(names)])
    _, content = written(tmp_path, run=run, catalog=catalog, previews={name: [preview] for name in names})
    assert 500_000 < len(content.encode()) < 6_000_000


def test_the_brightest_are_marked_where_there_are_too_many(tmp_path: Path) -> None:
    catalog = make_catalog(3000)
    page, _ = written(tmp_path, catalog=catalog, previews={"one": make_previews(4)})
    assert re.search(r"The brightest \d+ of 3,000 sources are marked", page.text)
    assert "Dashed: the detail" in page.text and "every source of the catalogue" in page.text


def test_stored_previews_are_read_when_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good, damaged = tmp_path / "good.npz", tmp_path / "damaged.npz"
    make_previews()[0].save(good)
    damaged.write_bytes(b"none")
    stored = StoredPreviews({"one": [good, damaged, tmp_path / "missing.npz"], "two": []})
    assert list(stored) == ["one", "two"] and len(stored) == 2 and "one" in stored and "three" not in stored
    assert not caplog.records, "nothing was read so far"
    assert len(stored["one"]) == 1
    assert "damaged.npz" in caplog.text and "missing.npz" in caplog.text
    page, _ = written(tmp_path, previews=stored)
    assert len([d for d in page.all("details") if d.get("class") == "field"]) == 1
