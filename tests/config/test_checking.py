"""What is wrong with a configuration is said in one line for each problem."""

from __future__ import annotations

from pathlib import Path

import pytest
from configurations import HEAD, MINIMAL, error

from astrogalaxy.config import SurveyConfig
from astrogalaxy.errors import ConfigError


def images(line: str) -> str:
    """The minimal file with one more line in images, which is line 5."""
    return f"{HEAD}  {line}\n"


ONE_PROBLEM = [
    (images("zeropint: 22.5"), 5, "images.zeropint", "unknown key; did you mean 'zeropoint'?"),
    (images("Reference: r"), 5, "images.Reference", "did you mean 'reference'?"),
    (images("directory: out"), 5, "images.directory", "did you mean 'output.directory'?"),
    (images("wibble: 1"), 5, "images.wibble", "the keys here are path, bands"),
    (images("reference: z"), 5, "images.reference", "must be one of the bands g, r, i, not 'z'"),
    (images("reference: 3"), 5, "images.reference", "must be text, not 3"),
    (images("hdu: -1"), 5, "images.hdu", "must be auto, an extension's name, or its number"),
    (images("hdu: true"), 5, "images.hdu", "not true"),
    (images("zeropoint: '22.5'"), 5, "images.zeropoint", "numbers have no quotes"),
    (images("zeropoint: default"), 5, "images.zeropoint", "a header keyword or a sum of these, or null"),
    (images("zeropoint: MAGZPT ** EXPTIME"), 5, "images.zeropoint", "not 'MAGZPT ** EXPTIME'"),
    (images("gain: auto"), 5, "images.gain", "a header keyword or a sum of these, or null"),
    (images("hdu: {g: 1, r: 2}"), 5, "images.hdu", "nothing given for 'i'"),
    (images("plane: -1"), 5, "images.plane", "must be a plane's number from 0"),
    (images("plane: {g: 0, r: 1}"), 5, "images.plane", "nothing given for 'i'"),
    (images("mask_bits: []"), 5, "images.mask_bits", "not an empty list"),
    (images("mask_bits: [4096]"), 5, "images.mask_bits", "counts bits from 0: the value 4096 is bit 12"),
    (images("mask_bits: [1.5]"), 5, "images.mask_bits", "numbers from 0 or the names of mask planes"),
    (images("weight_type: exposure"), 5, "images.weight_type", "relative"),
    (images("zeropoint: [22.5]"), 5, "images.zeropoint", "or null, not [22.5]"),
    (images("zeropoint: 1.0e5"), 5, "images.zeropoint", "must be a magnitude between -90 and 90, not 100000"),
    (images("zeropoint: {g: 22, r: 22, q: 22, i: 22}"), 5, "images.zeropoint", "'q' not among the bands g, r, i"),
    (images("zeropoint: {g: 22, r: 22}"), 5, "images.zeropoint", "nothing given for 'i'"),
    (images("zeropoint: {g: 22, r: [x], i: 22}"), 5, "images.zeropoint.r", "a header keyword or a sum, not ['x']"),
    (images("zeropoint: {g: 22, r: '22', i: 22}"), 5, "images.zeropoint.r", "numbers have no quotes"),
    (images("zeropoint: {g: 22, r: null, i: 22}"), 5, "images.zeropoint.r", "a header keyword or a sum, not null"),
    (images("gain: {g: 2, r: auto, i: 2}"), 5, "images.gain.r", "a header keyword or a sum, not 'auto'"),
    (images("gain: 0"), 5, "images.gain", "must be more than 0"),
    (images("gain: .inf"), 5, "images.gain", "must be a number"),
    (images("saturation: -5"), 5, "images.saturation", "must be more than 0, not -5"),
    (images("seeing: 0"), 5, "images.seeing", "must be more than 0, not 0"),
    (images("mask: 'm-{filter}.fits'"), 5, "images.mask", "unknown placeholder '{filter}'"),
    (images("mask: 'm-{field}.fits'"), 5, "images.mask", "holds {field}, but path does not"),
    (images("mask: {g: g.fits}"), 5, "images.mask", "nothing given for 'r', 'i'"),
    (images("psf: {g: g.psf, z: z.psf}"), 5, "images.psf", "'z' not among the bands"),
    (images("psf: '{field}.psf'"), 5, "images.psf", "holds {field}, but path does not"),
    (images("weight: []"), 5, "images.weight", "must be a pattern in quotes"),
    (images("bands: [g]"), 5, "images.bands", "given twice (first in line 4)"),
    (HEAD.replace("m31-{band}.fits", "m31.fits"), 3, "images.path", "must hold {band}"),
    (HEAD.replace("m31-{band}.fits", "m31-{band.fits"), 3, "images.path", "unpaired brace"),
    (HEAD.replace("m31-{band}.fits", "https://x.org/{band}.fits"), 3, "images.path", "must be a local path"),
    (HEAD.replace("m31-{band}.fits", "$EMPTY_VARIABLE/{band}"), 3, "images.path", "EMPTY_VARIABLE is not set"),
    (HEAD.replace("m31-{band}.fits", "$NO_SUCH_VARIABLE/{band}"), 3, "images.path", "NO_SUCH_VARIABLE is not set"),
    (HEAD.replace('"m31-{band}.fits"', "{band}"), 3, "images.path", "must be a pattern in quotes"),
    (HEAD.replace('"m31-{band}.fits"', "['{band}', 3]"), 3, "images.path", "must be a path, not the number 3"),
    (HEAD.replace('"m31-{band}.fits"', "['{field}/{band}', '{band}']"), 3, "images.path", "or in none"),
    (HEAD.replace('"m31-{band}.fits"', "{g: a, r: b}"), 3, "images.path", "nothing given for 'i'"),
    (HEAD.replace('  path: "m31-{band}.fits"\n', ""), 2, "images.path", "required, for example frame-"),
    (HEAD.replace("[g, r, i]", "r"), 4, "images.bands", "must be a list such as [g, r, i], not 'r'"),
    (HEAD.replace("[g, r, i]", "[]"), 4, "images.bands", "must be a list such as [g, r, i], not an empty list"),
    (HEAD.replace("[g, r, i]", "[1, 2]"), 4, "images.bands", "put it in quotes"),
    (HEAD.replace("[g, r, i]", "[g, r', i]"), 4, "images.bands", "use letters, digits and _"),
    (HEAD.replace("[g, r, i]", "[g, r, g]"), 4, "images.bands", "would name the same columns"),
    (HEAD.replace("[g, r, i]", "[g, G]"), 4, "images.bands", "'g' and 'G' would name the same columns"),
    (HEAD.replace("[g, r, i]", "[g, g_err]"), 4, "images.bands", "would name the same columns"),
    (HEAD.replace("[g, r, i]", "[g, aper_g]"), 4, "images.bands", "would name the same columns"),
    ("name: m31\n", 1, "images", "required: a section with path, bands"),
    ("name: m31\nimages: 3\n", 2, "images", "must be a section of 'key: value' lines, not 3"),
    (HEAD.replace("m31\n", "2024\n", 1), 1, "name", "put it in quotes"),
    (HEAD.replace("m31\n", "../m31\n", 1), 1, "name", "it names files"),
    (HEAD.replace("name: m31\n", ""), 1, "name", "required, for example my-survey"),
    (HEAD + "version: 2\n", 5, "version", "must be 1, not 2"),
    (HEAD + "bands: [g]\n", 5, "bands", "did you mean 'images.bands'?"),
    (HEAD + "output: {formats: fits}\n", 5, "output.formats", "must be a list such as [fits, votable], not 'fits'"),
    (HEAD + "output: {formats: []}\n", 5, "output.formats", "must be a list such as [fits, votable], not an empty list"),
    (HEAD + "detection: {threshold: 1.5}\n", 5, "detection.threshold", "a probability from 0 to 1, not 1.5"),
    (HEAD + "detection: {model: null}\n", 5, "detection.model", "must be a model's name or path"),
    (HEAD + "morphology: {model: 3}\n", 5, "morphology.model", "a model's name or path"),
    (HEAD + "morphology: {min_snr: 0}\n", 5, "morphology.min_snr", "must be greater than 0"),
    (HEAD + "morphology: {min_snr: '20'}\n", 5, "morphology.min_snr", "must be a number, not '20'"),
    (HEAD + "measurement: {apertures: 0}\n", 5, "measurement.apertures", "must be more than 0"),
    (HEAD + "measurement: {apertures: 3 parsec}\n", 5, "measurement.apertures", "must be an angle such as '20 arcsec'"),
    (HEAD + "measurement: {apertures: auto}\n", 5, "measurement.apertures", "not 'auto'"),
    (HEAD + "tiles: {size: 1000}\n", 5, "tiles.size", "must be a multiple of 32, such as 992 or 1024, not 1000"),
    (HEAD + "tiles: {size: 32}\n", 5, "tiles.size", "a whole number from 128 to 65536"),
    (HEAD + "tiles: {overlap: 20 arcsex}\n", 5, "tiles.overlap", "not '20 arcsex'"),
    (HEAD + "tiles: {overlap: 1e999 deg}\n", 5, "tiles.overlap", "must be more than 0"),
    (HEAD + "compute: {workers: 0}\n", 5, "compute.workers", "must be auto, or a whole number from 1"),
    (HEAD + "compute: {workers: 2.0}\n", 5, "compute.workers", "not 2.0"),
    (HEAD + "compute: {memory: 4}\n", 5, "compute.memory", "a size such as '4 GB', not 4"),
    (HEAD + "compute: {memory: 4 KB}\n", 5, "compute.memory", "must be at least 100 MB"),
    (HEAD + "compute: {device: gpu}\n", 5, "compute.device", "must be auto, cpu, openvino or cuda, not 'gpu'"),
    (HEAD + "compute: {device: cpu, precision: bfloat16}\n", 5, "compute.precision", "bfloat16 needs openvino or cuda"),
    (HEAD + "compute: {scheduler: localhost}\n", 5, "compute.scheduler", "such as 'tcp://host:8786'"),
    (HEAD + "output: {formats: [fit]}\n", 5, "output.formats", "unknown format 'fit'; choose from fits, votable"),
    (HEAD + "output: {formats: [fits, fits]}\n", 5, "output.formats", "'fits' is given twice"),
    (HEAD + "output: {formats: fits}\n", 5, "output.formats", "must be a list"),
    (HEAD + "output: {keep_tiles: yes}\n", 5, "output.keep_tiles", "must be true or false, not 'yes'"),
    (HEAD + "output: {directory: 7}\n", 5, "output.directory", "put it in quotes"),
    (HEAD + "output:\n  directory: !!python/object:os.system ls\n", 6, "output.directory", "is not allowed"),
    (HEAD + "compute:\n  workers: " + "9" * 5000 + "\n", 6, "compute.workers", "is not a number"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "key", "words"), ONE_PROBLEM, ids=[key for _, _, key, _ in ONE_PROBLEM])
