"""Every file under pipelines/ is valid and explained, and says of its survey what is so."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest

from astrogalaxy.config import SurveyConfig, commented_yaml, pipelines_folder, presets, read_recipe
from astrogalaxy.config.yaml import parse_yaml
from astrogalaxy.errors import ConfigError

FOLDER = pipelines_folder()
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.y*ml"))
SURVEYS = [name for name in FILES if not name.startswith("recipes/")]


def test_there_is_one_for_each_survey() -> None:
    assert set(presets()) >= {
        "sdss",
        "legacy",
        "panstarrs",
        "hsc",
        "des",
        "kids",
        "rubin",
        "ztf",
        "hst",
        "jwst",
        "euclid",
    }
    assert len(presets()) == len(SURVEYS) - 1, "every survey file has a name of its own, but for the quickstart"


def test_the_quickstart_is_no_file_to_start_from() -> None:
    """Its images lie beside it, where a copy would not find them."""
    with pytest.raises(ConfigError, match="there is no pipeline 'quickstart'; there are des, euclid, hsc, hst, "):
        commented_yaml("quickstart")


@pytest.mark.parametrize("name", FILES)
def test_it_is_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASTROGALAXY_DATA", "/data")  # recipes read the training data from there
    (read_recipe if name.startswith("recipes/") else SurveyConfig.read)(FOLDER / name)


@pytest.mark.parametrize("name", FILES)
def test_every_key_has_a_comment(name: str) -> None:
    """At the end of its line, or on lines of its own above; keys within braces share that of their line."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    rows = text.splitlines()
    assert rows[0].startswith("# "), "the file begins by saying what it is"
    for way, line in parse_yaml(text, source=name).lines.items():
        if way and not isinstance(way[-1], int):
            above = rows[line - 2].strip() if line > 1 else ""
            said = above.startswith("# ") or re.search(r"\S\s+# \S", rows[line - 1])
            assert said, f"{name}:{line}: no comment for {way[-1]}"
    assert max(map(len, rows)) <= 120, f"{name}: a line does not fit"


@pytest.mark.parametrize("name", sorted(presets()))
def test_init_writes_the_same_configuration(name: str, tmp_path: Path) -> None:
    for file, text in (("init.yml", commented_yaml(name)), ("copy.yml", presets()[name].read_text("utf-8"))):
        (tmp_path / file).write_text(text, encoding="utf-8")
    assert SurveyConfig.read(tmp_path / "init.yml") == SurveyConfig.read(tmp_path / "copy.yml")


@pytest.mark.parametrize(
    ("name", "band", "file", "field"),
    [
        ("sdss", "r", "frame-r-003918-3-0213.fits.bz2", "003918-3-0213"),
        ("sdss", "g", "frame-g-003918-3-0213.fits", "003918-3-0213"),
        ("legacy", "z", "legacysurvey-1498p020-image-z.fits.fz", "1498p020"),
        ("panstarrs", "i", "rings.v3.skycell.1784.059.stk.i.unconv.fits", "1784.059"),
        ("hsc", "i", "calexp-HSC-I-9813-4,4.fits", "9813-4,4"),
        ("des", "r", "DES0354-1915_r4931p01_r.fits.fz", "DES0354-1915_r4931p01"),
        ("kids", "i", "KiDS_DR4.0_181.5_-2.5_i_sci.fits", "181.5_-2.5"),
        ("kids", "r", "KiDS_DR5.0_195.5_-3.5_r_sci.fits", "195.5_-3.5"),
        ("rubin", "g", "deep_coadd_5525_10_g_lsst_cells_v1_LSSTComCam_runs_DRP_DP1_DM-51335.fits", "5525_10"),
        ("ztf", "r", "ztf_001735_zr_c01_q2_refimg.fits", "c01_q2"),
        ("hst", "f814w", "hst_12861_17_acs_wfc_f814w_jc0s17_drc.fits", "12861_17_acs_wfc"),
        ("jwst", "f444w", "jw02731-o001_t017_nircam_clear-f444w_i2d.fits", "jw02731-o001_t017"),
        (
            "euclid", "VIS", "EUC_MER_BGSUB-MOSAIC-VIS_TILE102018211-ACBD03_20241018T142710.276838Z_00.00.fits",
            "102018211",
        ),
        (
            "euclid", "Y", "EUC_MER_BGSUB-MOSAIC-NIR-Y_TILE102018211-31E2C9_20241018T143048.358037Z_00.00.fits.gz",
            "102018211",
        ),
    ],
)  # fmt: skip
def test_it_finds_the_files_of_the_archive(name: str, band: str, file: str, field: str) -> None:
    config = SurveyConfig.read(presets()[name])
    (pattern,) = config.images.patterns(band)
    assert fnmatch.fnmatchcase(file, Path(pattern).name.replace("{field}", field))
    others = [other for other in config.images.bands if other != band]
    for other in others:
        (pattern,) = config.images.patterns(other)
        assert not fnmatch.fnmatchcase(file, Path(pattern).name.replace("{field}", "*"))


@pytest.mark.parametrize(
    ("name", "zeropoint", "hdu", "weight", "bands"),
    [
        ("sdss", 22.5, 0, False, 3),
        ("legacy", 22.5, 1, True, 3),
        ("panstarrs", "25 + 2.5*log10(EXPTIME)", "auto", False, 3),
        ("hsc", 27.0, 1, False, 3),
        ("des", 30.0, "SCI", True, 3),
        ("kids", 0.0, "auto", True, 3),
        ("rubin", 31.4, "IMAGE", True, 3),
        ("ztf", "MAGZP", "auto", False, 2),
        ("hst", "auto", "SCI", True, 2),
        ("jwst", "auto", "SCI", True, 4),
        ("euclid", "MAGZERO", "auto", True, 4),
    ],
)
def test_it_knows_the_survey(name: str, zeropoint: float | str, hdu: int | str, weight: bool, bands: int) -> None:
    images = SurveyConfig.read(presets()[name]).images
    assert images.zeropoint == zeropoint
    assert images.hdu == hdu
    assert (images.weight is not None) == weight
    assert len(images.bands) == bands


def test_sdss_finds_real_frames(shared_data: Path) -> None:
    config = SurveyConfig.read(presets()["sdss"])
    for band in config.images.bands:
        (pattern,) = config.images.patterns(band)
        assert sorted((shared_data / "sdss").glob(Path(pattern).name.replace("{field}", "003918-*")))


def test_the_readme_lists_every_file() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"`(?:pipelines/)?([\w*/-]+\.yml)`", readme)
    names = {name.removeprefix("recipes/") for name in FILES}
    found = {pattern: set(fnmatch.filter(names, pattern)) for pattern in listed}
    assert names == set().union(*found.values())
    assert all(found.values()), "nothing is named that is not there"
