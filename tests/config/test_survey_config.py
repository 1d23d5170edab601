"""survey.yml: its defaults, its digests, and that it reads back as it was written."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from astropy import units as u
from configurations import HEAD, read, variant

from astrogalaxy import SurveyConfig
from astrogalaxy.errors import ConfigError


def test_defaults(tmp_path: Path) -> None:
    config = read(tmp_path, HEAD)
    assert config.version == 1
    assert config.images.bands == ("g", "r", "i")
    assert config.images.reference == "r"
    assert config.images.hdu == "auto"
    assert config.images.zeropoint is config.images.gain is config.images.saturation is None
    assert config.detection.model == config.detection.threshold == "default"
    assert config.morphology.model is None
    assert config.morphology.min_snr == 20
    assert config.measurement.apertures == (3 * u.arcsec,)
    assert config.tiles.size == config.tiles.overlap == "auto"
    assert config.compute.scheduler is None
    assert config.output.formats == ("fits", "votable")
    assert config.output.keep_tiles is True
    assert config.output.directory == str(tmp_path / "out")


def test_an_address_has_no_blanks_around_it() -> None:
    assert variant(compute={"scheduler": " tcp://host:8786 "}).compute.scheduler == "tcp://host:8786"


def test_replaced_keys_are_checked_and_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "${odd} {name}"  # read as variable and placeholder if it were checked again
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    config = read(folder, HEAD + "compute: {memory: 4 GB}\noutput: {formats: [fits]}\n")
    other = config.replaced(compute={"workers": 3}, output={"directory": "other"})
    assert (other.compute.workers, other.compute.memory) == (3, config.compute.memory)
    assert (other.output.directory, other.output.formats) == (str(tmp_path / "other"), ("fits",))
    assert other.images == config.images
    assert str(other.wrong("images", "bands", reason="no")) == str(config.wrong("images", "bands", reason="no"))
    assert config.replaced() == config
    with pytest.raises(ConfigError, match=r"^here: compute.scheduler: must be an address such as .tcp://"):
        config.replaced(source="here", compute={"scheduler": "x"})
    with pytest.raises(ConfigError, match=r"compute.worker: unknown key; did you mean 'workers'"):
        config.replaced(compute={"worker": 1})


def test_a_section_without_keys_has_its_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, HEAD + "tiles:\ncompute:\n  # workers: 2\n") == read(tmp_path, HEAD)


def test_a_configuration_cannot_be_changed(tmp_path: Path) -> None:
    config = read(tmp_path, HEAD)
    with pytest.raises(ValueError, match="frozen"):
        config.images.hdu = 1


@pytest.mark.parametrize(("bands", "reference"), [(["g"], "g"), (["g", "r"], "r"), (["u", "g", "r", "i", "z"], "r")])
def test_the_reference_is_the_middle_band(bands: list[str], reference: str) -> None:
    assert variant(images={"bands": bands}).images.reference == reference


RICH = """\
name: m31
images:
  path: {g: "g-{field}.fits", r: ["r1-{field}.fits", "r2-{field}.fits"]}
  bands: [g, r]
  reference: g
  hdu: SCI
  zeropoint: {g: 22.5, r: 1e1}
  gain: GAIN
  saturation: 60000
  mask: "mask-*.fits"
detection: {threshold: 0.25}
measurement: {apertures: 12 pix}
tiles: {size: 1024, overlap: 0.3 arcmin}
compute: {workers: 3, memory: 4 GiB, device: cpu, scheduler: "tcp://host:8786"}
output: {directory: there, formats: [fits], keep_tiles: true}
"""


def test_to_yaml_reads_back_equal_from_any_folder(tmp_path: Path) -> None:
    config = read(tmp_path, RICH)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = read(elsewhere, config.to_yaml())
    assert again == config
    assert again.to_yaml() == config.to_yaml()
    assert again.digest() == config.digest()
    assert pickle.loads(pickle.dumps(config)) == config


def test_science_digest_is_of_what_changes_the_catalogue() -> None:
    base = variant(images={"mask": "m.fits"})
    same = [
        variant(images={"mask": "m.fits"}, name="other"),
        variant(images={"mask": "m.fits", "path": "elsewhere/{band}.fits"}),
        variant(images={"mask": "moved/m.fits", "reference": "r"}),
        variant(images={"mask": "m.fits"}, compute={"workers": 3}, output={"directory": "x", "formats": ["fits"]}),
        variant(images={"mask": "m.fits"}, compute={"device": "openvino", "precision": "float32"}),
        variant(images={"mask": "m.fits"}, detection={"field_prior": False}),
    ]
    other = [
        variant(),
        variant(images={"mask": "m2.fits"}),
        variant(images={"mask": "m.fits", "reference": "g"}),
        variant(images={"mask": "m.fits", "zeropoint": 25}),
        variant(images={"mask": "m.fits"}, detection={"threshold": 0.5}),
        variant(images={"mask": "m.fits"}, measurement={"apertures": ["4 arcsec", 5]}),
        variant(images={"mask": "m.fits"}, compute={"device": "openvino", "precision": "bfloat16"}),
        variant(images={"mask": "m.fits"}, compute={"device": "cuda"}),
    ]
    assert {config.science_digest() for config in same} == {base.science_digest()}
    assert len({config.science_digest() for config in [base, *other]}) == 1 + len(other)
    assert len({config.digest() for config in [base, *same[:2], *other]}) == 3 + len(other)


def test_importing_it_is_light() -> None:
    code = "import sys, astrogalaxy.config; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "astropy", "torch", "dask", "matplotlib"} & set(loaded)


@pytest.mark.parametrize("what", [None, {"name": "m31"}, 3])
def test_what_is_no_path_is_told(what: object) -> None:
    with pytest.raises(
        ConfigError, match=rf"^a {type(what).__name__} is no configuration file; .* SurveyConfig.from_dict"
    ):
        SurveyConfig.read(what)  # type: ignore[arg-type]