def test_one_problem_is_one_line_with_file_line_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: int, key: str, words: str
) -> None:
    monkeypatch.setenv("EMPTY_VARIABLE", "")
    message = error(tmp_path, text)
    assert message.startswith(f"{tmp_path / 'survey.yml'}:{line}: {key}: ")
    assert words in message
    assert len(message.splitlines()) == 1
    assert len(message) < len(str(tmp_path)) + 260


def test_every_problem_is_listed_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = HEAD + "  zeropint: 3\ncompute: {device: gpu, workers: x}\ntile: {}\n"
    keys = [row.split(": ")[1] for row in error(tmp_path, text).splitlines()]
    assert keys == ["images.zeropint", "compute.workers", "compute.device", "tile"]


def test_a_flood_of_problems_is_cut(tmp_path: Path) -> None:
    rows = error(tmp_path, HEAD + "".join(f"key{n}: 1\n" for n in range(100))).splitlines()
    assert len(rows) == 41
    assert rows[-1].endswith("and 60 more problems")


def test_misspelt_required_key_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "survey.yml").write_text('name: s\nimages:\n  path: "{band}.fits"\n  bnads: [g, r]\n')
    with pytest.raises(ConfigError) as raised:
        SurveyConfig.read(tmp_path / "survey.yml")
    (line,) = str(raised.value).splitlines()
    assert line.endswith("survey.yml:4: images.bnads: unknown key; did you mean 'bands'?")
    (tmp_path / "survey.yml").write_text('name: s\nimages:\n  path: "{band}.fits"\n  colour: [g, r]\n')
    with pytest.raises(ConfigError, match="images.bands: required"):
        SurveyConfig.read(tmp_path / "survey.yml")


