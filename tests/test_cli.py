"""The command line as a user meets it: in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from astropy.io import fits
from typer.testing import CliRunner

from astrogalaxy.cli import app, weights
from astrogalaxy.errors import AstrogalaxyError, ConfigError, WeightsError
from astrogalaxy.models import bundled

VERBS = [str(command.name or command.callback.__name__) for command in app.registered_commands]
VERBS += [f"weights {command.name}" for command in weights.app.registered_commands]


def astrogalaxy(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, "-m", "astrogalaxy", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A simulated survey, written by the command itself."""
    made = astrogalaxy("simulate", "sdss", "--size", 96, "--seed", 3, "--name", "small", "-o", tmp_path)
    assert made.returncode == 0, made.stderr
    return tmp_path / "small.yml"


def test_run_end_to_end(scene: Path) -> None:
    ran = astrogalaxy("run", scene, "--workers", 1)
    assert ran.returncode == 0, ran.stderr
    assert "sources:" in ran.stdout
    assert ran.stderr == ""
    out = scene.parent / "out"
    assert (out / "small.fits").is_file()
    assert (out / "report.html").is_file()
    checked = astrogalaxy("evaluate", out / "small.fits", scene.parent / "small-truth.ecsv")
    assert checked.returncode == 0, checked.stderr
    assert "completeness" in checked.stdout


def test_typo_is_one_line_and_exit_code_2(scene: Path) -> None:
    scene.write_text(scene.read_text().replace("reference:", "referense:"))
    ran = astrogalaxy("run", scene)
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert "small.yml:6" in line
    assert "did you mean 'reference'" in line


def test_missing_band_is_exit_code_3(scene: Path) -> None:
    (scene.parent / "small-g.fits").unlink()
    ran = astrogalaxy("run", scene, "--workers", 1)
    assert ran.returncode == 3
    assert "small-g.fits" in ran.stderr
    assert "failures.ecsv" in ran.stdout


def test_nothing_to_do_is_exit_code_1(scene: Path) -> None:
    for path in scene.parent.glob("small-?.fits"):
        path.unlink()
    ran = astrogalaxy("run", scene)
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert "no image matches" in line


def test_options_are_checked_as_the_keys_of_the_file_are(scene: Path) -> None:
    ran = astrogalaxy("run", scene, "--scheduler", "x")
    assert ran.returncode == 2
    assert "command line: compute.scheduler: must be an address such as 'tcp://" in ran.stderr
    ran = astrogalaxy("run", scene, "--workers", 1_000_000)
    assert ran.returncode == 2
    assert "command line: compute.workers" in ran.stderr
    assert not (scene.parent / "out").exists()


def test_check_prints_the_plan_and_writes_nothing(scene: Path) -> None:
    ran = astrogalaxy("check", scene)
    assert ran.returncode == 0, ran.stderr
    assert "96 x 96 pixels, 1 tile" in ran.stdout
    assert not (scene.parent / "out").exists()


def test_images_unlike_those_of_the_weights_are_told(scene: Path) -> None:
    for path in scene.parent.glob("small-?.fits"):
        with fits.open(path, mode="update") as hdus:
            for hdu in hdus:
                for key in hdu.header["CD?_?"] or hdu.header["CDELT?"]:
                    hdu.header[key] /= 10
    told = astrogalaxy("check", scene)
    assert (told.returncode, "these weights were trained on" in told.stderr) == (0, True), told.stderr
    ran = astrogalaxy("run", scene, "--workers", 1)
    assert ran.returncode == 0, ran.stderr
    assert "all of them are on images unlike those that the weights were trained on" in ran.stderr


def test_init_writes_a_file_that_reads_and_refuses_to_overwrite(tmp_path: Path) -> None:
    assert astrogalaxy("init", "sdss", cwd=tmp_path).returncode == 0
    again = astrogalaxy("init", "sdss", cwd=tmp_path)
    assert again.returncode == 2
    assert "--force" in again.stderr
    checked = astrogalaxy("check", "survey.yml", cwd=tmp_path)
    assert checked.returncode == 1
    assert "no image matches" in checked.stderr


def test_a_scene_is_replaced_only_by_force(scene: Path) -> None:
    (scene.parent / "small-g.fits").unlink()
    kept = (scene.parent / "small-r.fits").read_bytes()
    command = ["simulate", "sdss", "--size", "64", "--name", "small", "-o", str(scene.parent)]
    again = CliRunner().invoke(app, command)
    assert isinstance(again.exception, ConfigError)
    assert str(again.exception).endswith("small-r.fits exists; give another name with --output, or --force")
    assert (scene.parent / "small-r.fits").read_bytes() == kept
    assert not (scene.parent / "small-g.fits").exists()
    assert CliRunner().invoke(app, [*command, "--force"]).exit_code == 0
    assert (scene.parent / "small-r.fits").read_bytes() != kept


