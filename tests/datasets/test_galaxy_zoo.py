"""Tests of astrogalaxy.datasets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from astrogalaxy.datasets.galaxyzoo import (
    central_light,
    cutout_light,
    read_galaxy_zoo,
)
from astrogalaxy.datasets.splits import part_of
from astrogalaxy.datasets.votes import read_votes
from astrogalaxy.errors import ImageError

SMOOTH = "t01_smooth_or_features_a01_smooth_weighted_fraction"
DISK = "t01_smooth_or_features_a02_features_or_disk_weighted_fraction"


def _write_table(folder: Path, header: str, *rows: str) -> None:
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def _draw(path: Path, *, peaks: tuple[float, float, float] = (0.9, 0.7, 0.5), companion: bool = False) -> None:
    """A galaxy in the middle of a dark image, i, r, g as red, green, blue."""
    y, x = np.mgrid[:160, :160]
    rgb = np.stack([p * np.exp(-((x - 80) ** 2 + (y - 80) ** 2) / (2 * 9.0**2)) for p in peaks], axis=2)
    if companion:
        rgb += 0.8 * np.exp(-((x - 130) ** 2 + (y - 30) ** 2) / (2 * 5.0**2))[..., None]
    rgb = 255 * rgb + np.random.default_rng(0).uniform(4, 8, rgb.shape)
    Picture.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(path)


def test_a_small_sample(tmp_path: Path) -> None:
    _write_table(
        tmp_path, f"objid,asset_id,derived_label,{SMOOTH},{DISK}",
        "587722981736120347,12,elliptical,0.75,0.2", "587722981741363294,34,spiral,0.0,0.9",
        "587722981741363323,56,merger,0.5,0.5", "587722981746082020,78,edge_on,0.0,0.0",
    )  # fmt: skip
    galaxies = read_galaxy_zoo(tmp_path)
    assert [g.name for g in galaxies] == ["587722981736120347", "587722981741363294"]
    assert [g.p_disk for g in galaxies] == pytest.approx([0.2 / 0.95, 1.0])
    assert galaxies[0].path == tmp_path / "images" / "12.jpg"


def test_the_image_is_that_in_images_if_it_is_there(tmp_path: Path) -> None:
    _write_table(
        tmp_path, f"objid,asset_id,derived_label,{SMOOTH},{DISK}", "1,12,spiral,0.5,0.5", "2,34,spiral,0.5,0.5"
    )
    for name in ("images/12.jpg", "masks/12.png", "elsewhere/34.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        _draw(tmp_path / name)
    images = [tmp_path / "images" / "12.jpg", tmp_path / "elsewhere" / "34.png"]
    assert [g.path for g in read_galaxy_zoo(tmp_path)] == images
    assert read_votes(tmp_path, classes="labels").files == images


def test_galaxies_without_votes_are_left_out(tmp_path: Path) -> None:
    rows = ["1,1,spiral,,0.5", "2,2,spiral,0.5,", "3,3,spiral,0,0", "4,4,,0.5,0.5", "5,5,,,"]
    _write_table(tmp_path, f"objid,asset_id,derived_label,{SMOOTH},{DISK}", *rows)
    assert [(g.name, g.p_disk) for g in read_galaxy_zoo(tmp_path)] == [("4", 0.5)], "nobody saw smooth ones in these"
    fractions = [f"smooth-or-featured_{answer}_fraction" for answer in ("smooth", "featured-or-disk")]
    _write_table(tmp_path, ",".join(["iauname", *fractions]), "J0,,0.5", "J1,0.5,", "J2,0,0", "J3,0.5,0.5")
    assert [(g.name, g.p_disk) for g in read_galaxy_zoo(tmp_path)] == [("J3", 0.5)]
    _write_table(tmp_path, ",".join(["iauname", *fractions]), "J0,few,0.5")
    with pytest.raises(ImageError, match=r"labels\.csv: column 'smooth-or-featured_smooth_fraction' must hold numbers"):
        read_galaxy_zoo(tmp_path)


def test_names_are_text_even_if_all_of_them_are_numbers(tmp_path: Path) -> None:
    names = ["0001", "1e3", "123456789012345678901"]
    _write_table(
        tmp_path, f"objid,asset_id,derived_label,{SMOOTH},{DISK}", *(f"{n},{n},01,0.5,0.5" for n in names)
    )  # fmt: skip
    (tmp_path / "images").mkdir()
    for name in names:
        _draw(tmp_path / "images" / f"{name}.jpg")
    galaxies = read_galaxy_zoo(tmp_path)
    assert [g.name for g in galaxies] == names
    assert all(g.path.is_file() for g in galaxies)
    votes = read_votes(tmp_path, classes="labels")
    assert (votes.names, votes.classes) == (names, ("01",))
    answers = "smooth-or-featured_smooth_fraction,smooth-or-featured_featured-or-disk_fraction"
    _write_table(tmp_path, f"id_str,{answers}", *(f"{n},0.5,0.5" for n in names))
    assert [g.path.stem for g in read_galaxy_zoo(tmp_path)] == names
    assert read_votes(tmp_path, classes="smooth-disk").names == names


def test_a_sample_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"labels\.csv: no such file"):
        read_galaxy_zoo(tmp_path)
    _write_table(tmp_path, f"objid,asset_id,{SMOOTH},{DISK}", "1,2,0.5,0.5")
    with pytest.raises(ImageError, match=r"labels\.csv: no column 'derived_label'"):
        read_galaxy_zoo(tmp_path)


def test_votes_of_galaxy_zoo_decals(tmp_path: Path) -> None:
    head = "iauname,smooth-or-featured-dr5_smooth_fraction,smooth-or-featured-dr5_featured-or-disk_fraction"
    _write_table(tmp_path, head, "J0,0.6,0.2", "J1,0.1,0.8", "J2,,")
    (tmp_path / "images" / "J1").mkdir(parents=True)
    (tmp_path / "images" / "J1" / "J1.png").touch()
    galaxies = read_galaxy_zoo(tmp_path)
    assert [(g.name, g.p_disk) for g in galaxies] == [("J0", pytest.approx(0.25)), ("J1", pytest.approx(8 / 9))]
    assert galaxies[1].path == tmp_path / "images" / "J1" / "J1.png", "wherever it lies"
    assert galaxies[0].path == tmp_path / "images" / "J0.jpg", "where it was to be expected"
    _write_table(tmp_path, "id_str,smooth-or-featured_featured-or-disk_fraction", "J0,0.3")
    assert [g.p_disk for g in read_galaxy_zoo(tmp_path)] == [0.3], "what is not disk is smooth"
    _write_table(tmp_path, "name,smooth-or-featured_featured-or-disk_fraction", "J0,0.3")
    with pytest.raises(ImageError, match=r"labels\.csv: no column id_str or iauname"):
        read_galaxy_zoo(tmp_path)


def test_the_real_decals_sample(shared_data: Path) -> None:
    folder = shared_data / "decals"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    galaxies = read_galaxy_zoo(folder)
    assert len(galaxies) == 470
    assert min(g.p_disk for g in galaxies) >= 0.6, "all are featured"
    light, galaxy = central_light(galaxies[0].path, side=80)
    assert light.shape == (3, 80, 80)
    assert galaxy[38:42, 38:42].all()


def test_the_middle_of_a_cutout(tmp_path: Path) -> None:
    _draw(tmp_path / "a.png", companion=True)
    light, galaxy = central_light(tmp_path / "a.png", side=40, centre=0.5)
    assert light.shape == (3, 40, 40)
    assert light.dtype == np.float32
    assert light.mean(axis=0).max() == pytest.approx(1.0)
    assert galaxy.shape == (40, 40)
    rows, columns = np.nonzero(galaxy)
    assert (rows.mean(), columns.mean()) == pytest.approx((19.75, 19.75), abs=1), "without the companion"
    g, r, i = light[:, 20, 20]
    assert g < r < i, "blue first"
    whole, _ = central_light(tmp_path / "a.png", side=40, centre=1.0)
    assert whole.mean(axis=0)[7, 32] > 0.2, "outside the middle lies the companion"


def test_the_real_sample(shared_data: Path) -> None:
    folder = shared_data / "gz2"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    galaxies = read_galaxy_zoo(folder)
    assert len(galaxies) == 600, "200 of 800 are mergers"
    votes = np.array([g.p_disk for g in galaxies])
    assert 0 <= votes.min() < 0.1 < 0.9 < votes.max() <= 1
    assert all(g.path.is_file() for g in galaxies)
    light = cutout_light(galaxies[0].path, shrink=4.0)
    assert light.shape == (3, 106, 106)
    assert light.mean(axis=0).max() == pytest.approx(1.0)


def test_the_light_of_a_cutout(tmp_path: Path) -> None:
    _draw(tmp_path / "a.png")
    light = cutout_light(tmp_path / "a.png")
    assert light.shape == (3, 160, 160)
    assert light.dtype == np.float32
    assert light.flags.c_contiguous
    assert light.mean(axis=0).max() == pytest.approx(1.0)
    assert np.unravel_index(light.mean(axis=0).argmax(), (160, 160)) == pytest.approx((80, 80), abs=2)
    g, r, i = light[:, 80, 80]
    assert g < r < i, "blue first"
    assert light[:, 5, 5].max() == 0


def test_the_stretch_of_the_colours_is_undone(tmp_path: Path) -> None:
    """Twice as bright on the screen is much more than twice the light."""
    _draw(tmp_path / "a.png", peaks=(0.9, 0.9, 0.9))
    profile = cutout_light(tmp_path / "a.png").mean(axis=0)[80, 80:]
    half = 80 + 9 * np.sqrt(2 * np.log(2))  # where the picture has half of its peak
    expected = np.sinh(8 * 0.45) / np.sinh(8 * 0.9)
    assert profile[round(half) - 80] == pytest.approx(expected, rel=0.35)


def test_neighbours_are_removed(tmp_path: Path) -> None:
    _draw(tmp_path / "a.png", companion=True)
    light = cutout_light(tmp_path / "a.png")
    assert light[:, 30, 130].max() == 0
    assert light[:, 80, 80].min() > 0.2


def test_a_smaller_galaxy_keeps_its_shape(tmp_path: Path) -> None:
    _draw(tmp_path / "a.png")
    full, small = (cutout_light(tmp_path / "a.png", shrink=s).mean(axis=0) for s in (1.0, 4.0))
    assert small.shape == (40, 40)
    widths = []
    for image in (full, small):
        y, x = np.indices(image.shape)
        cx = (image * x).sum() / image.sum()
        widths.append(np.sqrt((image * (x - cx) ** 2).sum() / image.sum()))
    assert widths[0] == pytest.approx(4 * widths[1], rel=0.25)


def test_a_cutout_that_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("nothing")
    with pytest.raises(ImageError, match=r"a\.jpg: cannot be read as an image"):
        cutout_light(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match=r"b\.jpg: cannot be read"):
        cutout_light(tmp_path / "b.jpg")


def test_the_parts_are_fixed_for_ever() -> None:
    known = {
        "587739505552785605": "val", "587722981736120347": "train", "587722981741363294": "test", "1237648720693755918": "train",
        "a": "train", "b": "train", "": "train",
    }  # fmt: skip
    assert {name: part_of(name) for name in known} == known


def test_three_fifths_are_for_training() -> None:
    share = Counter(part_of(str(587722981736120347 + 17 * i)) for i in range(5000))
    assert share.keys() == {"train", "val", "test"}
    assert share["train"] / 5000 == pytest.approx(0.6, abs=0.03)
    assert share["val"] / 5000 == pytest.approx(0.2, abs=0.03)
