"""The cutout classifier in a survey's run."""

from __future__ import annotations

import contextlib
import json
import weakref
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from astrogalaxy.catalog import SourceCatalog, flag_bits
from astrogalaxy.config import SurveyConfig
from astrogalaxy.devices import Placement
from astrogalaxy.errors import ConfigError, WeightsError
from astrogalaxy.images import Image, Section, Tile
from astrogalaxy.models import ClassifierCard, load_classifier, load_weights, save_weights
from astrogalaxy.morphology import Classifier
from astrogalaxy.morphology.export import network_graph, network_tensors
from astrogalaxy.morphology.network import NetworkSpec, build
from astrogalaxy.morphology.pictures import colour_picture, cut
from astrogalaxy.simulation import PROFILES, simulate_scene
from astrogalaxy.simulation.write import write_scene
from astrogalaxy.survey import opening
from astrogalaxy.survey.cutouts import CutoutClasses, classify_sources
from astrogalaxy.survey.gallery import Gallery
from astrogalaxy.survey.opening import open_inputs
from astrogalaxy.survey.plan import make_plan
from astrogalaxy.survey.record import RunRecord
from astrogalaxy.survey.run import _report, execute
from astrogalaxy.survey.shelf import Tally
from astrogalaxy.survey.store import RunDirectory
from astrogalaxy.survey.tasks import TileOutcome, find_in_tile

OPTIONS = {"channels": 4, "blocks": 2, "dense": 4}
CLASSES = ("smooth", "disk", "edge-on")


