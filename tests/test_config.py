"""survey.yml and recipe.yml: what is read, what is refused and in which words, what is written."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from astropy import units as u
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from astrogalaxy.config import (
    RecipeConfig,
    SurveyConfig,
    commented_yaml,
    config_rows,
    length_in_pixels,
    presets,
)
from astrogalaxy.errors import ConfigError

HEAD = """\
name: m31
images:
  path: "m31-{band}.fits"
  bands: [g, r, i]
"""
MINIMAL: dict[str, Any] = {"name": "m31", "images": {"path": "m31-{band}.fits", "bands": ["g", "r", "i"]}}
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def survey(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "survey.yml"
    path.write_text(text, encoding="utf-8")
    return path


def read(tmp_path: Path, text: str) -> SurveyConfig:
    return SurveyConfig.read(survey(tmp_path, text))


def error(tmp_path: Path, text: str, cls: type = SurveyConfig) -> str:
    with pytest.raises(ConfigError) as caught:
        cls.read(survey(tmp_path, text))
    return str(caught.value)


def variant(**changes: Any) -> SurveyConfig:
    """The minimal configuration with other sections, or with other keys in a section."""
    data = {key: value.copy() if isinstance(value, dict) else value for key, value in MINIMAL.items()}
    for key, value in changes.items():
        data[key] = {**data.get(key, {}), **value} if isinstance(value, dict) else value
    return SurveyConfig.from_dict(data)


# -- what is refused -------------------------------------------------------------------------------


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
    (images("zeropoint: auto"), 5, "images.zeropoint", "a header keyword, or null"),
    (images("zeropoint: [22.5]"), 5, "images.zeropoint", "not a list"),
    (images("zeropoint: 1.0e5"), 5, "images.zeropoint", "must be a magnitude, not 100000"),
    (images("zeropoint: {g: 22, r: 22, q: 22, i: 22}"), 5, "images.zeropoint", "'q' not among the bands g, r, i"),
    (images("zeropoint: {g: 22, r: 22}"), 5, "images.zeropoint", "nothing given for 'i'"),
    (images("zeropoint: {g: 22, r: x, i: 22}"), 5, "images.zeropoint.r", "must be a number, not 'x'"),
    (images("gain: 0"), 5, "images.gain", "must be more than 0"),
    (images("gain: .inf"), 5, "images.gain", "must be a number"),
    (images("saturation: -5"), 5, "images.saturation", "must be more than 0, not -5"),
    (images("mask: 'm-{filter}.fits'"), 5, "images.mask", "unknown placeholder '{filter}'"),
    (images("mask: 'm-{field}.fits'"), 5, "images.mask", "holds {field}, but path does not"),
    (images("mask: {g: g.fits}"), 5, "images.mask", "nothing given for 'r', 'i'"),
    (images("weight: []"), 5, "images.weight", "must be a pattern in quotes"),
    (images("bands: [g]"), 5, "images.bands", "given twice (first in line 4)"),
    (HEAD.replace("m31-{band}.fits", "m31.fits"), 3, "images.path", "must hold {band}"),
    (HEAD.replace("m31-{band}.fits", "m31-{band.fits"), 3, "images.path", "unpaired brace"),
    (HEAD.replace("m31-{band}.fits", "https://x.org/{band}.fits"), 3, "images.path", "must be a local path"),
    (HEAD.replace("m31-{band}.fits", "$NO_SUCH_VARIABLE/{band}"), 3, "images.path", "NO_SUCH_VARIABLE is not set"),
    (HEAD.replace('"m31-{band}.fits"', "{band}"), 3, "images.path", "must be a pattern in quotes"),
    (HEAD.replace('"m31-{band}.fits"', "['{band}', 3]"), 3, "images.path", "must be a path, not the number 3"),
    (HEAD.replace('"m31-{band}.fits"', "['{field}/{band}', '{band}']"), 3, "images.path", "or in none"),
    (HEAD.replace('"m31-{band}.fits"', "{g: a, r: b}"), 3, "images.path", "nothing given for 'i'"),
    (HEAD.replace('  path: "m31-{band}.fits"\n', ""), 2, "images.path", "required, for example frame-"),
    (HEAD.replace("[g, r, i]", "r"), 4, "images.bands", "must be a list such as [g, r, i], not 'r'"),
    (HEAD.replace("[g, r, i]", "[]"), 4, "images.bands", "must be a list"),
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
    (HEAD + "compute: {device: gpu}\n", 5, "compute.device", "must be auto, cpu or cuda, not 'gpu'"),
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
    tmp_path: Path, text: str, line: int, key: str, words: str
) -> None:
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


TENFOLD = "{y}: &{y} [*{x}, *{x}, *{x}, *{x}, *{x}, *{x}, *{x}, *{x}, *{x}, *{x}]\n"
BOMB = "a: &a [1]\n" + "".join(TENFOLD.format(x=x, y=y) for x, y in zip("abcde", "bcdef", strict=True))

NOT_A_CONFIGURATION = [
    ("", "is empty"),
    ("# only a comment\n", "is empty"),
    ("- g\n- r\n", ":1: must be a mapping of 'key: value' lines"),
    ("name\n", ":1: must be a mapping"),
    ("name: [m31\n", "is not valid YAML"),
    ("name: m31\nimages:\n\tpath: x\n", ":3: is not valid YAML: found character '\\t'"),
    ("name: m31\npath: *.fits\n", ":2: is not valid YAML"),
    ("name: m31\npath: *.fits\n", "in quotes, as in path"),
    ("name: m31\n---\nname: m32\n", "another document"),
    ("name: m31\nx: \x01\n", ":2: has a character that YAML does not allow"),
    ('name: "\\UFFFFFFFF"\n', "is not valid YAML"),
    ("a: &a [*a]\n", "nested too deeply"),
    ("a: " + "[" * 5000, "nested too deeply"),
    (BOMB, "holds more than 20000 values"),
    ("name: m31 # " + "x" * 300_000, "is larger than 256 KiB"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), NOT_A_CONFIGURATION, ids=[words[:20] for _, words in NOT_A_CONFIGURATION])
def test_what_is_not_a_configuration_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    message = error(tmp_path, text)
    assert words in message
    assert message.startswith(str(tmp_path / "survey.yml"))
    assert len(message.splitlines()) == 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    survey(tmp_path, HEAD)
    binary = tmp_path / "image.fits"
    binary.write_bytes(b"SIMPLE  =\xff\x00")
    for path, words in [
        (tmp_path / "survay.yml", "no such file; did you mean 'survey.yml'?"),
        (tmp_path / "absent" / "survey.yml", "no such file; nor is there a folder"),
        (tmp_path, "is a folder"),
        (binary, "is not a text file"),
    ]:
        with pytest.raises(ConfigError) as caught:
            SurveyConfig.read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert words in str(caught.value)


def test_errors_of_a_mapping_name_its_source_without_a_line() -> None:
    with pytest.raises(ConfigError, match=r"^--set: images\.band: unknown key; did you mean 'bands'\?$"):
        SurveyConfig.from_dict({**MINIMAL, "images": {**MINIMAL["images"], "band": ["g"]}}, source="--set")
    with pytest.raises(ConfigError, match="must be a mapping"):
        SurveyConfig.from_dict([1])  # type: ignore[arg-type]


# -- nothing but ConfigError -----------------------------------------------------------------------

KEYS = sorted({part for row in config_rows() for part in row.key.split(".")})
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.binary(max_size=3)
    | st.sampled_from(["auto", "default", "g", "{band}", "20 arcsec", "4 GB", "1e400 deg", "$X", "~", "/"])
    | st.just("9" * 400 + " GB")
    | st.builds(lambda n: 10**n, st.integers(0, 5000))
)  # fmt: skip
NESTED = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)  # fmt: skip


@QUICK
@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5) | st.integers(), NESTED, max_size=9))
@example({"name": "a", "images": {"path": "\ud800", "bands": ["g"]}})
@example({"name": "a", "images": {"path": "x", "bands": ["g"], "zeropoint": {1: 2, None: 3}}})
@example({"name": "a", "images": {"path": "x", "bands": ["g"], "gain": 10**5000}})
def test_any_mapping_is_valid_or_a_config_error(mapping: dict[Any, Any]) -> None:
    for cls in (SurveyConfig, RecipeConfig):
        try:
            config = cls.from_dict(mapping)
        except ConfigError as caught:
            for row in str(caught).splitlines():
                assert row.startswith("configuration: ")
        else:
            assert cls.from_dict(config.model_dump()) == config


@QUICK
@given(st.sampled_from([row.key for row in config_rows()]), NESTED)
def test_any_value_of_any_key_is_valid_or_a_config_error(key: str, value: Any) -> None:
    data: dict[str, Any] = {"name": "a", "images": {"path": "{band}", "bands": ["g", "r"]}}
    section, _, name = key.partition(".")
    if name:
        data.setdefault(section, {})[name] = value
    else:
        data[section] = value
    try:
        config = SurveyConfig.from_dict(data)
    except ConfigError as caught:
        assert section in str(caught)
    else:
        assert SurveyConfig.from_dict(config.model_dump()) == config


@QUICK
@given(st.text(st.characters(codec="utf-8"), max_size=60), st.integers(0, len(HEAD)))
@example("x: 0x1F\ny: 1:2:3\n<<: *a", 0)
@example("? ", 10)
def test_any_text_is_valid_or_a_config_error(tmp_path: Path, text: str, at: int) -> None:
    path = tmp_path / "survey.yml"
    path.write_bytes((HEAD[:at] + text + HEAD[at:]).encode())
    try:
        SurveyConfig.read(path)
    except ConfigError as caught:
        assert all(row.startswith(str(path)) for row in str(caught).split("\n"))


# -- what is read ----------------------------------------------------------------------------------


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


def test_a_section_without_keys_has_its_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, HEAD + "tiles:\ncompute:\n  # workers: 2\n") == read(tmp_path, HEAD)


def test_a_configuration_cannot_be_changed(tmp_path: Path) -> None:
    config = read(tmp_path, HEAD)
    with pytest.raises(ValueError, match="frozen"):
        config.images.hdu = 1


def test_lengths_have_units_or_are_pixels() -> None:
    def overlap(value: Any) -> Any:
        return variant(tiles={"overlap": value}).tiles.overlap

    assert overlap("0.5 arcmin").unit == u.arcsec
    assert overlap("0.5 arcmin") == overlap("30arcsec") == overlap('30"') == overlap(30 * u.arcsec) == 30 * u.arcsec
    assert overlap("1 deg").to_value("deg") == pytest.approx(1, rel=1e-12)
    assert overlap(48) == overlap("48 pix") == overlap("48 px") == 48
    assert overlap("auto") == "auto"


def test_length_in_pixels() -> None:
    assert length_in_pixels(30 * u.arcsec, 0.4) == pytest.approx(75)
    assert length_in_pixels(48, float("nan")) == 48
    with pytest.raises(ConfigError, match="3 arcsec needs an image with a WCS"):
        length_in_pixels(3 * u.arcsec, float("nan"))


@pytest.mark.parametrize(
    ("text", "size", "back"),
    [
        ("4 GB", 4 * 10**9, "4 GB"),
        ("1.5GB", 1_500_000_000, "1500 MB"),
        ("2 gib", 2**31, "2 GiB"),
        ("auto", "auto", "auto"),
    ],
)
def test_sizes(text: str, size: Any, back: str) -> None:
    config = variant(compute={"memory": text})
    assert config.compute.memory == size
    assert config.model_dump()["compute"]["memory"] == back


def test_numbers_of_bands() -> None:
    images = variant(images={"zeropoint": {"g": 25, "r": 26.5, "i": 27}, "gain": "HIERARCH CELL.GAIN"}).images
    assert images.zeropoint == {"g": 25.0, "r": 26.5, "i": 27.0}
    assert images.gain == "HIERARCH CELL.GAIN"


@pytest.mark.parametrize(("bands", "reference"), [(["g"], "g"), (["g", "r"], "r"), (["u", "g", "r", "i", "z"], "r")])
def test_the_reference_is_the_middle_band(bands: list[str], reference: str) -> None:
    assert variant(images={"bands": bands}).images.reference == reference


def test_yaml_types_do_not_surprise(tmp_path: Path) -> None:
    text = HEAD.replace("m31\n", "003918\n", 1).replace("[g, r, i]", "[on, no, y]")
    config = read(tmp_path, text + "morphology: {min_snr: 1e1}\n")
    assert config.name == "003918"
    assert config.images.bands == ("on", "no", "y")
    assert config.morphology.min_snr == 10
    assert SurveyConfig.read(survey(tmp_path, config.to_yaml())) == config


@pytest.mark.parametrize("name", ["1e5", "2024", "null", "True", "0.5", "007"])
def test_text_that_looks_like_another_type_is_written_in_quotes(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, variant(name=name).to_yaml()).name == name


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/hale")
    monkeypatch.setenv("ARCHIVE", "/archive")
    text = """\
