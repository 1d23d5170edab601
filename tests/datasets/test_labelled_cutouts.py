"""Readers of labelled cutouts, on small files in the exact layout of the published ones."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from PIL import Image as Picture

from astrogalaxy.datasets import efigi, galaxy10
from astrogalaxy.datasets.folders import read_catalog, read_folders
from astrogalaxy.datasets.galaxyzoo import central_light
from astrogalaxy.datasets.pictures import bands_in_noise, read_picture
from astrogalaxy.datasets.splits import part_of, read_split, stratified, write_split
from astrogalaxy.datasets.votes import _GZ2, FINE, read_votes, vote_shares
from astrogalaxy.errors import ConfigError, ImageError
from astrogalaxy.morphology.pictures import FIELD_OF_VIEW

RNG = np.random.default_rng(0)


def _galaxy10(path: Path, n: int = 12) -> np.ndarray:
    images = RNG.integers(0, 255, (n, 16, 16, 3)).astype(np.uint8)
    with h5py.File(path, "w") as file:
        file["images"], file["ans"] = images, (np.arange(n) % 10).astype(np.uint8)
        file["ra"], file["dec"] = np.append(np.arange(n - 1), 0) * 1.0, np.zeros(n)
        file["redshift"], file["pxscale"] = np.zeros(n), np.full(n, 0.262)
    return images


def test_galaxy10(tmp_path: Path) -> None:
    images = _galaxy10(tmp_path / "Galaxy10_DECals.h5")
    cutouts = galaxy10.read_galaxy10(tmp_path / "Galaxy10_DECals.h5")
    assert len(cutouts) == 12
    assert cutouts.classes[2] == "round-smooth"
    assert cutouts.classes[9] == "edge-on-with-bulge"
    np.testing.assert_array_equal(cutouts.labels, np.arange(12) % 10)
    np.testing.assert_array_equal(cutouts.read(7), images[7])
    assert cutouts.group_names[0] == cutouts.group_names[11], "the same galaxy twice"
    part = pickle.loads(pickle.dumps(cutouts.take(cutouts.labels == 1)))
    assert part.names == ["1", "11"]
    np.testing.assert_array_equal(part.read(1), images[11])


def test_galaxy10_without_images(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["images"], file["ans"] = np.zeros((0, 16, 16, 3), np.uint8), np.zeros(0, np.uint8)
    with pytest.raises(ImageError, match=r"g\.h5: images must be \(n, ny, nx, 3\) and ans n numbers"):
        galaxy10.read_galaxy10(tmp_path / "g.h5")


def test_galaxy10_is_unpacked_image_by_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = _galaxy10(tmp_path / "g.h5")
    read: list[int] = []
    reader = galaxy10._Images.__call__
    monkeypatch.setattr(galaxy10._Images, "__call__", lambda self, i: (read.append(i), reader(self, i))[1])
    counts = galaxy10.unpack(tmp_path / "g.h5", tmp_path / "out")
    assert counts["disturbed"] == 2
    assert read == list(range(12))
    folders = read_folders(tmp_path / "out")
    assert len(folders) == 12
    row = folders.names.index("7")
    assert folders.classes[folders.labels[row]] == "unbarred-loose-spiral"
    np.testing.assert_array_equal(folders.read(row), images[7])
    (tmp_path / "out" / "merging" / "1.png").unlink()
    galaxy10.unpack(tmp_path / "g.h5", tmp_path / "out")
    assert read[12:] == [1], "what is there stays"


def test_what_is_not_galaxy10(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no such file; Galaxy10 DECaLS is at https://zenodo"):
        galaxy10.read_galaxy10(tmp_path / "no.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(ImageError, match="not the file of Galaxy10"):
        galaxy10.read_galaxy10(tmp_path / "text.h5")
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        file["images"], file["ans"] = np.zeros((2, 4, 4)), np.zeros(2)
    with pytest.raises(ImageError, match="must be"):
        galaxy10.read_galaxy10(tmp_path / "odd.h5")


EFIGI = """\
# EFIGI_attributes.txt version 1.6.2 :
#
PGCname   T T_inf T_sup   Bulge_to_Total Bulge_to_Total_inf
PGC0000212   1   0   2   0.5   0.5
PGC0000243  -2  -3  -2     1  0.75
PGC0000255  10   9  10     0     0
PGC0000300  -5  -5  -4     1     1
PGC0000400  11  11  11     1     1
PGC0000500   3   2   4     1     1
"""


def test_efigi(tmp_path: Path) -> None:
    (tmp_path / "EFIGI_attributes.txt").write_text(EFIGI)
    with pytest.raises(ImageError, match="no image of a galaxy"):
        efigi.read_efigi(tmp_path)
    for name in ("0000212", "0000243", "0000255", "0000300", "0000400"):
        Picture.fromarray(np.full((8, 8, 3), int(name) % 251, np.uint8)).save(tmp_path / f"PGC{name}.png")
    cutouts = efigi.read_efigi(tmp_path)
    kinds = {name: cutouts.classes[label] for name, label in zip(cutouts.names, cutouts.labels, strict=True)}
    assert kinds == {
        "PGC0000212": "spiral", "PGC0000243": "lenticular", "PGC0000255": "irregular", "PGC0000300": "elliptical",
    }  # fmt: skip
    assert cutouts.read(1)[0, 0, 0] == 243
    (tmp_path / "EFIGI_attributes.txt").write_text("name,T\n")
    with pytest.raises(ImageError, match="not EFIGI's attribute table"):
        efigi.read_efigi(tmp_path)


def test_the_published_table_of_efigi(shared_data: Path) -> None:
    types = efigi.read_types(shared_data / "efigi" / "EFIGI_attributes.txt")
    assert len(types) == 4458
    counts = Counter(efigi.class_of_type(t) for t in types.values())
    assert all(counts[name] > 100 for name in efigi.CLASSES)
    assert counts["spiral"] > sum(counts[name] for name in efigi.CLASSES if name != "spiral")


def _votes(**given: float) -> Table:
    return Table({f"{column}_weighted_fraction": [given.get(name, 0.0)] for name, column in _GZ2.items()})


def test_shares_follow_the_tree() -> None:
    names, shares = vote_shares(
        _votes(smooth=0.6, disk=0.3, round=0.25, in_between=0.75, edge_on=0.5, face_on=0.5, bar=0.2, no_bar=0.8,
               odd=0.5, merging=0.4, disturbed=0.2), "fine",
    )  # fmt: skip
    assert names == FINE
    merger = 0.5 * 0.6
    expected = np.array([2 / 3 * 0.25, 2 / 3 * 0.75, 0, 1 / 3 * 0.5, 1 / 3 * 0.5 * 0.2, 1 / 3 * 0.5 * 0.8]) * (
        1 - merger
    )
    np.testing.assert_allclose(shares[0], [*expected, merger])
    names, shares = vote_shares(_votes(smooth=0.6, disk=0.3), "smooth-disk")
    np.testing.assert_allclose(shares[0], [2 / 3, 1 / 3])
    _, shares = vote_shares(_votes(disk=1, edge_on=1, no_bulge=0.25, tight=1), "galaxy10")
    np.testing.assert_allclose(shares[0, 8:], [0.25, 0.75])
    assert shares.sum() == pytest.approx(1)
    assert np.isnan(vote_shares(_votes(), "smooth-disk")[1]).all(), "nobody voted"


def test_votes_of_galaxy_zoo_decals_down_the_tree(tmp_path: Path) -> None:
    answers = {
        "smooth-or-featured-dr5_smooth": 0.1, "smooth-or-featured-dr5_featured-or-disk": 0.9,
        "disk-edge-on-dr5_yes": 0.0, "disk-edge-on-dr5_no": 1.0, "bar-dr5_strong": 0.3, "bar-dr5_weak": 0.3,
        "bar-dr5_no": 0.4, "merging-dr5_merger": 0.1, "merging-dr5_minor-disturbance": 0.1,
        "merging-dr5_major-disturbance": 0.0, "how-rounded-dr5_round": 1.0, "how-rounded-dr5_in-between": 0.0,
        "how-rounded-dr5_cigar-shaped": 0.0,
    }  # fmt: skip
    header = ",".join(["iauname", *(f"{name}_fraction" for name in answers)])
    (tmp_path / "labels.csv").write_text(f"{header}\nJ1,{','.join(map(str, answers.values()))}\n")
    Picture.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "J1.png")
    shares = dict(zip(FINE, read_votes(tmp_path).shares[0], strict=True))
    assert shares["merger"] == pytest.approx(0.2)
    assert shares["barred-spiral"] == pytest.approx(0.8 * 0.9 * 0.6)
    assert shares["smooth-round"] == pytest.approx(0.8 * 0.1)


def test_votes_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"labels\.csv: no such file"):
        read_votes(tmp_path)
    (tmp_path / "labels.csv").write_text("objid,asset_id\n1,1\n")
    with pytest.raises(ImageError, match="no column 'derived_label'"):
        read_votes(tmp_path, classes="labels")
    with pytest.raises(ImageError, match="no column with the votes for smooth"):
        read_votes(tmp_path)
    (tmp_path / "labels.csv").write_text("objid,asset_id,derived_label\n1,1,spiral\n")
    with pytest.raises(ImageError, match="no galaxy of it has votes and an image"):
        read_votes(tmp_path, classes="labels")


def test_galaxies_without_a_label_are_of_no_class(tmp_path: Path) -> None:
    for name in "123":
        Picture.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / f"{name}.jpg")
    (tmp_path / "labels.csv").write_text("objid,derived_label\n1,spiral\n2,\n3,elliptical\n")
    cutouts = read_votes(tmp_path, classes="labels")
    assert (cutouts.names, cutouts.classes) == (["1", "3"], ("elliptical", "spiral"))
    assert cutouts.labels.tolist() == [1, 0]
    (tmp_path / "labels.csv").write_text("objid,derived_label\n1,\n2,\n")
    with pytest.raises(ImageError, match="no galaxy of it has a label"):
        read_votes(tmp_path, classes="labels")


def test_votes_that_are_no_numbers(tmp_path: Path) -> None:
    columns = ",".join(f"{_GZ2[name]}_weighted_fraction" for name in ("smooth", "disk"))
    (tmp_path / "labels.csv").write_text(f"objid,{columns}\n1,0.2,few\n")
    with pytest.raises(ImageError, match=rf"labels\.csv: column '{_GZ2['disk']}_weighted_fraction' must hold numbers"):
        read_votes(tmp_path, classes="smooth-disk")


def test_the_real_sample(shared_data: Path) -> None:
    cutouts = read_votes(shared_data / "gz2", classes="labels")
    assert Counter(cutouts.labels.tolist()) == dict.fromkeys(range(4), 200)
    fine = read_votes(shared_data / "gz2", classes="fine", soft=False)
    assert len(fine) == 800
    assert set(fine.labels.tolist()) == set(range(7)), "every class is there"
    assert fine.read(0).shape == (424, 424, 3)


def test_the_split_of_the_sample(shared_data: Path) -> None:
    from astrogalaxy.config import pipelines_folder

    parts = read_split(pipelines_folder() / "recipes" / "splits" / "gz2-sample.csv")
    cutouts = read_votes(shared_data / "gz2", classes="labels")
    assert set(parts) == set(cutouts.names)
    assert {n for n, p in parts.items() if p == "test"} == {n for n in parts if part_of(n) == "test"}
    for label in range(4):
        given = Counter(parts[n] for n, kind in zip(cutouts.names, cutouts.labels, strict=True) if kind == label)
        assert 25 <= given["val"] <= 32, "each label alike"


def test_a_galaxy_is_never_on_both_sides() -> None:
    labels = {f"{galaxy}-{image}": "ab"[galaxy % 2] for galaxy in range(40) for image in range(3)}
    groups = {name: name.split("-")[0] for name in labels}
    parts = stratified(labels, groups=groups, fixed={"3-1": "test"})
    for galaxy in range(40):
        assert len({parts[f"{galaxy}-{image}"] for image in range(3)}) == 1
    assert parts["3-0"] == "test"
    for kind in "ab":
        counts = Counter(part for name, part in parts.items() if labels[name] == kind)
        assert counts == {"train": 36, "val": 12, "test": 12}
    again = stratified(dict(reversed(labels.items())), groups=groups, fixed={"3-1": "test"})
    assert again == parts, "whatever the order"
    assert stratified(labels, groups=groups, seed=2) != stratified(labels, groups=groups)


def test_split_files(tmp_path: Path) -> None:
    write_split(tmp_path / "s.csv", {"a": "train", "b,c": "test"}, comment="two\nlines")
    assert read_split(tmp_path / "s.csv") == {"a": "train", "b,c": "test"}
    (tmp_path / "s.csv").write_text("name,part\na,training\n")
    with pytest.raises(ConfigError, match="each part one of train, val, test, not 'training'"):
        read_split(tmp_path / "s.csv")
    (tmp_path / "s.csv").write_text("name,part\na,train\na,train\na,test\n")
    with pytest.raises(ConfigError, match=r"s\.csv: 'a' is in the parts train and test"):
        read_split(tmp_path / "s.csv")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_split(tmp_path / "no.csv")


def test_split_files_of_spreadsheets(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("name,part\na,train\n", encoding="utf-8-sig")
    assert read_split(tmp_path / "s.csv") == {"a": "train"}
    for encoding in ("latin-1", "utf-16"):
        (tmp_path / "s.csv").write_text("name,part\n\u00e4,train\n", encoding=encoding)
        with pytest.raises(ConfigError, match=r"s\.csv: cannot be read as a table \(CSV in UTF-8\)"):
            read_split(tmp_path / "s.csv")


def test_class_folders(tmp_path: Path) -> None:
    for kind in ("ring", "lens"):
        (tmp_path / kind).mkdir()
        for number in range(2):
            Picture.fromarray(np.full((8, 8), 100 + number, np.uint8)).save(tmp_path / kind / f"{number}.jpg")
    cutouts = read_folders(tmp_path)
    assert cutouts.classes == ("lens", "ring")
    assert cutouts.labels.tolist() == [0, 0, 1, 1]
    assert cutouts.read(3).shape == (8, 8, 3)
    with pytest.raises(ImageError, match="at least two folders"):
        read_folders(tmp_path / "ring")


def test_class_folders_take_every_file_that_can_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for kind in ("ring", "lens"):
        (tmp_path / kind).mkdir()
        for ending in (".fits", ".fits.gz", ".fits.bz2", ".FTS", ".fit"):
            fits.writeto(tmp_path / kind / f"a{ending}", RNG.normal(size=(16, 16)))
    for name in ("notes.txt", "list.txt", "readme", ".hidden.txt"):
        (tmp_path / "lens" / name).touch()
    cutouts = read_folders(tmp_path)
    assert len(cutouts) == 10
    assert {cutouts.read(index).shape for index in range(10)} == {(16, 16, 3)}
    assert caplog.messages == [f"{tmp_path}: files that are no cutouts are left out: 1 without an ending, 2 .txt"]


def test_fits_cutouts_become_pictures(tmp_path: Path) -> None:
    y, x = np.mgrid[:40, :40] - 19.5
    light = np.exp(-(x**2 + y**2) / 40)
    noise = RNG.normal(0, 1, (3, 40, 40))
    cube = 100 + noise + np.array([5.0, 20.0, 60.0])[:, None, None] * light
    cube[1, 3, 3] = np.nan
    fits.writeto(tmp_path / "cube.fits", cube.astype(">f4"))
    bands = fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(plane) for plane in cube)])
    bands.writeto(tmp_path / "bands.fits")
    fits.writeto(tmp_path / "one.fits", cube[2])
    pictures = {name: read_picture(tmp_path / f"{name}.fits") for name in ("cube", "bands", "one")}
    np.testing.assert_array_equal(pictures["cube"], pictures["bands"])
    middle = pictures["cube"][20, 20].astype(int)
    assert middle[0] > middle[1] > middle[2], "the longest wavelength is red"
    assert pictures["cube"][:4].mean() < 40
    assert np.ptp(pictures["one"][20, 20].astype(int)) <= 1, "one band is grey"
    fits.writeto(tmp_path / "table.fits", np.zeros(3), overwrite=True)
    for name in ("table.fits", "no.fits", "no.jpg"):
        with pytest.raises(ImageError, match=name):
            read_picture(tmp_path / name)


def _damaged_tiles(path: Path) -> None:
    """A compressed FITS file whose pixels cannot be decompressed."""
    sky = RNG.normal(100, 5, (64, 64)).astype("f4")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(sky)]).writeto(path)
    content = bytearray(path.read_bytes())
    content[-3 * 2880 : -2 * 2880] = b"\xff" * 2880
    path.write_bytes(content)


def _unknown_bitpix(path: Path) -> None:
    fits.writeto(path, RNG.normal(100, 5, (64, 64)).astype("f4"))
    content = path.read_bytes()
    at = content.find(b"BITPIX")
    path.write_bytes(content[:at] + b"BITPIX  =                   17".ljust(80) + content[at + 80 :])


@pytest.mark.parametrize(
    ("name", "make", "text"),
    [
        ("tiles.fits.fz", _damaged_tiles, "cannot be read as a FITS file"),
        ("bitpix.fits", _unknown_bitpix, "cannot be read as a FITS file: KeyError: 17"),
        ("bomb.png", lambda p: Picture.new("L", (20000, 10000)).save(p), "cannot be read as an image"),
        ("float.png", lambda p: Picture.new("F", (16, 16)).save(p, "TIFF"), "floats, of which white is not known"),
        (
            "long.jpg",
            lambda p: Picture.new("I", (16, 16)).save(p, "TIFF"),
            "integers of 32 bits, of which white is not",
        ),
        ("small.png", lambda p: Picture.new("L", (20, 7)).save(p), "20 x 7 pixels are too few .* at least 8 x 8"),
        ("small.fits", lambda p: fits.writeto(p, RNG.normal(size=(7, 20))), "no image of at least 8 x 8"),
        ("nan.fits", lambda p: fits.writeto(p, np.full((3, 16, 16), np.nan)), "no usable pixels; all are NaN or have"),
        ("zero.fits", lambda p: fits.writeto(p, np.zeros((16, 16), "i2")), "no usable pixels"),
        (
            "one.tiff",
            lambda p: Picture.new("L", (16, 16)).save(p),
            "read as JPEG, PNG or FITS; the name must end in .jpg",
        ),
    ],
)
def test_what_is_no_cutout_is_said_with_its_name(
    tmp_path: Path, name: str, make: Callable[[Path], None], text: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(ImageError, match=rf"{name}: .*{text}"):
        read_picture(tmp_path / name)


def test_one_band_with_pixels_is_enough(tmp_path: Path) -> None:
    cube = np.stack([np.full((16, 16), np.nan), RNG.normal(size=(16, 16)), np.zeros((16, 16))])
    fits.writeto(tmp_path / "cube.fits", cube)
    only = bands_in_noise(tmp_path / "cube.fits")
    assert only.shape == (1, 16, 16), "what has no pixels, or one value everywhere, is no band"
    assert only.any()


@pytest.mark.parametrize("name", ["WHT", "weight", "MASK_R", "DQ1", "r_err", "IVAR", "RMS", "EXP"])
def test_extensions_that_tell_of_pixels_are_no_bands(tmp_path: Path, name: str) -> None:
    light, other = RNG.normal(size=(2, 32, 32)).astype("f4")
    fits.writeto(tmp_path / "alone.fits", light)
    beside = fits.HDUList([fits.PrimaryHDU(light), fits.ImageHDU(other, name=name)])
    beside.writeto(tmp_path / "beside.fits")
    np.testing.assert_array_equal(*(bands_in_noise(tmp_path / file) for file in ("alone.fits", "beside.fits")))


def test_extensions_with_other_names_are_bands(tmp_path: Path) -> None:
    planes = RNG.normal(size=(3, 32, 32)).astype("f4")
    named = [fits.ImageHDU(plane, name=name) for name, plane in zip(("SCI", "EXPLORER-R", "I"), planes, strict=True)]
    fits.HDUList([fits.PrimaryHDU(), *named]).writeto(tmp_path / "bands.fits")
    assert len(bands_in_noise(tmp_path / "bands.fits")) == 3


def test_a_cutout_without_its_middle_is_none(tmp_path: Path) -> None:
    cube = RNG.normal(size=(3, 40, 40)).astype("f4")
    cube[0, 15:25, 15:25] = np.nan
    fits.writeto(tmp_path / "two.fits", cube)
    assert len(bands_in_noise(tmp_path / "two.fits")) == 3, "another band has it"
    cube[:, 15:25, 15:25] = np.nan
    fits.writeto(tmp_path / "none.fits", cube)
    with pytest.raises(ImageError, match=r"none\.fits: no data in the middle"):
        bands_in_noise(tmp_path / "none.fits")


def test_light_of_galaxies_at_the_edge_is_no_sky(tmp_path: Path) -> None:
    y, x = np.mgrid[:80, :80] - 39.5
    light = 200 * np.exp(-np.hypot(x, y) / 4) + 100 * np.exp(-np.hypot(x - 36, y + 20) / 8)
    fits.writeto(tmp_path / "wide.fits", (np.random.default_rng(1).normal(10, 1, x.shape) + light).astype("f4"))
    snr = bands_in_noise(tmp_path / "wide.fits")[0]
    assert np.median(snr[72:, :8]) == pytest.approx(0, abs=0.2), "the corner that is far from both"
    assert snr[38:42, 38:42].mean() == pytest.approx(light[38:42, 38:42].mean(), rel=0.1)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (16, 16)).astype(np.uint8)
    Picture.fromarray(values).save(tmp_path / "8.png")
    Picture.fromarray(values.astype(np.uint16) * 257).save(tmp_path / "16.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "16.png"), read_picture(tmp_path / "8.png"))
    light = [central_light(tmp_path / name, side=8)[0] for name in ("8.png", "16.png")]
    np.testing.assert_array_equal(*light, "the detector sees the same")


def test_cutouts_of_a_catalogue(tmp_path: Path) -> None:
    sky = RNG.normal(0, 1, (200, 240)).astype(np.float32)
    y, x = np.mgrid[:200, :240]
    places = {(50, 60): 4.0, (150, 120): 6.0, (235, 100): 4.0}
    for (x0, y0), size in places.items():
        sky += 300 * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * size**2)).astype(np.float32)
    fits.writeto(tmp_path / "field.fits", sky)
    (tmp_path / "survey.yml").write_text("name: s\nimages: {path: field.fits, bands: [r]}\n")
    rows = [(*xy, kind) for xy, kind in zip(places, ("smooth", "disk", "unsure"), strict=True)]
    Table(rows=rows, names=("x", "y", "morphology")).write(tmp_path / "c.csv", format="ascii.csv")
    cutouts = read_catalog(tmp_path / "c.csv", tmp_path / "survey.yml")
    assert cutouts.classes == ("disk", "smooth")
    assert len(cutouts) == 2
    picture = cutouts.read(0).astype(int)
    assert picture.shape == (256, 256, 3)
    assert picture[118:138, 118:138].min() > 150, "the galaxy is in the middle"
    assert picture[:20].mean() < 60
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cutouts)).read(0), cutouts.read(0))
    Table(rows=[(-1, *row) for row in rows], names=("source_id", "x", "y", "morphology")).write(tmp_path / "n.csv")
    cutouts = read_catalog(tmp_path / "n.csv", tmp_path / "survey.yml")
    assert cutouts.names == ["0", "1"], "ids of images without WCS tell nothing apart"
    Table({"x": [1.0]}).write(tmp_path / "bad.csv", format="ascii.csv")
    with pytest.raises(ImageError, match=r"no columns x and y \(0-based pixels\), nor ra and dec \(degrees\)"):
        read_catalog(tmp_path / "bad.csv", tmp_path / "survey.yml")


def test_bands_of_cutouts_of_a_catalogue_are_registered(tmp_path: Path) -> None:
    """A run shifts bands whose stars lie beside where their WCS puts them; so does what is learned from."""
    rows, columns = np.indices((240, 280))
    x, y = (g.ravel() for g in np.meshgrid(np.arange(30.0, 270, 40), np.arange(30.0, 230, 40)))
    header = fits.Header(
        {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 5.0, "CRPIX1": 120.0, "CRPIX2": 100.0,
         "CDELT1": -0.5 / 3600, "CDELT2": 0.5 / 3600}
    )  # fmt: skip
    for band, shift in (("g", 2.0), ("r", 0.0), ("i", 0.0)):
        sky = RNG.normal(0, 1, rows.shape)
        for x0, y0 in zip(x, y, strict=True):
            sky += 300 * np.exp(-((columns - x0 - shift) ** 2 + (rows - y0) ** 2) / (2 * 1.5**2))
        fits.writeto(tmp_path / f"{band}.fits", sky.astype("f4"), header)
    (tmp_path / "survey.yml").write_text("name: s\nimages: {path: '{band}.fits', bands: [g, r, i]}\n")
    Table({"x": x[:2], "y": y[:2], "label": ["a", "b"]}).write(tmp_path / "c.csv", format="ascii.csv")
    picture = read_catalog(tmp_path / "c.csv", tmp_path / "survey.yml").read(0).astype(float)
    light = picture - np.median(picture, axis=(0, 1))
    middle = (light * np.arange(256)[:, None]).clip(0).sum(axis=(0, 1)) / light.clip(0).sum(axis=(0, 1))
    assert np.ptp(middle) < 1, "of cutout pixels, of which a pixel of the image has 2.7"


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    """One field of noise, 200 x 240 pixels of 0.5 arcsec."""
    header = fits.Header(
        {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 5.0, "CRPIX1": 120.0, "CRPIX2": 100.0,
         "CDELT1": -0.5 / 3600, "CDELT2": 0.5 / 3600}
    )  # fmt: skip
    fits.writeto(tmp_path / "one.fits", RNG.normal(0, 1, (200, 240)).astype("f4"), header)
    (tmp_path / "survey.yml").write_text("name: s\nimages: {path: '{field}.fits', bands: [r]}\n")
    return tmp_path / "survey.yml"


def test_rows_without_a_place_on_the_image_are_left_out(survey: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        "20,30,1,disk", "-500,30,1,disk", "nan,30,1,disk", ",30,1,disk", "100,90,1e9,smooth", "50,60,,smooth",
        "239,199,0.001,disk", "1e30,30,1,smooth", "-500,3,1,unsure",
    ]  # fmt: skip
    path = survey.parent / "c.CSV"
    path.write_text("\n".join(["x,y,half_light_radius,label", *rows]))
    cutouts = read_catalog(path, survey, centre=0.5)
    assert cutouts.names == ["0", "4", "5", "6"]
    assert cutouts.labels.tolist() == [0, 1, 1, 0]
    assert "1 of 4 rows have no half_light_radius: their cutouts are 96 pixels wide" in caplog.text
    assert cutouts.width == FIELD_OF_VIEW, "of most"
    assert "4 of 8 labelled rows are left out: 2 without a position, 2 off their image" in caplog.text
    assert [cutouts.read(index).shape for index in range(4)] == [(256, 256, 3)] * 4
    sides = cutouts.read.side  # type: ignore[attr-defined]
    assert sides == pytest.approx([39.0, 512.0, 96.0, 32.0]), "their middles are as large as in a run"
    assert {file.name for file in cutouts.files} == {"c.CSV", "survey.yml", "one.fits"}


def test_the_width_of_cutouts_of_a_catalogue_is_chosen(survey: Path) -> None:
    rows = {"x": [120.0, 100], "y": [90.0, 80], "half_light_radius": [4.0, 6], "label": ["a", "b"]}
    Table(rows).write(survey.parent / "c.csv")
    usual, close = (read_catalog(survey.parent / "c.csv", survey, width=width) for width in (FIELD_OF_VIEW, 10.0))
    assert close.width == 10.0
    ratio = usual.read.side / close.read.side  # type: ignore[attr-defined]
    np.testing.assert_allclose(ratio, FIELD_OF_VIEW / 10)


def test_a_catalogue_without_sizes_says_no_width(survey: Path, caplog: pytest.LogCaptureFixture) -> None:
    Table({"x": [20.0, 50], "y": [30.0, 60], "label": ["a", "b"]}).write(survey.parent / "c.csv")
    assert np.isnan(read_catalog(survey.parent / "c.csv", survey).width)
    assert "2 of 2 rows have no half_light_radius" in caplog.text


def test_positions_of_a_catalogue_may_be_on_the_sky(survey: Path) -> None:
    wcs = WCS(fits.getheader(survey.parent / "one.fits"))
    ra, dec = wcs.wcs_pix2world([20.0, 50, 20000], [30.0, 60, 30], 0)
    Table({"ra": ra, "dec": dec, "label": ["a", "b", "a"]}).write(survey.parent / "c.csv")
    cutouts = read_catalog(survey.parent / "c.csv", survey)
    assert cutouts.names == ["0", "1"]
    np.testing.assert_allclose(cutouts.read.x, [20, 50], atol=1e-6)  # type: ignore[attr-defined]
    np.testing.assert_allclose(cutouts.read.y, [30, 60], atol=1e-6)  # type: ignore[attr-defined]
    fits.writeto(survey.parent / "one.fits", np.zeros((200, 240), "f4"), overwrite=True)
    with pytest.raises(ImageError, match=r"c.csv: has ra and dec, and the field one has no WCS; give x and y"):
        read_catalog(survey.parent / "c.csv", survey)


def test_names_in_a_catalogue_are_text(survey: Path) -> None:
    (survey.parent / "one.fits").rename(survey.parent / "0001.fits")
    (survey.parent / "c.csv").write_text("source_id,x,y,label,field\n007,20,30,01,0001\n7e0,50,60,1,0001\n")
    cutouts = read_catalog(survey.parent / "c.csv", survey)
    assert (cutouts.names, cutouts.classes) == (["007", "7e0"], ("01", "1"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", "x,y,label,field\n1,1,a,one\n2,2,b,two\n", "column 'field' has 'two', and .* the fields one$"),
        ("c.csv", "x,y,label\nhere,1,a\n2,2,b\n", "column 'x' must hold numbers"),
        ("c.csv", "ra,dec,label\n150,2,a\n150,95,b\n", "column dec must hold degrees between -90 and 90"),
        ("c.csv", "x,y,label\n-1,1,a\n2,2,b\n", "with two classes or more"),
        ("c.CSV", "x,y\n1,1,1\n2\n", "cannot be read as a table"),
        ("c.txt", "x,y,label\n1,1,a\n2,2,b\n", "not known as a table .*; give CSV"),
    ],
)
def test_a_catalogue_that_is_wrong_is_an_error_of_one_line(survey: Path, name: str, text: str, message: str) -> None:
    path = survey.parent / name
    path.write_text(text)
    with pytest.raises(ImageError, match=rf"{name}: .*{message}") as error:
        read_catalog(path, survey)
    assert "\n" not in str(error.value)
