"""Previews: tiles join without a seam, colours are those of the bands, files are whole or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrogalaxy.errors import RunError
from astrogalaxy.images import Aligned, Image, Section, plan_tiles
from astrogalaxy.survey.preview import BAD, Detail, Preview, assemble, make_preview, preview_step

BANDS = ("u", "g", "r", "i", "z", "Y", "J", "H", "K")


def sky(shape: tuple[int, int], n_bands: int = 3, *, seed: int = 3, sources: int = 30) -> Aligned:
    """Noise with blobs of random colours."""
    rng = np.random.default_rng(seed)
    snr = rng.normal(size=(n_bands, *shape)).astype(np.float32)
    y, x = np.mgrid[: shape[0], : shape[1]]
    for _ in range(sources):
        at_x, at_y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        blob = np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / 6)
        snr += rng.uniform(5, 400, (n_bands, 1, 1)).astype(np.float32) * blob.astype(np.float32)
    return Aligned(snr, np.zeros(snr.shape, bool), BANDS[:n_bands], Section.whole(shape))


def cut(aligned: Aligned, section: Section) -> Aligned:
    where = (slice(None), *section.slices)
    return Aligned(aligned.snr[where], aligned.bad[where], aligned.bands, section)


def spot(n_bands: int, strengths: list[float], *, step: int = 1) -> np.ndarray:
    """Colour of a pixel with these significances in the bands."""
    snr = np.zeros((n_bands, 8, 8), np.float32) + np.array(strengths, np.float32)[:, None, None]
    aligned = Aligned(snr, np.zeros(snr.shape, bool), BANDS[:n_bands], Section(0, 8, 0, 8))
    return make_preview(aligned, aligned.section, step=step).rgb[1, 1].astype(int)


@pytest.mark.parametrize(
    ("shape", "longest", "step"),
    [((1489, 2048), 1400, 2), ((1400, 1400), 1400, 1), ((1401, 10), 1400, 2), ((20000, 3), 1000, 20), ((1, 1), 1, 1)],
)
def test_step(shape: tuple[int, int], longest: int, step: int) -> None:
    assert preview_step(shape, longest=longest) == step
    assert -(-max(shape) // step) <= longest


def test_step_refuses_no_pixels() -> None:
    with pytest.raises(ValueError, match="longest must be at least 1"):
        preview_step((10, 10), longest=0)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("shape", [(150, 211), (64, 96)])
def test_tiles_join_without_a_seam(shape: tuple[int, int], step: int) -> None:
    whole = sky(shape)
    whole.bad[:, 40:50, 20:60] = True
    whole.snr[whole.bad] = 0
    tiles = plan_tiles(shape, size=64, overlap=40)
    previews = [make_preview(cut(whole, t.outer), t.core, step=step) for t in tiles]
    expected = make_preview(whole, whole.section, step=step).rgb
    np.testing.assert_array_equal(assemble(previews[::-1], shape), expected)
    assert expected.shape == (-(-shape[0] // step), -(-shape[1] // step), 3)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    step=st.integers(1, 30),
    size=st.integers(8, 64),
    n_bands=st.integers(1, 5),
)
def test_any_tiling_covers_any_image_once(shape: tuple[int, int], step: int, size: int, n_bands: int) -> None:
    whole = sky(shape, n_bands, sources=2)
    tiles = plan_tiles(shape, size=size, overlap=32, multiple=8)
    previews = [make_preview(cut(whole, t.outer), t.core, step=step) for t in tiles]
    covered = sum(p.rgb.shape[0] * p.rgb.shape[1] for p in previews)
    assert covered == -(-shape[0] // step) * -(-shape[1] // step)
    np.testing.assert_array_equal(assemble(previews, shape), make_preview(whole, whole.section, step=step).rgb)


def test_a_part_of_the_image_is_placed_by_its_pixels() -> None:
    whole = sky((100, 120))
    preview = make_preview(whole, Section(32, 64, 64, 100), step=5)
    assert (preview.x0, preview.y0, preview.step) == (35, 65, 5)
    full = make_preview(whole, whole.section, step=5).rgb
    np.testing.assert_array_equal(preview.rgb, full[13:20, 7:13])


def test_sky_is_dark_grey_and_its_noise_shows() -> None:
    picture = make_preview(sky((200, 200), sources=0), Section(0, 200, 0, 200), step=2).rgb.astype(float)
    assert 22 < np.median(picture) < 55
    assert picture.min() > 0, "nothing is black"
    assert picture.std() > 2
    assert np.abs(np.diff(picture, axis=2)).mean() < 3, "the noise has no colour"


def test_noise_looks_the_same_at_every_step() -> None:
    quiet = sky((240, 240), sources=0)
    spreads = [make_preview(quiet, quiet.section, step=step).rgb.std() for step in (1, 2, 6)]
    assert max(spreads) < 1.2 * min(spreads)


@pytest.mark.parametrize("n_bands", [2, 3, 4, 5])
def test_the_reddest_band_is_red_and_the_bluest_blue(n_bands: int) -> None:
    faint = [10.0] * n_bands
    red = spot(n_bands, [*faint[:-1], 60.0])
    blue = spot(n_bands, [60.0, *faint[1:]])
    assert red[0] > max(red[1:]) + 20
    assert blue[2] > max(blue[:2]) + 20


def test_the_middle_band_is_green() -> None:
    green = spot(3, [10.0, 60.0, 10.0])
    assert green[1] > green[0] + 20 and abs(green[0] - green[2]) <= 1


@pytest.mark.parametrize("n_bands", [1, 2, 3, 6, 9])
def test_equal_bands_are_grey_and_brighter_is_brighter(n_bands: int) -> None:
    levels = []
    for strength in (-2.0, 0.0, 3.0, 20.0, 200.0, 1e5):
        colour = spot(n_bands, [strength] * n_bands)
        assert np.ptp(colour) <= 1
        levels.append(int(colour[0]))
    assert levels == sorted(levels) and len(set(levels)) == len(levels)


def test_brightness_keeps_the_colour() -> None:
    ratios = []
    for strength in (20.0, 60.0, 180.0):
        r, g, b = spot(3, [strength, 2 * strength, 3 * strength]) - 0.13 * 255
        ratios.append(((r - g) / (r + g), (g - b) / (g + b)))
    np.testing.assert_allclose(ratios, ratios[1] * np.ones((3, 1)), atol=0.035)


def test_bad_pixels_have_their_own_tone() -> None:
    whole = sky((40, 40), sources=0)
    whole.bad[:, 10:20, 10:20] = True
    whole.bad[0, 25:35, 25:35] = True
    whole.snr[whole.bad] = 0
    picture = make_preview(whole, whole.section, step=2).rgb
    assert (picture[5:10, 5:10] == BAD).all()
    one_band_lost = picture[13:17, 13:17].astype(int)
    assert not (one_band_lost == BAD).all(axis=2).any()
    assert np.abs(one_band_lost.mean() - picture[:4, :4].mean()) < 8, "the other bands fill in"
    assert np.ptp(BAD) > 10, "the tone is no grey, as the sky is"


def test_the_input_stays_as_it_was() -> None:
    whole = sky((50, 60))
    before = whole.snr.copy()
    for step in (1, 3):
        make_preview(whole, whole.section, step=step)
    np.testing.assert_array_equal(whole.snr, before)


def test_refuses_what_makes_no_picture() -> None:
    whole = sky((50, 60))
    with pytest.raises(ValueError, match="step must be at least 1"):
        make_preview(whole, whole.section, step=0)
    with pytest.raises(ValueError, match="not within the aligned section"):
        make_preview(cut(whole, Section(0, 30, 0, 30)), Section(0, 31, 0, 30), step=2)


def test_detail_is_a_part_at_full_resolution() -> None:
    whole = sky((300, 400), sources=80)
    core = Section(64, 400, 32, 300)
    detail = make_preview(whole, core, step=3, detail=96).detail
    assert detail is not None
    section = detail.section
    assert section.shape == (96, 96)
    assert core.x0 <= section.x0 and section.x1 <= core.x1 and core.y0 <= section.y0 and section.y1 <= core.y1
    full = make_preview(whole, whole.section, step=1).rgb
    np.testing.assert_array_equal(detail.rgb, full[section.slices])


def test_detail_prefers_a_part_with_sources() -> None:
    whole = sky((256, 256), sources=0)
    y, x = np.mgrid[:256, :256]
    for at in range(8, 120, 12):
        whole.snr[:] += 80 * np.exp(-((x - at) ** 2 + (y - 220) ** 2) / 6).astype(np.float32)
    detail = make_preview(whole, whole.section, step=2, detail=128).detail
    assert detail is not None and (detail.x0, detail.y0) == (0, 128)


def test_detail_is_left_out_where_it_shows_no_more() -> None:
    whole = sky((60, 60))
    assert make_preview(whole, whole.section, step=1).detail is None
    assert make_preview(whole, whole.section, step=2, detail=0).detail is None
    small = make_preview(whole, whole.section, step=2, detail=500).detail
    assert small is not None and small.rgb.shape == (60, 60, 3)


def test_a_core_without_a_block_gives_an_empty_preview() -> None:
    whole = sky((64, 96))
    preview = make_preview(whole, Section(32, 64, 0, 64), step=70)
    assert preview.rgb.shape == (1, 0, 3)
    assert assemble([preview], (64, 96)).shape == (1, 2, 3)


def test_what_no_tile_covers_is_striped() -> None:
    whole = sky((64, 128))
    left, right = plan_tiles((64, 128), size=64, overlap=0)
    picture = assemble([make_preview(whole, left.core, step=2)], (64, 128))
    missing = picture[:, right.core.x0 // 2 :].reshape(-1, 3)
    assert len(np.unique(missing, axis=0)) == 2
    np.testing.assert_array_equal(picture[:, :32], make_preview(whole, left.core, step=2).rgb)
    assert assemble([], (64, 128)).shape == (64, 128, 3)


def test_previews_of_different_steps_are_refused() -> None:
    whole = sky((32, 32))
    with pytest.raises(ValueError, match="one step, not 1, 2"):
        assemble([make_preview(whole, whole.section, step=step) for step in (1, 2)], (32, 32))


@pytest.mark.parametrize("detail", [0, 16])
def test_saved_previews_load_equal(tmp_path: Path, detail: int) -> None:
    whole = sky((50, 60))
    preview = make_preview(whole, Section(32, 60, 0, 50), step=3, detail=detail)
    path = tmp_path / "x00032y00000.preview.npz"
    preview.save(path)
    loaded = Preview.load(path)
    np.testing.assert_array_equal(loaded.rgb, preview.rgb)
    assert (loaded.x0, loaded.y0, loaded.step) == (preview.x0, preview.y0, preview.step)
    assert (loaded.detail is None) == (detail == 0)
    if loaded.detail is not None and preview.detail is not None:
        assert loaded.detail.section == preview.detail.section
        np.testing.assert_array_equal(loaded.detail.rgb, preview.detail.rgb)
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "nothing else is left behind"


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    good, path = tmp_path / "good.npz", tmp_path / "tile.preview.npz"
    make_preview(sky((50, 60)), Section(0, 60, 0, 50), step=2).save(good)
    content = good.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"not a preview", content[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match="tile.preview.npz: not a readable preview"):
            Preview.load(path)
    with path.open("wb") as file:
        np.savez(file, rgb=np.zeros((4, 4)), origin=np.array([0, 0, 1]))
    with pytest.raises(RunError, match="not a readable preview"):
        Preview.load(path)
    with pytest.raises(RunError, match="missing.npz"):
        Preview.load(tmp_path / "missing.npz")


def test_cannot_be_saved_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    preview = Preview(np.zeros((2, 2, 3), np.uint8), 0, 0, 1, Detail(np.zeros((1, 1, 3), np.uint8), 0, 0))
    with pytest.raises(RunError, match="does not exist"):
        preview.save(tmp_path / "no" / "x.npz")


def test_real_frames_give_a_picture_with_colours(shared_data: Path) -> None:
    frames = {b: shared_data / "sdss" / f"frame-{b}-003918-3-0213.fits.bz2" for b in "gri"}
    image = Image.read(frames, reference="r")
    aligned = image.aligned(Section(512, 1024, 512, 1024))
    preview = make_preview(aligned, Section(544, 992, 544, 992), step=preview_step(image.shape))
    picture = preview.rgb.astype(int)
    assert preview.step == 2 and picture.shape == (224, 224, 3)
    assert 25 < np.median(picture) < 45
    assert (picture.max(axis=2) > 200).any(), "stars are bright"
    vivid = np.ptp(picture, axis=2) > 50
    assert 10 < vivid.sum() < 0.05 * vivid.size