name: m31
images:
  path: ["a/{band}.fits", "/b/{band}.fits", "~/{band}.fits", "${ARCHIVE}/{band}.fits", "../{band}.fits"]
  bands: [g, r]
  weight: {g: w.fits, r: "w-{band}*.fits"}
detection: {model: nets/mine.safetensors}
morphology: {min_snr: 12}
output: {directory: ../results}
"""
    config = read(tmp_path, text)
    assert config.images.patterns("g") == (
        f"{tmp_path}/a/g.fits", "/b/g.fits", "/home/hale/g.fits", "/archive/g.fits", f"{tmp_path.parent}/g.fits",
    )  # fmt: skip
    assert config.images.patterns("r", kind="weight") == (f"{tmp_path}/w-r*.fits",)
    assert config.images.patterns("r", kind="mask") == ()
    assert config.images.patterns("g", filled=False)[0].endswith("a/{band}.fits")
    assert config.detection.model == f"{tmp_path}/nets/mine.safetensors"
    assert config.morphology.min_snr == 12
    assert config.output.directory == f"{tmp_path.parent}/results"


def test_a_folder_with_glob_characters_is_taken_literally(tmp_path: Path) -> None:
    import glob

    folder = tmp_path / "run[1]"
    folder.mkdir()
    (folder / "m31-g.fits").touch()
    (pattern,) = read(folder, HEAD).images.patterns("g")
    assert glob.glob(pattern) == [str(folder / "m31-g.fits")]


def test_a_mapping_is_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert variant().images.patterns("g") == (f"{tmp_path}/m31-g.fits",)
    assert SurveyConfig.from_dict(MINIMAL, folder="/data").images.patterns("g") == ("/data/m31-g.fits",)


def test_shipped_pipelines_write_into_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = presets()["quickstart"]
    monkeypatch.chdir(tmp_path)
    by_name = SurveyConfig.read("pipelines/quickstart.yml")  # not in this folder: the shipped one
    assert by_name == SurveyConfig.read(shipped)
    assert by_name.output.directory == str(tmp_path / "quickstart-out")
    assert by_name.images.patterns("g") == (str(shipped.parent / "quickstart" / "quickstart-g.fits"),)
    (tmp_path / "sub").mkdir()
    own = SurveyConfig.read(survey(tmp_path / "sub", shipped.read_text()))
    assert own.output.directory == str(tmp_path / "sub" / "quickstart-out")


def test_importing_it_is_light() -> None:
    code = "import sys, astrogalaxy.config; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "astropy", "torch", "dask", "matplotlib"} & set(loaded)


# -- what is written -------------------------------------------------------------------------------

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


@QUICK
@given(
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,20}", fullmatch=True),
    path=st.text(st.characters(codec="utf-8", exclude_characters="{}$~\\"), min_size=1, max_size=20),
    bands=st.lists(st.from_regex(r"[A-Za-z0-9_]{1,6}", fullmatch=True), min_size=1, max_size=1),
    overlap=st.integers(1, 9999) | st.floats(1e-3, 1e3).map(lambda x: f"{x!r} arcmin"),
    memory=st.integers(10**8, 10**13).map(lambda n: f"{n} B"),
    zeropoint=st.floats(-99, 99) | st.none(),
)  # fmt: skip
def test_any_valid_configuration_survives_writing(tmp_path: Path, **given_values: Any) -> None:
    data = {
        "name": given_values["name"],
        "images": {key: given_values[key] for key in ("path", "bands", "zeropoint")},
        "tiles": {"overlap": given_values["overlap"]},
        "compute": {"memory": given_values["memory"]},
    }
    try:
        config = SurveyConfig.from_dict(data)
    except ConfigError as caught:  # a path that is blank or remote, or bands that clash
        assert "images." in str(caught)
        return
    assert read(tmp_path, config.to_yaml()) == config


def test_science_digest_is_of_what_changes_the_catalogue() -> None:
    base = variant(images={"mask": "m.fits"})
    same = [
        variant(images={"mask": "m.fits"}, name="other"),
        variant(images={"mask": "m.fits", "path": "elsewhere/{band}.fits"}),
        variant(images={"mask": "moved/m.fits", "reference": "r"}),
        variant(images={"mask": "m.fits"}, compute={"workers": 3}, output={"directory": "x", "formats": ["fits"]}),
    ]
    other = [
        variant(),
        variant(images={"mask": "m2.fits"}),
        variant(images={"mask": "m.fits", "reference": "g"}),
        variant(images={"mask": "m.fits", "zeropoint": 25}),
        variant(images={"mask": "m.fits"}, detection={"threshold": 0.5}),
        variant(images={"mask": "m.fits"}, measurement={"apertures": ["4 arcsec", 5]}),
    ]
    assert {config.science_digest() for config in same} == {base.science_digest()}
    assert len({config.science_digest() for config in [base, *other]}) == 1 + len(other)
    assert len({config.digest() for config in [base, *same[:2], *other]}) == 3 + len(other)


# -- documentation and templates -------------------------------------------------------------------


@pytest.mark.parametrize("cls", [SurveyConfig, RecipeConfig])
def test_every_key_is_documented(cls: type) -> None:
    rows = {row.key: row for row in config_rows(cls)}
    assert len(rows) == len(config_rows(cls))
    for row in rows.values():
        assert row.description.endswith("."), row
        assert "typing" not in row.type, row
        assert "Annotated" not in row.type, row


def test_rows_name_type_and_default() -> None:
    rows = {row.key: row for row in config_rows()}
    assert rows["images.path"].default == "required"
    assert rows["tiles.overlap"][1:3] == ("auto | angle | pixels", "auto")
    assert rows["measurement.apertures"].default == "3 arcsec"
    assert rows["output.formats"].default == "[fits, votable]"
    assert rows["images"][1:3] == ("section", "required")
    assert {row.key: row for row in config_rows(RecipeConfig)}["data.labels[].truth"].default == "required"


def template_keys(text: str) -> dict[str, tuple[bool, str]]:
    """Dotted keys of a template, each with whether the line above it is a comment, and what stands behind it."""
    found: dict[str, tuple[bool, str]] = {}
    way: list[str] = []
    rows = text.splitlines()
    for number, row in enumerate(rows):
        name, colon, value = row.strip().partition(":")
        if colon and not name.startswith(("#", "-")):
            way[(len(row) - len(row.lstrip())) // 2 :] = [name]
            found[".".join(way)] = rows[number - 1].strip().startswith("#"), value.strip()
    return found


@pytest.mark.parametrize("preset", [None, *presets()])
def test_the_template_has_every_key_with_a_comment(tmp_path: Path, preset: str | None) -> None:
    text = commented_yaml(preset)
    found = template_keys(text)
    empty = [key for key, (_, value) in found.items() if value == "null"]
    for row in config_rows():
        # what a section that is left out would hold is told in its comment and in the reference
        if not any(row.key.startswith(f"{section}.") for section in empty):
            assert found[row.key][0], f"{row.key} has no comment"
    assert max(map(len, text.splitlines())) < 130
    read(tmp_path, text)


def test_the_template_is_the_defaults(tmp_path: Path) -> None:
    given = {"name": "my-survey", "images": {"path": "frame-{band}-{field}.fits", "bands": ["g", "r", "i"]}}
    assert read(tmp_path, commented_yaml()) == SurveyConfig.from_dict(given, folder=tmp_path)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"there is no pipeline 'sds'; did you mean 'sdss'\?"):
        commented_yaml("sds")
    with pytest.raises(ConfigError, match="there are .*sdss"):
        commented_yaml("nothing-like-it")


# -- recipe.yml ------------------------------------------------------------------------------------

RECIPE = """\
name: detector
model: {size: tiny, levels: [4, 8, 16]}
data:
  simulation: {scenes: 10, size: 256, surveys: {sdss: 2, legacy: 1}}
  labels:
    - {images: {path: "f-{band}.fits", bands: [g, r]}, truth: truth.csv}
    - {images: {path: "h-{band}.fits", bands: [g, r]}, truth: t.csv, split: s.csv, part: val}
