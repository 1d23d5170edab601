"""Tests of astrogalaxy.datasets.astrorcnn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astrogalaxy.datasets.astrorcnn import find_sets, read_set
from astrogalaxy.datasets.splits import part_of
from astrogalaxy.errors import ImageError

SHAPE = (64, 72)


def _light(x: float, y: float, peak: float) -> np.ndarray:
    rows, columns = np.indices(SHAPE)
    return (peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 12)).astype(np.float32)


STAR, GALAXY = _light(20, 30, 500.0), _light(50, 40, 300.0)


def _write_images(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        sky = np.random.default_rng(number).normal(700, 10, SHAPE)
        fits.writeto(folder / name, (sky + STAR + GALAXY).astype(np.float32))


def test_a_file_for_each_source(tmp_path: Path) -> None:
    _write_images(tmp_path / "set_3", "training_img.fits.gz")
    fits.writeto(tmp_path / "set_3" / "training_star1.fits.gz", STAR)
    fits.writeto(tmp_path / "set_3" / "training_gal1.fits.gz", GALAXY)
    (found,) = find_sets(tmp_path)
    assert (found.name, list(found.images)) == ("set_3", ["image"])
    image, objects = read_set(found)
    assert image.shape == SHAPE
    assert [o.galaxy for o in objects] == [True, False]
    # in units of the sky's noise, 10
    assert [o.light.max() for o in objects] == pytest.approx([300 / 10, 500 / 10], rel=0.2)
    star = objects[1]
    y, x = np.unravel_index(star.light.argmax(), star.light.shape)
    assert (x + star.x, y + star.y) == (20, 30)
    assert star.light.size < STAR.size


def test_an_extension_for_each_source(tmp_path: Path) -> None:
    _write_images(tmp_path / "set_0", "img_z.fits", "img_g.fits", "img_r.fits")
    hdus = [fits.PrimaryHDU(GALAXY), fits.ImageHDU(STAR)]
    hdus[0].header["CLASS_ID"], hdus[1].header["CLASS_ID"] = 2, 1
    fits.HDUList(hdus).writeto(tmp_path / "set_0" / "masks.fits")
    (found,) = find_sets(tmp_path)
    assert list(found.images) == ["g", "r", "z"], "shortest wavelength first"
    image, objects = read_set(found)
    assert image.reference == "r"
    assert [o.galaxy for o in objects] == [True, False]


def test_parts_are_told_by_folders_or_by_names(tmp_path: Path) -> None:
    for name in ("trainset/set_0", "validation/set_0", "test_set/set_1", "set_10", "set_2", "empty/set_0"):
        _write_images(tmp_path / name, "img_r.fits")
        if "empty" not in name:
            fits.writeto(tmp_path / name / "mask_star.fits", STAR)
    parts = {found.name: found.part for found in find_sets(tmp_path)}
    assert parts == {
        "set_2": part_of("set_2"), "set_10": part_of("set_10"), "test_set/set_1": "test", "trainset/set_0": "train",
        "validation/set_0": "val",
    }  # fmt: skip
    assert list(parts).index("set_2") < list(parts).index("set_10")


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no set of images and sources"):
        find_sets(tmp_path)
    folder = tmp_path / "set_0"
    _write_images(folder, "img_r.fits")
    fits.writeto(folder / "masks.fits", STAR)
    with pytest.raises(ImageError, match=r"masks\.fits: neither its name .* says what it is"):
        read_set(find_sets(tmp_path)[0])
    fits.writeto(folder / "masks.fits", STAR[:10], fits.Header({"CLASS_ID": 1}), overwrite=True)
    with pytest.raises(ImageError, match=r"masks\.fits: has the shape \(10, 72\)"):
        read_set(find_sets(tmp_path)[0])
    (folder / "masks.fits").write_text("nothing")
    with pytest.raises(ImageError, match=r"masks\.fits: cannot be read as FITS"):
        read_set(find_sets(tmp_path)[0])


def test_real_phosim_sets(shared_data: Path) -> None:
    folder = shared_data / "decam-phosim"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    sets = {found.name: found for found in find_sets(folder)}
    assert {f"phosim-tiny/set_{n}" for n in range(1, 10)} <= sets.keys()
    image, objects = read_set(sets["phosim-tiny/set_3"])
    assert image.shape == (128, 128)
    assert [o.galaxy for o in objects] == [True, True, True, False]
    image, objects = read_set(sets["."])
    assert list(image.bands) == ["g", "r", "z"]
    assert [o.galaxy for o in objects] == [True, True]
    # the objects' own light lies where the image is bright
    snr = image.aligned().snr.sum(axis=0)
    for own in objects:
        y, x = np.unravel_index(own.light.argmax(), own.light.shape)
        assert snr[own.y + y - 2 : own.y + y + 3, own.x + x - 2 : own.x + x + 3].max() > 6