def test_errors_of_a_mapping_name_its_source_without_a_line() -> None:
    with pytest.raises(ConfigError, match=r"^--set: images\.band: unknown key; did you mean 'bands'\?$"):
        SurveyConfig.from_dict({**MINIMAL, "images": {**MINIMAL["images"], "band": ["g"]}}, source="--set")
    with pytest.raises(ConfigError, match="must be a mapping"):
        SurveyConfig.from_dict([1])  # type: ignore[arg-type]


def test_errors_of_the_constructor_are_those_of_a_mapping() -> None:
    wrong = {"nam": "m31", "images": {"path": "m31.fits", "bands": ["g", "r"]}, "detection": {"threshold": 4}}
    with pytest.raises(ConfigError) as of_mapping:
        SurveyConfig.from_dict(wrong)
    with pytest.raises(ConfigError) as of_arguments:
        SurveyConfig(**wrong)
    assert str(of_arguments.value) == str(of_mapping.value)
    assert str(of_arguments.value).count("\n") == 2


def test_the_constructor_makes_what_a_mapping_does() -> None:
    right = {"name": "m31", "images": {"path": "m31.fits", "bands": ["r"]}}
    made = SurveyConfig(**right)
    assert made == SurveyConfig.from_dict(right)
    assert "configuration: name: no such survey" in str(made.wrong("name", reason="no such survey"))
