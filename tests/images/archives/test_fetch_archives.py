"""Each archive's images: the right bands, names, zero points; and what comes when an archive fails."""

from __future__ import annotations

import bz2
import io
import json
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import astrogalaxy as ag
from astrogalaxy.config import SurveyConfig
from astrogalaxy.errors import ArchiveError, ConfigError, RunError
from astrogalaxy.images.archives import ARCHIVES, FetchSummary, fetch, fetch_survey
from astrogalaxy.images.archives.download import check_answer
from astrogalaxy.images.archives.survey import survey_yaml
from astrogalaxy.images.fields import find_fields, open_field

PLACE = "180.0 1.0"
HTML = b"<!DOCTYPE html><html><head><title>Service unavailable</title></head><body>Try later.</body></html>"


def page(_: bytes) -> tuple[int, bytes]:
    return 200, HTML


def busy(_: bytes) -> tuple[int, bytes]:
    return 503, HTML


def gone(_: bytes) -> tuple[int, bytes]:
    return 404, HTML


def nothing(_: bytes) -> tuple[int, bytes]:
    return 200, b""


def broken_off(content: bytes) -> tuple[int, bytes]:
    return 299, content


def cut_short(content: bytes) -> tuple[int, bytes]:
    return 200, content[: len(content) // 2]


def empty_image(_: bytes) -> tuple[int, bytes]:
    buffer = io.BytesIO()
    fits.PrimaryHDU(np.zeros((20, 20), np.float32)).writeto(buffer)
    return 200, buffer.getvalue()


def get(archive: str = "sdss", place: object = PLACE, **options):
    return fetch(archive, place, **({"size": 1, "backoff": 0} | options))


def test_the_configuration_and_the_registry_know_the_same_archives() -> None:
    names = SurveyConfig.model_fields["images"].annotation.model_fields["archive"].annotation.__args__[0]
    assert names.model_fields["name"].annotation.__args__ == tuple(ARCHIVES)


def test_sdss_frames_come_with_their_own_names_and_run(server, tmp_path: Path) -> None:
    summary = get(bands="gri")
    names = {path.name for path in summary.files}
    assert names == {f"frame-{b}-003918-3-{n}.fits.bz2" for b in "gri" for n in ("0213", "0214")}
    assert summary.exit_code == 0
    assert summary.fetched == 6
    sql = next(one for one in server.asked if "x_results" in one)
    assert "PhotoPrimary" in sql
    text = "images: {path: 'images/frame-{band}-{field}.fits*', bands: [g, r, i], hdu: 0, zeropoint: 22.5}"
    (tmp_path / "survey.yml").write_text(f"name: s\n{text}\n")
    images = SurveyConfig.read(tmp_path / "survey.yml").images
    assert [field.name for field in find_fields(images)] == ["003918-3-0213", "003918-3-0214"]
    assert open_field(find_fields(images)[0], images).bands["g"].zeropoint == 22.5


def test_what_is_there_is_not_asked_for_again(server) -> None:
    get(bands="r")
    asked = len(server.asked)
    again = get(bands="r")
    assert (len(server.asked), again.fetched, len(again.files)) == (asked, 0, 2)
    get(bands="r", folder="elsewhere")
    assert server.count("/frames/") == 2  # from the cache


def test_a_deleted_image_comes_back_from_the_cache(server) -> None:
    get(bands="r").files[0].unlink()
    assert len(get(bands="r").files) == 2
    assert server.count("/frames/") == 2


def test_passing_failures_are_tried_again(server) -> None:
    server.fail("frame-g-003918-3-0213", busy, page, cut_short, broken_off)
    server.fail("x_results", busy)
    summary = get(bands="g", retries=4)
    assert not summary.losses
    assert len(summary.files) == 2
    assert server.count("frame-g-003918-3-0213") == 5


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (page, "no FITS file but a page: Service unavailable"),
        (nothing, "empty answer"),
        (cut_short, "damaged"),
        (broken_off, "broke off|cannot be reached"),
        (busy, "503"),
        (gone, "404"),
        (empty_image, "its image is empty"),
    ],
)
def test_failed_answers_are_told_and_never_kept(server, tmp_path: Path, fault, words: str) -> None:
    server.fail("frame-g-003918-3-0213", *[fault] * 2)
    summary = get(bands="gr", retries=1)
    (loss,) = summary.losses
    assert loss.what == "frame-g-003918-3-0213.fits.bz2"
    assert any(word in loss.reason for word in words.split("|"))
    assert summary.exit_code == 3
    assert len(summary.files) == 3
    assert len(list((tmp_path / "cache" / "archives").iterdir())) == 3
    server.faults.clear()
    # the same call asks for what is missing alone
    again = get(bands="gr")
    assert (again.exit_code, again.fetched, len(again.files)) == (0, 1, 4)


