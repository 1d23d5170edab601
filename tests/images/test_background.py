"""The sky's mesh: unbiased, robust in crowds, the same in every section."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.stats import SigmaClip
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.background import Background2D, SExtractorBackground

from astrogalaxy.errors import ImageError
from astrogalaxy.images import Mesh, Section, background
from astrogalaxy.images.background import make_mesh
from astrogalaxy.images.lattice import expand


def mesh_of(image, bad=None, **settings):
    return make_mesh(
        lambda part: (image[part.slices], None if bad is None else bad[part.slices]), image.shape, **settings
    )


def test_pure_noise(rng):
    mesh = mesh_of(rng.normal(7, 2, (520, 650)).astype(np.float32))
    assert mesh.background().mean() == pytest.approx(7, abs=0.02)
    assert mesh.noise().mean() == pytest.approx(2, rel=0.015)
    np.testing.assert_allclose(mesh.noise(), 2, rtol=0.1)
    assert mesh.background().shape == (520, 650)


def test_gradient_is_followed(rng):
    rows, columns = np.indices((512, 512))
    slope = (columns * 0.05 - rows * 0.03).astype(np.float32)
    mesh = mesh_of(slope + rng.normal(0, 1, slope.shape).astype(np.float32))
    inner = np.s_[32:-32, 32:-32]
    assert np.abs(mesh.background() - slope)[inner].max() < 0.4


def test_the_mesh_holds_at_the_middle_of_its_boxes(rng):
    level, noise = rng.normal(0, 1, (4, 6)).astype("f4"), rng.uniform(1, 2, (4, 6)).astype("f4")
    mesh = Mesh(level, noise, (31, 15), (4 * 31, 6 * 15))
    np.testing.assert_allclose(mesh.background()[15::31, 7::15], level, atol=1e-5)
    np.testing.assert_allclose(mesh.noise()[15::31, 7::15], noise, atol=1e-5)


@pytest.mark.parametrize(("density", "level", "noise"), [(0.001, 0.06, 0.03), (0.004, 0.15, 0.05), (0.01, 0.35, 0.1)])
def test_stars_hardly_raise_the_sky(rng, make_stars, density, level, noise):
    shape, count = (256, 256), int(density * 256**2)
    peaks = np.minimum(10 * rng.uniform(0, 1, count) ** -1, 5000)
    image = make_stars(shape, rng.uniform(0, 256, count), rng.uniform(0, 256, count), peak=peaks, sigma=1.3, noise=1.0)
    mesh = mesh_of(image)
    assert np.median(mesh.background()) == pytest.approx(0, abs=level)
    assert np.median(mesh.noise()) == pytest.approx(1, abs=noise)


def test_coarsely_digitised_sky_is_not_stuck_on_its_steps(rng):
    """SDSS frames have a sky noise of a few counts only: a median would be off by a tenth of sigma."""
    image = np.round(rng.normal(100.37, 1.2, (512, 512))).astype(np.float32)
    mesh = mesh_of(image)
    assert mesh.background().mean() == pytest.approx(100.37, abs=0.08)
    # Rounding adds the variance 1/12.
    assert mesh.noise().mean() == pytest.approx(np.hypot(1.2, np.sqrt(1 / 12)), rel=0.04)


def test_agrees_with_the_estimators_of_photutils_where_those_are_good(rng, make_stars):
    image = make_stars((512, 512), rng.uniform(0, 512, 80), rng.uniform(0, 512, 80), sky=50, noise=3.0)
    theirs = Background2D(image, 64, sigma_clip=SigmaClip(3), bkg_estimator=SExtractorBackground(), filter_size=3)
    mesh = mesh_of(image)
    np.testing.assert_allclose(mesh.background_mesh, theirs.background_mesh, atol=0.5)
    np.testing.assert_allclose(mesh.noise_mesh, theirs.background_rms_mesh, rtol=0.1)


@pytest.mark.parametrize("scale", [1e-29, 1e25])
def test_any_unit(rng, scale):
    """Such as erg / (s cm2 Hz), whose squares are beyond float32."""
    mesh = mesh_of((rng.normal(7, 2, (128, 128)) * scale).astype(np.float32))
    assert mesh.background().mean() / scale == pytest.approx(7, abs=0.1)
    assert mesh.noise().mean() / scale == pytest.approx(2, rel=0.05)


@given(
    shape=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
    box=st.sampled_from([16, 31, 64]),
)
@settings(max_examples=60, deadline=None)
def test_a_pixel_has_one_value_in_every_section(shape, corners, box):
    rng = np.random.default_rng(1)
    boxes = tuple(max(1, -(-n // box)) for n in shape)
    low, high = rng.normal(0, 1, boxes).astype("f4"), rng.uniform(1, 2, boxes).astype("f4")
    mesh = Mesh(low, high, (box, box), shape)
    x0, x1 = sorted(int(corner * shape[1]) for corner in corners[:2])
    y0, y1 = sorted(int(corner * shape[0]) for corner in corners[2:])
    section = Section(x0, min(x1 + 1, shape[1]), y0, min(y1 + 1, shape[0])).clip(shape)
    np.testing.assert_array_equal(mesh.background(section), mesh.background()[section.slices])
    np.testing.assert_array_equal(mesh.noise(section), mesh.noise()[section.slices])


@given(step=st.integers(1, 12), first=st.sampled_from([0.0, 0.5, 2.5, 3.0]), n=st.integers(1, 6))
@settings(max_examples=80, deadline=None)
def test_expansion_is_linear_interpolation(step, first, n):
    nodes = np.random.default_rng(n).normal(0, 1, (1, n))
    expected = np.interp(np.arange(70), first + step * np.arange(n), nodes[0])
    found = expand(nodes, (1, step), (0.0, first), Section(0, 70, 0, 1))
    np.testing.assert_allclose(found[0], expected, atol=1e-12)


def test_blocks_of_rows_make_no_difference(rng, monkeypatch):
    image = rng.normal(0, 1, (500, 130)).astype(np.float32)
    whole = mesh_of(image)
    monkeypatch.setattr(background, "_BLOCK_PIXELS", 1)
    blocks = mesh_of(image)
    np.testing.assert_array_equal(whole.background_mesh, blocks.background_mesh)
    np.testing.assert_array_equal(whole.noise_mesh, blocks.noise_mesh)


def test_few_rows_are_read_at_a_time(rng, monkeypatch):
    image, read = rng.normal(0, 1, (640, 64)).astype(np.float32), []
    monkeypatch.setattr(background, "_BLOCK_PIXELS", 64 * 64 * 2)
    make_mesh(lambda part: read.append(part) or (image[part.slices], None), image.shape)
    assert [part.shape for part in read] == [(128, 64)] * 5


@pytest.mark.parametrize("shape", [(1, 50), (50, 1), (7, 9), (63, 65), (64, 300), (97, 33)])
def test_images_of_any_size(rng, shape):
    mesh = mesh_of(rng.normal(5, 1, shape).astype(np.float32))
    assert mesh.background().shape == shape
    np.testing.assert_allclose(mesh.background(), 5, atol=1.5)
    assert (mesh.noise() > 0).all()


def test_bad_pixels_take_no_part(rng):
    image = rng.normal(0, 1, (256, 256)).astype(np.float32)
    expected = mesh_of(image)
    bad = rng.uniform(size=image.shape) < 0.2
    spoilt = np.where(bad, np.float32(1e6), image)
    spoilt[5, 5], spoilt[6, 6] = np.nan, -np.inf
    mesh = mesh_of(spoilt, bad)
    np.testing.assert_allclose(mesh.background_mesh, expected.background_mesh, atol=0.1)
    np.testing.assert_allclose(mesh.noise_mesh, 1, rtol=0.1)


def test_boxes_without_good_pixels_are_filled_from_their_neighbours(rng):
    image = rng.normal(10, 1, (320, 320)).astype(np.float32)
    image[:, 128:] = np.nan
    mesh = mesh_of(image)
    np.testing.assert_allclose(mesh.background(), 10, atol=0.2)
    np.testing.assert_allclose(mesh.noise(), 1, rtol=0.1)


def test_values_are_not_modified(rng):
    image = rng.normal(0, 1, (64, 64)).astype(np.float32)
    bad = np.zeros(image.shape, bool)
    image.flags.writeable = bad.flags.writeable = False
    mesh_of(image, bad)


@pytest.mark.parametrize(
    ("value", "reason"),
    [(np.nan, "NaN or masked"), (0.0, "the value 0"), (3.5, "the value 3.5"), (np.inf, "NaN")],
)
def test_images_without_information_are_refused(value, reason):
    with pytest.raises(ImageError, match=rf"flat\.fits: no usable pixels, .*{reason}"):
        mesh_of(np.full((80, 90), value, np.float32), origin="flat.fits")


def test_image_of_two_values_has_a_noise_and_is_suspected(caplog):
    image = np.zeros((100, 100), np.float32)
    image[40:45, 40:45] = 8
    mesh = mesh_of(image, origin="mask.fits")
    assert "mask.fits: most of its sky has one value" in caplog.text
    assert (mesh.noise() > 0).all()
    assert (mesh.background() == 0).all()


def test_round_trip_through_plain_arrays(rng, tmp_path):
    mesh = mesh_of(rng.normal(0, 1, (130, 70)).astype(np.float32))
    np.savez(tmp_path / "mesh.npz", **mesh.to_arrays())
    with np.load(tmp_path / "mesh.npz") as arrays:
        again = Mesh.from_arrays(arrays)
    assert (again.box, again.shape) == (mesh.box, mesh.shape)
    np.testing.assert_array_equal(again.background(), mesh.background())
    np.testing.assert_array_equal(again.noise(), mesh.noise())


def test_constant_mesh():
    mesh = Mesh.constant(3.0, 0.5, (4, 6))
    assert (mesh.background() == 3).all()
    assert mesh.noise(Section(1, 3, 0, 4)).tolist() == [[0.5, 0.5]] * 4


def test_bridge_keeps_the_slope_of_the_sky_and_takes_out_the_galaxy():
    rows, columns = np.indices((16, 20))
    sky = (100 + 0.3 * columns + 0.2 * rows).astype(np.float32)
    lifted = sky + 5 * np.exp(-((columns - 10) ** 2 + (rows - 8) ** 2) / 4).astype(np.float32)
    mesh = Mesh(lifted, np.ones_like(sky), (64, 64), (1024, 1280))
    bridged = mesh.bridged(np.array([[480.0, 864.0, 352.0, 736.0]]))
    assert abs(bridged.background_mesh - sky).max() < 0.1
    assert abs(lifted - sky).max() > 4
    assert bridged.background_mesh[0, 0] == sky[0, 0]


def test_bridge_needs_sky_around():
    levels = np.arange(9, dtype=np.float32).reshape(3, 3)
    mesh = Mesh(levels, np.ones_like(levels), (64, 64), (192, 192))
    np.testing.assert_array_equal(mesh.bridged(np.array([[0.0, 192.0, 0.0, 192.0]])).background_mesh, levels)


def test_holes_beside_each_other_do_not_fill_each_other() -> None:
    rows, columns = np.indices((40, 40))
    levels = (100 + 0.02 * (rows - 20.0) ** 2 + 0.01 * columns**2).astype(np.float32)
    mesh = Mesh(levels, np.ones_like(levels), (64, 64), (2560, 2560))
    boxes = np.array([[200.0, 400.0, 1100.0, 1300.0], [900.0, 1600.0, 900.0, 1600.0]])
    alone = [mesh.bridged(boxes[[number]]).background_mesh for number in (0, 1)]
    both = mesh.bridged(boxes).background_mesh
    small = alone[0] != levels
    # with the other hole as sky it is a little better filled, not worse by the other's plane
    assert np.abs(both - levels)[small].max() < 2 * np.abs(alone[0] - levels)[small].max()
    turned = Mesh(levels[:, ::-1], np.ones_like(levels), (64, 64), (2560, 2560))
    mirrored = turned.bridged(np.column_stack([2559 - boxes[:, 1], 2559 - boxes[:, 0], boxes[:, 2:]]))
    np.testing.assert_allclose(mirrored.background_mesh[:, ::-1], both, atol=1e-3)