@pytest.fixture(scope="module")
def classifier_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a classifier that has learnt nothing."""
    network = build(NetworkSpec("average-pool-cnn", 3, side=32, options=OPTIONS)).eval()
    card = ClassifierCard(
        name="tiny", version="1", architecture="average-pool-cnn", options=OPTIONS, attention="none", hidden=None,
        classes=CLASSES, side=32, normalise="symmetric", normalisation="symmetric", centre=0.5, field_of_view=9.75,
        temperature=1.0, parameters=1, start="random numbers", seed=1, epochs=0, seconds=0.0, data=("none",),
        licence="BSD-3-Clause", command="none", metrics={}, metrics_command="none", sha256="",
    )  # fmt: skip
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    return save_weights(path, card, network_tensors(network), network_graph(network)).path


@pytest.fixture(scope="module")
def survey_file(tmp_path_factory: pytest.TempPathFactory, classifier_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("survey")
    write_scene(simulate_scene(PROFILES["sdss"], size=220, seed=4, artefacts=False), folder, name="s")
    path = next(folder.glob("*.yml"))
    text = path.read_text().split("morphology:")[0]
    path.write_text(f"{text}\nmorphology: {{model: {classifier_file}, min_snr: 30}}\n")
    return path


def test_a_run_with_a_classifier(survey_file: Path) -> None:
    config = SurveyConfig.read(survey_file)
    config = config.model_copy(update={"compute": config.compute.model_copy(update={"workers": 1})})
    summary = execute(config)
    catalog = summary.catalog
    assert catalog is not None
    assert catalog.classes == ("edge_on",), "smooth and disk have columns already"
    told = np.isfinite(catalog["p_edge_on"])
    bright = (catalog["snr"] >= 30) & (catalog["p_galaxy"] >= 0.5)
    assert told.any()
    assert set(np.flatnonzero(told)) <= set(np.flatnonzero(bright))
    total = catalog["p_smooth"] + catalog["p_disk"] + catalog["p_edge_on"]
    np.testing.assert_allclose(total[told], 1, atol=1e-5)
    assert SourceCatalog.read(summary.files[0]).classes == ("edge_on",)
    record = json.loads((summary.directory / "run.json").read_text())
    assert record["classifier"]["name"] == "tiny"
    assert record["seconds"]["morphology"] > 0
    page = (summary.directory / "report.html").read_text()
    assert 'id="gallery"' in page
    # galleries that an earlier run left behind
    directory, tally = RunDirectory(summary.directory, config.name), Tally(len(catalog))
    list(tally.watch(iter([catalog])))
    plan = make_plan(config, load_weights(), memory=4e9)
    tiles = [TileOutcome(**tile) for tile in record["tiles"]]
    cards = load_weights().card, load_classifier(str(config.morphology.model)).card
    whole = RunRecord(config, *cards, plan, datetime.now(UTC), tiles, {}, None, ())
    lost = replace(whole, outcomes=[replace(tile, status="failed") for tile in tiles])
    plain = replace(whole, classifier=None)
    for told, shown in ((whole, True), (lost, False), (plain, False)):
        directory.report.unlink()
        _report(directory, told, tally.sample, [], step=tally.step)
        assert ('id="gallery"' in directory.report.read_text()) == shown


def test_openvino_runs_both_networks(survey_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra accel")
    config = SurveyConfig.read(survey_file)
    catalogs = []
    for device, engine in (("cpu", "onnxruntime"), ("openvino", "openvino")):
        compute = config.compute.model_copy(update={"workers": 1, "device": device})
        output = config.output.model_copy(update={"directory": str(tmp_path / device)})
        summary = execute(config.model_copy(update={"compute": compute, "output": output}))
        record = json.loads((summary.directory / "run.json").read_text())
        assert record["device"] == f"cpu ({engine}, float32)"
        assert (
            f"INFO astrogalaxy.survey.cluster: networks run on {record['device']}"
            in (summary.directory / "run.log").read_text()
        )
        catalogs.append(summary.catalog)
    assert len(catalogs[0]) == len(catalogs[1])
    for name in ("x", "det_score", "p_galaxy", "p_edge_on"):
        np.testing.assert_allclose(catalogs[0][name], catalogs[1][name], atol=1e-3, err_msg=name)


def test_the_classifier_is_part_of_the_content_keys(survey_file: Path, classifier_file: Path, tmp_path: Path) -> None:
    weights = load_weights()
    first = make_plan(SurveyConfig.read(survey_file), weights, memory=4e9)
    tiny = load_classifier(classifier_file)
    other = {name: value + 1 for name, value in tiny.tensors.items()}
    save_weights(tmp_path / "tiny.safetensors", tiny.card, other, tiny.graph)
    text = survey_file.read_text().replace(str(classifier_file), str(tmp_path / "tiny.safetensors"))
    again = survey_file.with_name("again.yml")
    again.write_text(text)
    second = make_plan(SurveyConfig.read(again), weights, memory=4e9)
    assert first.fields[0].key != second.fields[0].key
    # nor do the tensors alone say what a tile holds
    save_weights(tmp_path / "tiny.safetensors", tiny.card.model_copy(update={"centre": 0.75}), tiny.tensors, tiny.graph)
    assert make_plan(SurveyConfig.read(again), weights, memory=4e9).fields[0].key != first.fields[0].key
    stricter = weights.card.model_copy(update={"threshold": 0.99})
    stricter = save_weights(tmp_path / "stricter.safetensors", stricter, weights.tensors, weights.graph)
    assert make_plan(SurveyConfig.read(survey_file), stricter, memory=4e9).fields[0].key != first.fields[0].key
    again.write_text(text.replace(str(tmp_path / "tiny.safetensors"), "default"))
    with pytest.raises(WeightsError, match="these weights are for detection"):
        make_plan(SurveyConfig.read(again), weights, memory=4e9)


def test_cutouts_do_not_depend_on_the_tile(classifier_file: Path) -> None:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:400, :420]
    planes = {b: rng.normal(0, 1, x.shape) + 200 * np.exp(-((x - 200) ** 2 + (y - 210) ** 2) / 300) for b in "gri"}
    image = Image.read(planes)
    columns = {
        "x": np.full(4, 200.0), "y": np.full(4, 210.0), "snr": np.array([100.0, 5, 100, 100]),
        "p_galaxy": np.array([0.9, 0.9, 0.01, 0.2]), "half_light_radius": np.full(4, np.nan),
        "x_min": np.full(4, 150.0), "x_max": np.full(4, 250.0), "y_min": np.full(4, 190.0), "y_max": np.full(4, 230.0),
    }  # fmt: skip
    classifier = Classifier(load_classifier(classifier_file), threads=1)
    # the cutout reaches from 89 to 311 and from 99 to 321: some tiles lack a few of its pixels
    sections = [
        Section.whole(image.shape), Section(180, 420, 0, 400), Section(150, 250, 160, 260), Section(92, 420, 0, 400),
        Section(0, 308, 0, 400), Section(0, 420, 102, 400), Section(0, 420, 0, 318),
    ]  # fmt: skip
    seen = [classify_sources(image, image.aligned(part), classifier, columns, min_snr=20) for part in sections]
    for part in seen:
        assert part.rows.tolist() == [0, 3], "faint sources and stars are left out, what may be a galaxy is not"
        np.testing.assert_array_equal(part.pictures, seen[0].pictures)
    assert seen[0].probability.shape == (2, len(CLASSES))


def test_which_galaxies_are_classified(survey_file: Path) -> None:
    config = SurveyConfig.read(survey_file)
    scene = simulate_scene(PROFILES["sdss"], size=256, seed=1, artefacts=False)
    image = Image.read({band: (scene.images[band], scene.wcs[band]) for band in "gri"}, zeropoint=22.5)
    whole = Section.whole(image.shape)

    def classified(min_snr: float, min_size: float) -> SourceCatalog:
        chosen = config.morphology.model_copy(update={"min_snr": min_snr, "min_size": min_size})
        chosen = config.model_copy(update={"morphology": chosen})
        catalog = find_in_tile(image, Tile("whole", whole, whole), chosen, threads=1).catalog
        return catalog[np.isfinite(catalog["p_edge_on"])]

    usual, bright, large = classified(20.0, 0.0), classified(60.0, 0.0), classified(20.0, 1.5)
    star = image.bands[image.reference].seeing / 2 * image.pixel_scale
    assert bright["x"].tolist() == usual["x"][usual["snr"] >= 60].tolist()
    assert large["x"].tolist() == usual["x"][usual["half_light_radius"] >= 1.5 * star].tolist()
    assert len(usual) > len(bright) > 0 and len(usual) > len(large) > 0


@pytest.mark.parametrize(
    ("device", "here", "found", "refused"),
    [
        ("auto", True, "cpu", True),
        ("auto", True, "cuda", False),
        ("auto", False, "cpu", False),
        ("cpu", False, "cpu", True),
        ("cuda", False, "cpu", False),
    ],
)
def test_a_classifier_that_cannot_run_is_refused_before_the_run(
    survey_file: Path, classifier_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    device: str, here: bool, found: str, refused: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(opening, "choose_placement", lambda *_: Placement(found, "float32"))
    tiny = load_classifier(classifier_file)
    bare = save_weights(tmp_path / "bare.safetensors", tiny.card, tiny.tensors, b"").path
    text = survey_file.read_text().replace(str(classifier_file), str(bare))
    survey = survey_file.with_name("bare.yml")
    survey.write_text(text)
    config = SurveyConfig.read(survey)
    config = config.model_copy(update={"compute": config.compute.model_copy(update={"device": device})})
    expected = pytest.raises(ConfigError, match=r"morphology\.model: .*has no graph.*set output: \{graph: true\}")
    with expected if refused else contextlib.nullcontext():
        open_inputs(config, here=here)


def test_a_cutout_is_centred_and_scaled() -> None:
    y, x = np.mgrid[:100, :100]
    plane = np.exp(-((x - 40.3) ** 2 + (y - 60.8) ** 2) / 50).astype(np.float32)[None]
    for pixels, side in ((33, 33.0), (33, 66.0), (65, 33.0)):
        got = cut(plane, [40.3], [60.8], [side], pixels=pixels)[0, 0]
        rows, columns = np.mgrid[:pixels, :pixels]
        middle = (pixels - 1) / 2
        assert (columns * got).sum() / got.sum() == pytest.approx(middle, abs=0.15)
        assert (rows * got).sum() / got.sum() == pytest.approx(middle, abs=0.15)
        width = np.sqrt(((columns - middle) ** 2 * got).sum() / got.sum())
        assert width == pytest.approx(5 * pixels / side, rel=0.08)
    corner = cut(plane, [0.0], [99.0], [20.0], pixels=20)
    assert (corner[0, 0, 12:] == 0).all(), "nothing outside the image"


def test_pictures_keep_colours() -> None:
    snr = np.array([1.0, 2.0, 4.0])[:, None, None] * np.array([[0.5, 5.0, 1e4]])
    picture = colour_picture(snr).astype(int)[0]
    assert picture[2, 0] == 255
    np.testing.assert_allclose(picture[2, 1] / picture[1, 1], picture[2, 0] / picture[1, 0], rtol=0.03)
    assert (picture[:, 0] > picture[:, 1]).all()
    assert (picture[:, 1] > picture[:, 2]).all()
    assert 0 < picture[0, 0] < picture[1, 0]


def test_galleries_of_many_tiles_are_not_held_together() -> None:
    """A gallery may be a megabyte, and a survey has as many as tiles."""
    rng, alive = np.random.default_rng(0), []

    def read() -> Iterator[Gallery]:
        for _ in range(50):
            pictures = rng.integers(0, 255, (8, 4, 4, 3)).astype(np.uint8)
            alive.append(weakref.ref(pictures))
            yield Gallery(CLASSES, pictures, np.zeros(8, np.intp), rng.random(8), np.ones(8, dtype=bool))
            del pictures
            assert sum(one() is not None for one in alive) < 4

    joined = Gallery.join(read())
    assert joined is not None and len(joined.pictures) == 8 and len(alive) == 50


def test_a_gallery_shows_galaxies_that_are_alone_first() -> None:
    """In a crowded field, stars and blends were all that it had of mergers."""
    p = np.zeros((12, 3))
    p[:, 0] = np.linspace(0.5, 0.94, 12)
    pictures = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    table = SourceCatalog.from_columns(
        {"ra": np.arange(13.0), "dec": np.zeros(13), "p_galaxy": [0, *[0.9] * 5, 0.2, *[0.9] * 6],
         "flags": [0] * 9 + [flag_bits(name) for name in ("blended", "edge", "saturated", "masked")]},
        bands=["r"],
    )  # fmt: skip
    gallery = Gallery.of(CutoutClasses(np.arange(1, 13), pictures, p), CLASSES, table)
    assert gallery.pictures[:, 0, 0, 0].tolist() == [11, 7, 6, 4, 3, 2, 1, 0], "not the sixth, nor what is flagged"
    few = Gallery.of(CutoutClasses(np.arange(6, 13), pictures[5:], p[5:]), CLASSES, table)
    assert few.pictures[:, 0, 0, 0].tolist() == [11, 7, 6, 10, 9, 8, 5], "others only where there are too few"


def test_galleries_join(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = [
        Gallery(
            CLASSES,
            rng.integers(0, 255, (9, 4, 4, 3)).astype(np.uint8),
            np.zeros(9, np.intp),
            rng.random(9),
            np.ones(9, dtype=bool),
        )
        for _ in range(2)
    ]
    joined = Gallery.join(parts)
    assert joined is not None
    assert len(joined.pictures) == 8
    assert joined.probability.tolist() == sorted([*parts[0].probability, *parts[1].probability], reverse=True)[:8]
    joined.save(tmp_path / "g.npz")
    again = Gallery.load(tmp_path / "g.npz")
    assert again is not None
    np.testing.assert_array_equal(again.pictures, joined.pictures)
    assert [name for name, *_ in again.sheets()] == ["smooth"]
    assert Gallery.join([]) is None
    other = replace(parts[0], classes=("smooth", "disk"))
    assert Gallery.join([parts[0], other]) is parts[0], "of another classifier"
    assert Gallery.load(tmp_path / "no.npz") is None
    whole = (tmp_path / "g.npz").read_bytes()
    for n in (0, len(whole) // 2):
        (tmp_path / "cut.npz").write_bytes(whole[:n])
        assert Gallery.load(tmp_path / "cut.npz") is None