def test_plain_fits_that_is_cut_short_is_seen(server) -> None:
    server.fail("skv1", cut_short, cut_short)
    summary = get("skyview", bands=["dss2_red"], retries=1)
    assert "cut short" in summary.losses[0].reason


def test_an_archive_that_cannot_be_reached(server, monkeypatch) -> None:
    from astroquery import sdss

    monkeypatch.setattr(sdss.conf, "skyserver_baseurl", "http://127.0.0.1:9")
    with pytest.raises(ArchiveError, match="SDSS cannot be reached .*is there a network"):
        get(retries=0)


def test_no_network_stops_at_once_but_keeps_what_is_there(server, monkeypatch) -> None:
    from astroquery import sdss

    get(bands="r")
    monkeypatch.setattr(sdss.conf, "skyserver_baseurl", "http://127.0.0.1:9")
    summary = get(place=[PLACE, "10 10", "20 10"], bands="r", retries=0)
    assert (len(summary.files), len(summary.losses), summary.exit_code) == (2, 2, 3)


def test_nothing_of_the_sky_there(server) -> None:
    server.frames = []
    summary = get()
    assert summary.exit_code == 1
    assert "no image at 180.00000 1.00000" in str(summary.losses[0])


def test_a_query_that_is_answered_with_a_page(server) -> None:
    server.fail("x_results", page)
    (loss,) = get(retries=0).losses
    assert loss.reason == "SDSS did not answer as it should: a page: Service unavailable"


def test_panstarrs_becomes_linear_with_a_zero_point(server, tmp_path: Path) -> None:
    summary = get("panstarrs", bands="gr", size=0.5)
    assert {p.name for p in summary.files} == {f"panstarrs-J120000.0+010000-1334.061-{b}.fits" for b in "gr"}
    path = summary.files[-1]
    original = fits.getdata(ag.config.pipelines_folder() / "quickstart" / "quickstart-r.fits")
    with fits.open(path) as hdus:
        image = hdus[0].data
        assert hdus[0].header["MAGZERO"] == pytest.approx(32.5)
        assert "BSOFTEN" not in hdus[0].header
        assert image.shape[0] < 160  # cut to the square
        y, x = (round(80 - hdus[0].header[f"CRPIX{axis}"]) for axis in (2, 1))
    there = original[y : y + image.shape[0], x : x + image.shape[1]]
    assert np.abs(image - there).max() < 0.02 * np.abs(there).max()
    assert np.corrcoef(image.ravel(), there.ravel())[0, 1] > 0.999
    band = ag.Image.read({"r": path}, zeropoint="MAGZERO").bands["r"]
    assert band.zeropoint == pytest.approx(32.5)


def test_another_square_of_a_stack_is_cut_again(server) -> None:
    sides = []
    for size in (0.3, 0.5, 0.3):
        (path,) = get("panstarrs", bands="r", size=size).files
        sides.append(fits.getdata(path).shape[0])
    assert sides[0] == sides[2] < sides[1]
    assert server.count("Download") == 1  # the whole stack is in the cache