def test_a_scene_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = CliRunner().invoke(app, ["simulate", "sdss", "--size", "64", "-o", str(tmp_path / "file")])
    assert isinstance(ran.exception, ConfigError)
    assert "file: the folder cannot be created (File exists)" in str(ran.exception)


def test_unknown_pipeline_and_survey_name_what_there_is(tmp_path: Path) -> None:
    assert "did you mean" in astrogalaxy("init", "sds", cwd=tmp_path).stderr
    assert "choose from" in astrogalaxy("simulate", "euclid", cwd=tmp_path).stderr


def test_weights(tmp_path: Path) -> None:
    runner = CliRunner()
    assert "astroyolo-nano" in runner.invoke(app, ["weights", "list"]).output
    shown = runner.invoke(app, ["weights", "show"]).output
    assert "calibration" in shown
    assert "match SHA-256" in runner.invoke(app, ["weights", "verify"]).output
    assert "no such weights" in astrogalaxy("weights", "show", "nonsense", cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("command", "message", "page"),
    [
        ("classify one.png -o t.csv --model galaxyzoofine", "galaxyzoofine: no such weights", "reference/weights"),
        ("classify one.png -o t.csv --model default", "weights are for detection", "reference/weights"),
        ("classify one.png -o t.csv --detector nothere", "nothere: no such weights", "reference/weights"),
        ("classify one.png -o no/t.csv", "--output no/t.csv: the folder no does not exist", "reference/commands"),
        ("weights show nothere", "nothere: no such weights", "reference/weights"),
        ("weights verify nothere", "nothere: no such weights", "reference/weights"),
        ("view nothere", "nothere: no such run directory", "user_guide/run"),
        ("evaluate nothere t.csv", "nothere: no such run directory", "user_guide/run"),
        ("evaluate t.csv t.csv --radius 0", "a radius of 0 matches nothing", "reference/commands"),
        ("init -o no/x.yml", "--output no/x.yml: the folder no does not exist", "reference/commands"),
        ("fetch sdss M31 --init no/x.yml", "--init no/x.yml: the folder no does not exist", "reference/commands"),
    ],
)
def test_what_an_argument_names_wrongly_is_a_wrong_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, message: str, page: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if command.startswith("evaluate"):
        Path("t.csv").write_text("x,y\n1,2\n")
    ran = CliRunner().invoke(app, command.split())
    assert isinstance(ran.exception, ConfigError), ran.exception
    assert message in str(ran.exception)
    assert ran.exception.page == page


@pytest.mark.parametrize("verb", ["show", "verify"])
def test_damaged_weights_are_said_to_be_damaged(verb: str, tmp_path: Path) -> None:
    whole = bundled()["astroyolo-nano"].read_bytes()
    (tmp_path / "one.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    ran = CliRunner().invoke(app, ["weights", verb, str(tmp_path / "one.safetensors")])
    assert isinstance(ran.exception, WeightsError)
    assert "do not match the card's SHA-256" in str(ran.exception)
    assert not ran.output


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [
        ("simulate sdss --size 32", "galsim", "train"),
        ("train recipe.yml", "lightning", "train"),
        ("evaluate --inject survey.yml", "galsim", "train"),
        ("explain galaxy.jpg --model galaxyzoo-fine", "captum", "train"),
    ],
)
def test_a_verb_without_its_extra_names_it(
    command: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    error = CliRunner().invoke(app, command.split()).exception
    assert isinstance(error, AstrogalaxyError)
    assert f"needs {module}, which is not installed: pip install 'astrogalaxy[{extra}]'" in str(error)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    shown = CliRunner().invoke(app, [*verb.split(), "--help"])
    assert shown.exit_code == 0
    assert f"Example: astrogalaxy {verb}" in shown.output


def test_import_and_help_stay_light() -> None:
    code = (
        "import sys; import astrogalaxy, astrogalaxy.cli\n"
        "from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(astrogalaxy.cli.app, ['--help']).exit_code == 0\n"
        "heavy = {'torch', 'dask', 'distributed', 'matplotlib', 'photutils', 'astropy', 'scipy', 'onnxruntime'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_cpu_run_never_imports_torch(scene: Path) -> None:
    code = f"import sys, astrogalaxy\nastrogalaxy.run({str(scene)!r})\nprint('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
