"""Which files make up the fields of a survey, and opening them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from astrogalaxy.config import SurveyConfig
from astrogalaxy.config.images import ImagesSection
from astrogalaxy.errors import ImageError
from astrogalaxy.images.fields import Field, closed_folders, find_fields, missing_maps, open_field

BANDS = ("g", "r")


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., None]:
    """Empty files of these names (folders included): names are all that `find_fields` looks at."""

    def make(*names: str) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()

    return make


@pytest.fixture
def section(tmp_path: Path) -> Callable[..., ImagesSection]:
    """The `images` section of a survey.yml in the folder of the files."""

    def make(path: Any, **keys: Any) -> ImagesSection:
        def absolute(pattern: Any) -> Any:
            if isinstance(pattern, dict):
                return {band: absolute(text) for band, text in pattern.items()}
            if isinstance(pattern, list):
                return [absolute(text) for text in pattern]
            return f"{tmp_path}/{pattern}"

        keys |= {key: absolute(keys[key]) for key in ("psf", "mask", "weight") if key in keys}
        images = {"bands": list(BANDS), **keys, "path": absolute(path)}
        return SurveyConfig.from_dict({"name": "test", "images": images}).images

    return make


def names(paths: dict[str, Path], folder: Path) -> dict[str, str]:
    return {band: path.relative_to(folder).as_posix() for band, path in paths.items()}


# -- finding ---------------------------------------------------------------------------------------


def test_one_field_without_a_placeholder(tmp_path, files, section):
    files("m31-g.fits", "m31-r.fits", "m31-z.fits", "other.fits")
    (field,) = find_fields(section("m31-{band}.fits"))
    assert field.name == ""
    assert names(field.paths, tmp_path) == {"g": "m31-g.fits", "r": "m31-r.fits"}
    assert field.masks == field.weights == {}
    assert field.files == list(field.paths.values())


def test_fields_are_named_by_the_placeholder_and_sorted(tmp_path, files, section):
    files(*(f"frame-{band}-{name}.fits.bz2" for band in BANDS for name in ("003918-3", "001000-1", "x.y (2)")))
    fields = find_fields(section("frame-{band}-{field}.fits.bz2"))
    assert [field.name for field in fields] == ["001000-1", "003918-3", "x.y (2)"]
    assert names(fields[1].paths, tmp_path) == {band: f"frame-{band}-003918-3.fits.bz2" for band in BANDS}


def test_files_that_are_left_out_are_no_fields_under_any_of_their_names(tmp_path, files, section):
    files("m31.fits", "m33.fits", "link/x")
    (tmp_path / "again.fits").symlink_to("m31.fits")
    fields = find_fields(section("{field}.fits", bands=["r"]), without=[tmp_path / "link" / ".." / "m31.fits"])
    assert [field.name for field in fields] == ["m33"]


def test_field_that_lacks_a_band_is_kept_without_it(files, section):
    files("a-g.fits", "a-r.fits", "b-r.fits")
    fields = find_fields(section("{field}-{band}.fits"))
    assert [(field.name, list(field.paths)) for field in fields] == [("a", ["g", "r"]), ("b", ["r"])]


def test_placeholder_does_not_reach_into_folders(files, section):
    files("a/g.fits", "a/r.fits", "b/c/g.fits")
    assert [field.name for field in find_fields(section("{field}/{band}.fits"))] == ["a"]


def test_placeholder_that_stands_twice_means_the_same(files, section):
    files("a/a-g.fits", "a/a-r.fits", "b/c-g.fits")
    assert [field.name for field in find_fields(section("{field}/{field}-{band}.fits"))] == ["a"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("night*/{field}-{band}.fits", ["a", "b"]),
        ("**/{field}-{band}.fits", ["a", "b", "c", "d"]),
        ("night?/{field}-{band}.fits", ["a", "b"]),
        ("night[2-9]/{field}-{band}.fits", ["b"]),
        ("night[!2-9]/{field}-{band}.fits", ["a"]),
        ("night1/{field}-{band}.f*", ["a"]),
    ],
)
def test_globs(files, section, pattern, found):
    files(*(f"{name}-{band}.fits" for name in ("night1/a", "night2/b", "deep/er/c", "d") for band in BANDS))
    assert [field.name for field in find_fields(section(pattern))] == found


def test_several_patterns_add_up(tmp_path, files, section):
    files("a-g.fits", "old/b_g.fits", "a-r.fits", "old/b_r.fits")
    fields = find_fields(section(["{field}-{band}.fits", "old/{field}_{band}.fits"]))
    assert [field.name for field in fields] == ["a", "b"]
    assert names(fields[1].paths, tmp_path) == {"g": "old/b_g.fits", "r": "old/b_r.fits"}


def test_file_that_two_patterns_match_is_one_file(files, section):
    files("a-g.fits", "a-r.fits")
    (field,) = find_fields(section(["{field}-{band}.fits", "{field}-{band}.f*"]))
    assert field.name == "a"


def test_pattern_by_band(tmp_path, files, section):
    files("blue/1.fits", "red/1.fits")
    (field,) = find_fields(section({"g": "blue/{field}.fits", "r": "red/{field}.fits"}))
    assert names(field.paths, tmp_path) == {"g": "blue/1.fits", "r": "red/1.fits"}


def test_maps_whose_names_match_the_pattern_of_images_are_none(files, section):
    files("a.fits", "a.mask.fits", "b.fits", "b.mask.fits", "c.wht.fits", "c.fits")
    found = find_fields(section("{field}.fits", bands=["r"], mask="{field}.mask.fits", weight="{field}.wht.fits"))
    assert [(field.name, set(field.masks), set(field.weights)) for field in found] == [
        ("a", {"r"}, set()), ("b", {"r"}, set()), ("c", set(), {"r"})
    ]  # fmt: skip
    found = find_fields(section("{field}.fits", bands=["r"], mask="{field}.fits"))
    assert len(found) == 6


def test_second_file_of_a_field_is_refused(files, section):
    files("1/a-g.fits", "2/a-g.fits", "1/a-r.fits")
    with pytest.raises(ImageError, match=r"2/a-g\.fits: field 'a' has a second file in band g: .*1/a-g\.fits"):
        find_fields(section("*/{field}-{band}.fits"))
    with pytest.raises(ImageError, match=r"second file in band g.*narrow images\.path"):
        find_fields(section("*/*-{band}.fits"))


def test_no_match_is_refused_with_the_pattern(tmp_path, section):
    with pytest.raises(ImageError, match=rf"no image matches images\.path, for instance {tmp_path}/x-g-{{field}}"):
        find_fields(section("x-{band}-{field}.fits"))


# -- folders that cannot be looked into ------------------------------------------------------------


@pytest.fixture
def close(tmp_path, monkeypatch) -> Callable[[str], None]:
    """Take away the right to list a folder, from root as well."""
    closed = set()
    listed = os.scandir

    def scandir(path: Any) -> Any:
        if os.fspath(path).rstrip("/") in closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return lambda name: closed.add(str(tmp_path / name))


@pytest.mark.parametrize("pattern", ["nights/*/{field}-{band}.fits", "nights/**/{field}-{band}.f*"])
def test_fields_of_a_folder_that_cannot_be_listed_are_missed(tmp_path, files, section, close, pattern):
    files(*(f"nights/{night}/{night}-{band}.fits" for night in "ab" for band in BANDS))
    images = section(pattern)
    assert closed_folders(images) == []
    close("nights/b")
    assert [field.name for field in find_fields(images)] == ["a"]
    (said,) = closed_folders(images)
    assert said.startswith(f"{tmp_path}/nights/b: cannot be looked into (Permission denied)")


def test_folders_that_cannot_be_reached_are_missed(tmp_path, files, section):
    files(*(f"nights/{night}/{band}.fits" for night in "ab" for band in BANDS), "nights/README")
    (tmp_path / "nights/c").symlink_to(tmp_path / "nowhere")
    (tmp_path / "nights/d").symlink_to(tmp_path / "nights/d")
    images = section("nights/{field}/{band}.fits")
    assert [field.name for field in find_fields(images)] == ["a", "b"]
    assert [(Path(said.split(":")[0]).name, "link" in said) for said in closed_folders(images)] == [
        ("c", True),
        ("d", True),
    ]


def test_a_folder_that_is_roots_alone_is_not_missed(files, section, close):
    files(*(f"a/{band}.fits" for band in BANDS), "lost+found/x")
    close("lost+found")
    assert closed_folders(section("*/*{band}.fits")) == []


@pytest.mark.parametrize("pattern", ["nights/x-{band}-{field}.fits", "nights/*/*-{band}.fits"])
def test_no_match_is_refused_with_the_folder_that_cannot_be_listed(tmp_path, files, section, close, pattern):
    files("nights/x-g-1.fits", "nights/a/x-g.fits")
    close("nights")
    with pytest.raises(ImageError, match=rf"images\.path: {tmp_path}/nights: cannot be looked into \(Permission"):
        find_fields(section(pattern))


def test_maps_in_a_folder_that_cannot_be_listed_are_missed(tmp_path, files, section, close):
    files("x-g.fits", "x-r.fits", "masks/x-g.fits")
    close("masks")
    with pytest.raises(ImageError, match=rf"images\.mask: {tmp_path}/masks: cannot be looked into"):
        find_fields(section("{field}-{band}.fits", mask="masks/{field}-{band}.fits"))


# -- masks and weights -----------------------------------------------------------------------------


def test_masks_and_weights_by_field_and_band(tmp_path, files, section):
    images = [f"{name}-{band}.fits" for name in "ab" for band in BANDS]
    files(*images, "a-g.mask.fits", "b-r.mask.fits", "a-r.weight.fits")
    a, b = find_fields(
        section("{field}-{band}.fits", mask="{field}-{band}.mask.fits", weight="{field}-{band}.weight.fits")
    )
    assert names(a.masks, tmp_path) == {"g": "a-g.mask.fits"}
    assert names(b.masks, tmp_path) == {"r": "b-r.mask.fits"}
    assert names(a.weights, tmp_path) == {"r": "a-r.weight.fits"}
    assert b.weights == {}
    assert [path.name for path in a.files] == ["a-g.fits", "a-r.fits", "a-g.mask.fits", "a-r.weight.fits"]


@pytest.mark.parametrize("kind", ["psf", "mask", "weight"])
def test_maps_that_no_file_matches_are_refused(tmp_path, files, section, kind):
    files("x-g.fits", "x-r.fits")
    with pytest.raises(ImageError, match=rf"no file matches images\.{kind}, for instance {tmp_path}/typo-g\.fits"):
        find_fields(section("x-{band}.fits", **{kind: "typo-{band}.fits"}))


def test_point_spreads_may_be_of_some_bands(tmp_path, files, section):
    files("a-g.fits", "a-r.fits", "b-g.fits", "b-r.fits", "a.psf", "b.psf")
    images = section("{field}-{band}.fits", psf={"r": "{field}.psf"})
    fields = find_fields(images)
    assert [names(field.psfs, tmp_path) for field in fields] == [{"r": "a.psf"}, {"r": "b.psf"}]
    assert [path.name for path in fields[0].files] == ["a-g.fits", "a-r.fits", "a.psf"]
    assert [missing_maps(fields[0], images, band) for band in BANDS] == [[], []]


def test_maps_that_single_bands_lack_are_told(files, section):
    files("a-g.fits", "a-r.fits", "a-r.mask.fits")
    images = section("{field}-{band}.fits", mask="{field}-{band}.mask.fits")
    (field,) = find_fields(images)
    (said,) = missing_maps(field, images, "g")
    assert "a-g.fits: used without a mask; no file matches" in said
    assert said.endswith("a-g.mask.fits")
    assert missing_maps(field, images, "r") == []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "pattern",
    ["x[[]1]-{band}.fits", "x[!a]1]-{band}.fits", "[[x][[&]1]-{band}*", "x?1[]]-{band}.fits", "x?[!]]]-{band}.fits"],
)
def test_brackets_in_names(tmp_path, files, section, pattern):
    files("x[1]-g.fits", "x[1]-r.fits")
    (field,) = find_fields(section(pattern))
    assert names(field.paths, tmp_path) == {"g": "x[1]-g.fits", "r": "x[1]-r.fits"}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("bad-{band}.fits", {"g": "bad-g.fits", "r": "bad-r.fits"}),
        ("bad.fits", {"g": "bad.fits", "r": "bad.fits"}),
        ({"g": "bad-g.fits", "r": "bad.fits"}, {"g": "bad-g.fits", "r": "bad.fits"}),
    ],
)
def test_mask_without_field_serves_every_field(tmp_path, files, section, pattern, expected):
    files(*(f"{name}-{band}.fit" for name in "abc" for band in BANDS), "bad.fits", "bad-g.fits", "bad-r.fits")
    fields = find_fields(section("{field}-{band}.fit", mask=pattern))
    assert [names(field.masks, tmp_path) for field in fields] == [expected] * 3


# -- opening ---------------------------------------------------------------------------------------


@pytest.fixture
def field(tmp_path, rng) -> Field:
    """A field of two bands with a mask for one and a weight map for the other."""
    for band in BANDS:
        sky = rng.normal(10, 2, (70, 80)).astype(np.float32)
        fits.writeto(tmp_path / f"a-{band}.fits", sky, fits.Header({"MAGZP": 25.0 + BANDS.index(band)}))
    mask, weight = np.zeros((70, 80), np.uint8), np.full((70, 80), 0.25, np.float32)
    mask[3, 4] = 1
    fits.writeto(tmp_path / "mask-g.fits", mask)
    fits.writeto(tmp_path / "weight-r.fits", weight)
    maps = {"g": tmp_path / "mask-g.fits"}, {"r": tmp_path / "weight-r.fits"}
    return Field("a", {band: tmp_path / f"a-{band}.fits" for band in BANDS}, *maps)


def test_open(section, field):
    image = open_field(field, section("{field}-{band}.fits", zeropoint="MAGZP", gain={"g": 2.0, "r": 3.0}))
    assert (image.name, list(image.bands), image.reference) == ("a", ["g", "r"], "r")
    assert [band.zeropoint for band in image.bands.values()] == [25, 26]
    assert [band.gain for band in image.bands.values()] == [2, 3]
    pixels = {name: band.pixels() for name, band in image.bands.items()}
    assert np.argwhere(pixels["g"].bad).tolist() == [[3, 4]]
    assert not pixels["r"].bad.any()
    np.testing.assert_allclose(pixels["r"].noise, 2)


def test_open_some_bands(section, field):
    image = open_field(field, section("{field}-{band}.fits", reference="r"), bands=["r"])
    assert list(image.bands) == ["r"]
    np.testing.assert_allclose(image.bands["r"].pixels().noise, 2)


def test_open_without_the_bands_that_have_no_file(section, field):
    del field.paths["g"]
    image = open_field(field, section("{field}-{band}.fits"))
    assert list(image.bands) == ["r"]


def test_missing_keyword_names_the_file(section, field):
    with pytest.raises(ImageError, match=r"a-g\.fits: the header has no keyword 'PHOTZP', given as zeropoint"):
        open_field(field, section("{field}-{band}.fits", zeropoint="PHOTZP"))


@pytest.mark.parametrize("key", ["zeropoint", "gain", "saturation"])
def test_settings_of_bands_without_a_file_are_left_alone(section, field, key):
    del field.paths["g"]
    image = open_field(field, section("{field}-{band}.fits", **{key: {"g": 20.0, "r": 21.0}}))
    assert getattr(image.bands["r"], key) == 21


def test_field_without_its_reference_is_refused(section, field):
    del field.paths["r"]
    with pytest.raises(ImageError, match="reference band 'r' is not one of g"):
        open_field(field, section("{field}-{band}.fits"))