training: {precision: 32, learning_rate: 1e-3}
"""


def test_a_recipe_is_read_and_written(tmp_path: Path) -> None:
    path = survey(tmp_path, RECIPE)
    recipe = RecipeConfig.read(path)
    assert recipe.data.simulation is not None
    assert recipe.data.simulation.surveys == {"sdss": 2.0, "legacy": 1.0}
    assert recipe.data.labels[1].truth == str(tmp_path / "t.csv")
    assert recipe.data.labels[1].split == str(tmp_path / "s.csv")
    assert recipe.data.labels[0].images.patterns("g") == (str(tmp_path / "f-g.fits"),)
    assert recipe.data.labels[0].part == "train"
    assert recipe.training.precision == "32"
    assert recipe.training.learning_rate == 1e-3
    assert recipe.output.directory == str(tmp_path / "runs")
    path.write_text(recipe.to_yaml())
    assert RecipeConfig.read(path) == recipe


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "words"),
    [
        ("truth: truth.csv", "part: x", 6, "data.labels[0].truth", "required, for example truth.csv"),
        ("truth: t.csv", "truht: t.csv, truth: t.csv", 7, "data.labels[1].truht", "did you mean 'truth'?"),
        ('"h-{band}.fits"', "h.fits", 7, "data.labels[1].images.path", "must hold {band}"),
        ("size: tiny", "size: small", 2, "model.size", "must be nano, tiny or s, not 'small'"),
        ("[4, 8, 16]", "[8, 4]", 2, "model.levels", "must be rising powers of two"),
        ("sdss: 2", "sdss: 0", 4, "data.simulation.surveys.sdss", "must be a number above 0, not 0"),
        ("precision: 32", "precision: 16", 8, "training.precision", "must be 32 or bf16, not 16"),
        ("precision: 32", "crop: 100", 8, "training.crop", "must be a multiple of the coarsest level, 16"),
        ("precision: 32", "steps: 10", 8, "training.warmup", "1000 is more than steps, 10"),
        ("name: detector", "name: detector\nseed: -1", 2, "seed", "must be 0 or more, not -1"),
    ],
)
def test_a_wrong_recipe_is_explained(tmp_path: Path, old: str, new: str, line: int, key: str, words: str) -> None:
    message = error(tmp_path, RECIPE.replace(old, new), RecipeConfig)
    assert message.startswith(f"{tmp_path / 'survey.yml'}:{line}: {key}: ")
    assert words in message
    assert len(message.splitlines()) == 1


def test_a_recipe_needs_data(tmp_path: Path) -> None:
    message = error(tmp_path, "name: x\ndata:\n  sky: []\n", RecipeConfig)
    assert message == f"{tmp_path / 'survey.yml'}:2: data: needs simulation, labels, phosim or galaxies"


def test_the_recipe_template_is_valid(tmp_path: Path) -> None:
    text = commented_yaml(model=RecipeConfig)
    assert all(commented for commented, _ in template_keys(text).values())
    recipe = RecipeConfig.read(survey(tmp_path, text))
    assert recipe.data.simulation is not None


def test_misspelt_required_key_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "survey.yml").write_text('name: s\nimages:\n  path: "{band}.fits"\n  bnads: [g, r]\n')
    with pytest.raises(ConfigError) as raised:
        SurveyConfig.read(tmp_path / "survey.yml")
    (line,) = str(raised.value).splitlines()
    assert line.endswith("survey.yml:4: images.bnads: unknown key; did you mean 'bands'?")
    (tmp_path / "survey.yml").write_text('name: s\nimages:\n  path: "{band}.fits"\n  colour: [g, r]\n')
    with pytest.raises(ConfigError, match="images.bands: required"):
        SurveyConfig.read(tmp_path / "survey.yml")