def test_a_folder_that_cannot_be_made(server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file/images: the folder cannot be made"):
        get(folder=tmp_path / "file" / "images")
    with pytest.raises(RunError, match="ASTROGALAXY_CACHE"):
        get(cache=tmp_path / "file" / "cache")


def test_a_band_that_an_archive_lacks_is_told_again(server) -> None:
    first, again = (get("panstarrs", bands="rz", size=0.5) for _ in range(2))
    assert [loss.band for loss in first.losses] == [loss.band for loss in again.losses] == ["z"]
    assert first.exit_code == again.exit_code == 3


@pytest.mark.parametrize(("archive", "bands"), [("skyview", ["dss2_blue", "dss2_red"]), ("hips2fits", "gr")])
def test_cutout_services(server, archive: str, bands) -> None:
    summary = get(archive, bands=bands, size=1)
    start = {"skyview": "skyview", "hips2fits": "hips"}[archive]
    assert [p.name for p in summary.files] == sorted(f"{start}-J120000.0+010000-{b}.fits" for b in bands)
    assert ARCHIVES[archive].zeropoint is None
    assert any("DSS2+Blue" in one or "PanSTARRS%2FDR1%2Fg" in one for one in server.asked)
    other = get(archive, bands=bands, size=0.5)
    assert other.fetched == 2  # another size is another image
    record = json.loads((other.folder / "fetched.json").read_text())["files"]
    get(archive, bands=bands, size=1)  # the smaller ones have taken its place
    again = json.loads((other.folder / "fetched.json").read_text())["files"]
    assert all(again[name]["key"] != record[name]["key"] for name in record)


def test_an_image_edited_in_place_does_not_change_the_cache(server) -> None:
    (path,) = get("skyview", bands=["dss2_red"]).files
    before = path.read_bytes()
    with path.open("r+b") as file:
        file.write(b"SIMPLE  =                    F")
    path.unlink()
    assert get("skyview", bands=["dss2_red"]).files[0].read_bytes() == before
    assert server.count("skv1") == 1


def test_panstarrs_is_asked_as_far_as_the_corners(server, monkeypatch) -> None:
    from astroquery.mast import Observations

    asked, query = [], Observations.query_criteria
    monkeypatch.setattr(Observations, "query_criteria", lambda **given: asked.append(given) or query(**given))
    get("panstarrs", bands="r", size=0.5)
    assert asked[0]["radius"].to_value("arcsec") == pytest.approx(15 * np.sqrt(2))


@pytest.mark.parametrize(
    ("positions", "name"),
    [
        (["179.689 -0.454"], "hips2fits-179.689_-0.454"),
        (["179.689 -0.455"], "hips2fits-179.689_-0.455"),
        (["M 31"], "hips2fits-m_31"),
        (["lists/my.targets.csv"], "hips2fits-my.targets"),
        (["1 2", "3 4"], "hips2fits"),
        (["../../etc/<b>'x'"], "hips2fits-.._.._etc_b_x"),
        (["Größe " * 40], None),
    ],
)
def test_a_survey_is_called_after_its_position(tmp_path: Path, positions: list[str], name: str | None) -> None:
    summary = FetchSummary(ARCHIVES["hips2fits"], tmp_path / "images", ("g", "r"))
    file = tmp_path / "survey.yml"
    file.write_text(survey_yaml(summary, positions, "5 arcmin", file=file))
    for table in (one for one in positions if one.endswith(".csv")):
        (tmp_path / table).parent.mkdir()
        (tmp_path / table).write_text("ra,dec\n1,2\n")
    config = SurveyConfig.read(file)
    assert name is None or config.name == name
    assert config.output.directory == str(tmp_path / f"{config.name}-out")


def test_several_positions_and_a_table(server, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("name,ra,dec\nA 1,180.0,1.0\nB,180.1,1.0\n")
    summary = get("hips2fits", [tmp_path / "list.csv", "12:00:48 +01:00:00"], bands="r")
    assert [p.name for p in summary.files] == ["hips-A1-r.fits", "hips-B-r.fits", "hips-J120048.0+010000-r.fits"]


def test_names_that_look_like_numbers_stay_as_they_are_written(server, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("ID,ra,dec\n007,180.0,1.0\n1e3,180.1,1.0\n")
    summary = get("hips2fits", tmp_path / "list.csv", bands="r")
    assert [p.name for p in summary.files] == ["hips-007-r.fits", "hips-1e3-r.fits"]


def test_names_are_resolved_or_said_to_need_the_network(server, monkeypatch) -> None:
    from astropy.coordinates import name_resolve

    with name_resolve.sesame_url.set([f"{server.url}/sesame/"]):
        summary = get("hips2fits", "M 31", bands="r")
    assert summary.files[0].name == "hips-M31-r.fits"
    with name_resolve.sesame_url.set(["http://127.0.0.1:9/"]), pytest.raises(ArchiveError, match="cannot be reached"):
        get("hips2fits", "M 33", bands="r")


def test_wrong_arguments_name_what_there_is(server) -> None:
    with pytest.raises(ConfigError, match="no archive 'sds'; choose from sdss"):
        get("sds")
    with pytest.raises(ConfigError, match="no band 'y'; it has u, g, r, i, z"):
        get(bands="gy")
    with pytest.raises(ConfigError, match="up to 30 arcmin"):
        get("hips2fits", size=60)
    with pytest.raises(ConfigError, match="declination"):
        get(place="10 100")
    assert server.asked == []


def test_fetches_into_one_folder_keep_each_others_record(server, tmp_path: Path) -> None:
    """The first of two ends while the second is at work."""
    folder = tmp_path / "images"

    def fetch_another(_done: int, _total: int, what: str) -> None:
        if what.startswith("hips"):  # an image has come
            get("skyview", bands=["dss2_red"])

    get("hips2fits", bands="r", progress=fetch_another)
    record = json.loads((folder / "fetched.json").read_text())
    assert {name.partition("-")[0] for name in record["files"]} == {"hips", "skyview"}
    assert len(record["positions"]) == 2


def test_the_record_says_where_images_come_from(server, tmp_path: Path) -> None:
    get(bands="r")
    record = json.loads((tmp_path / "images" / "fetched.json").read_text())
    entry = record["files"]["frame-r-003918-3-0213.fits.bz2"]
    assert entry["url"].endswith("/301/3918/3/frame-r-003918-3-0213.fits.bz2")
    assert bz2.decompress((tmp_path / "images" / "frame-r-003918-3-0213.fits.bz2").read_bytes()).startswith(b"SIMPLE")


def survey(tmp_path: Path, **images: object) -> Path:
    given = {"archive": {"name": "sdss", "position": PLACE, "size": "1 arcmin"}, "bands": ["g", "r"]}
    given |= {"path": "images/frame-{band}-{field}.fits.bz2", "hdu": 0, "zeropoint": 22.5, **images}
    path = tmp_path / "survey.yml"
    path.write_text(json.dumps({"name": "s", "images": given, "compute": {"workers": 1}}))
    return path


def test_a_run_fetches_what_its_survey_names_and_only_once(server, tmp_path: Path) -> None:
    server.frames = server.frames[:1]
    catalog = ag.run(survey(tmp_path))
    assert len(catalog) > 0
    assert catalog.bands == ("g", "r")
    asked = len(server.asked)
    assert len(ag.run(survey(tmp_path))) == len(catalog)
    assert len(server.asked) == asked


def test_a_run_goes_on_with_what_came(server, tmp_path: Path) -> None:
    from astrogalaxy.survey.run import execute

    server.frames = server.frames[:1]
    server.fail("frame-g", gone)
    summary = execute(survey(tmp_path))
    assert summary.exit_code == 3
    assert any("404" in failure.reason and failure.band == "g" for failure in summary.failures)
    assert len(summary.catalog) > 0


def test_a_path_that_does_not_fit_the_archive(server, tmp_path: Path) -> None:
    config = SurveyConfig.read(survey(tmp_path, path="images/{field}-{band}.fits"))
    with pytest.raises(ConfigError, match="are called frame-"):
        fetch_survey(config.images)


@pytest.mark.remote_data
@pytest.mark.parametrize("archive", list(ARCHIVES))
def test_the_real_archives(archive: str, tmp_path: Path) -> None:
    """One small field each from the archives themselves: pytest --remote-data."""
    summary = fetch(archive, "179.689 -0.454", size=1, folder=tmp_path / "images", cache=tmp_path / "cache")
    assert not summary.losses
    assert {band for band in summary.bands if any(f"-{band}" in p.name for p in summary.files)} == set(summary.bands)
    image = ag.Image.read(summary.files[0], hdu=ARCHIVES[archive].hdu)
    assert 0.1 < image.pixel_scale < 2


def test_answers_that_are_checked_at_once_do_not_get_each_others_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second check begins amid the first, and ends after it."""
    whole, cut, shown = tmp_path / "whole.fits", tmp_path / "cut.fits", warnings.showwarning
    fits.writeto(whole, np.arange(10_000, dtype=np.float32).reshape(100, 100))
    cut.write_bytes(whole.read_bytes()[:20_000])
    opening, begun, over, second = fits.open, threading.Event(), threading.Event(), []

    def opened(path: Path, **settings: object) -> fits.HDUList:
        if path == whole:
            begun.set()
            over.wait(5)
        else:
            second.append(pool.submit(check_answer, whole, "SDSS"))
            begun.wait(0.3)
        return opening(path, **settings)

    monkeypatch.setattr(fits, "open", opened)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ArchiveError, match="cut short"):
            check_answer(cut, "SDSS")
        over.set()
    assert second[0].result() is None
    assert warnings.showwarning is shown
