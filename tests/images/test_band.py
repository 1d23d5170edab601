"""A band's pixels: subtracted, finite, with their noise, bad and saturated ones marked."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from astropy.io import fits

from astrogalaxy.errors import ImageError
from astrogalaxy.images import Image, Mesh, Section


@pytest.fixture
def sky(rng):
    return rng.normal(100, 4, (150, 200)).astype(np.float32)


def test_pixels_are_subtracted_and_clean(sky):
    sky[3, 4], sky[5, 6], sky[7, 8] = np.nan, np.inf, -np.inf
    pixels = Image.read(sky).bands["image"].pixels()
    assert pixels.section == Section(0, 200, 0, 150)
    for array in (pixels.data, pixels.noise):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert np.isfinite(array).all()
    assert abs(pixels.data.mean()) < 0.2
    assert pixels.noise.mean() == pytest.approx(4, rel=0.05)
    assert np.argwhere(pixels.bad).tolist() == [[3, 4], [5, 6], [7, 8]]
    assert pixels.data[pixels.bad].tolist() == [0, 0, 0]
    assert not pixels.saturated.any()


@pytest.mark.parametrize("nothing", [-1e30, 1e30, 1.6e38, -3.4e38])
def test_numbers_that_stand_for_no_data_are_bad(sky, nothing):
    clean = Image.read(sky.copy()).bands["image"].pixels()
    sky[20:50, 30:60] = nothing
    pixels = Image.read(sky).bands["image"].pixels()
    assert pixels.bad.sum() == 900
    assert pixels.bad[20:50, 30:60].all()
    np.testing.assert_allclose(pixels.noise[100:], clean.noise[100:], rtol=0.05)


def test_what_is_too_bright_for_any_light_leaves_numbers_for_the_network(sky):
    sky[20, 30] = 1e28
    assert np.abs(Image.read(sky).aligned().snr).max() == 1e6


def test_weights_of_another_kind_are_refused(sky):
    good = np.full(sky.shape, 1 / 16, np.float32)
    good[:20] = 0
    Image.read(sky, weight=good).bands["image"].pixels()
    for wrong in (good * 300, good / 300):
        with pytest.raises(
            ImageError, match="weight map of band image: the noise of this weight map is .* inverse var"
        ):
            Image.read(sky, weight=wrong).bands["image"].pixels()


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("zeropoint", np.nan, "zeropoint must be a number, not nan"),
        ("zeropoint", "ZP", "zeropoint, the header's ZP, must be a number, not True"),
        ("zeropoint", "TEXT", "zeropoint, the header's TEXT, must be a number, not 'nan'"),
        ("zeropoint", "UNKNOWN", "zeropoint, the header's UNKNOWN, must be a magnitude between -90 and 90, not -99.0"),
        ("zeropoint", "UNKNOWN*10", r"zeropoint, 'UNKNOWN\*10', must be a magnitude between -90 and 90, not -990"),
        ("zeropoint", 99, "zeropoint must be a magnitude between -90 and 90, not 99"),
        ("gain", 0, "gain must be more than 0, not 0"),
        ("gain", "GAIN", "gain, the header's GAIN, must be more than 0, not -2.0"),
        ("saturation", -5.0, "saturation must be more than 0, not -5.0"),
    ],
)
def test_numbers_without_a_meaning_are_refused(sky, setting, value, message):
    header = fits.Header({"ZP": True, "GAIN": -2.0, "TEXT": "nan", "UNKNOWN": -99.0})
    with pytest.raises(ImageError, match=message):
        Image.read({"g": (sky, header)}, **{setting: value})
    assert Image.read(sky, zeropoint=-2.5).bands["image"].zeropoint == -2.5


def test_sections_agree_with_the_whole(tmp_path, sky, make_wcs):
    fits.writeto(tmp_path / "a.fits", sky, make_wcs().to_header())
    band = Image.read(tmp_path / "a.fits").bands["image"]
    section = Section(31, 140, 77, 101)
    whole, part = band.pixels(), band.pixels(section)
    for name in ("data", "noise", "bad", "saturated"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[section.slices])


def test_nearly_all_of_a_small_band_is_all_of_it(sky):
    band = Image.read(sky).bands["image"]
    assert band.rounded(Section(1, 199, 0, 150)) == Section(0, 200, 0, 150)
    assert band.rounded(Section(0, 100, 0, 150)) == Section(0, 100, 0, 150)


def test_mesh_is_measured_once_from_the_whole_band(tmp_path, sky, monkeypatch):
    made = []
    from astrogalaxy.images import band as module

    make = module.make_mesh
    monkeypatch.setattr(module, "make_mesh", lambda *args, **kwargs: made.append(1) or make(*args, **kwargs))
    fits.writeto(tmp_path / "a.fits", sky)
    band = Image.read(tmp_path / "a.fits").bands["image"]
    band.pixels(Section(0, 10, 0, 10))
    again = pickle.loads(pickle.dumps(band))
    np.testing.assert_array_equal(again.pixels().data, band.pixels().data)
    assert made == [1]


def test_mesh_can_be_restored(tmp_path, sky):
    fits.writeto(tmp_path / "a.fits", sky)
    band = Image.read(tmp_path / "a.fits").bands["image"]
    band.mesh = Mesh.constant(90.0, 2.0, band.shape)
    np.testing.assert_allclose(band.pixels().data, sky - 90, rtol=1e-6)
    with pytest.raises(ImageError, match=r"a\.fits: a background mesh"):
        band.mesh = Mesh.constant(0.0, 1.0, (3, 3))


@pytest.mark.parametrize("name", ["name", "zeropoint", "saturation", "fwhm", "exposure"])
def test_what_pixels_mean_does_not_change_under_what_is_kept_of_them(sky, name):
    band = Image.read(sky).bands["image"]
    with pytest.raises(AttributeError):
        setattr(band, name, 1.0)
    with pytest.raises(AttributeError):
        setattr(band.exposure, name, 1.0)


def test_box_size_is_a_setting(sky):
    assert Image.read(sky, box=25).bands["image"].mesh.background_mesh.shape == (6, 8)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.float32, np.int64])
def test_mask_nonzero_is_bad(tmp_path, sky, dtype):
    mask = np.zeros(sky.shape, dtype)
    mask[10:12, 20:30] = 1
    if mask.dtype == np.int64:
        mask[10, 20] = 2**40
    sky[mask != 0] = 1e5
    path = tmp_path / "mask.fits"
    fits.writeto(path, mask.astype(np.uint8 if dtype is bool else dtype))
    mask.flags.writeable = False
    for given in (mask, path, {"image": mask}, (path, 0)):
        band = Image.read(sky, mask=given).bands["image"]
        np.testing.assert_array_equal(band.pixels().bad, mask != 0)
        assert band.mesh.background().max() < 105


def test_weight_gives_the_noise_and_zero_is_bad(rng):
    sigma = np.full((150, 200), 5, np.float32)
    sigma[:, 100:] = 2
    weight = 1 / sigma**2
    weight[0], weight[1], weight[2], weight[3] = 0, -1, np.nan, np.inf
    weight.flags.writeable = False
    pixels = Image.read(rng.normal(100, sigma), weight=weight).bands["image"].pixels()
    assert pixels.bad[:4].all()
    assert not pixels.bad[4:].any()
    np.testing.assert_allclose(pixels.noise[4:], sigma[4:], rtol=1e-6)
    assert np.isfinite(pixels.noise).all()
    assert (pixels.noise > 0).all()


@pytest.mark.parametrize("factor", [1 / 9, 1 / 3, 1 / 1.3, 1.3, 3, 9])
def test_noise_of_relative_weights_is_brought_to_that_of_the_pixels(rng, caplog, factor):
    sigma = np.linspace(2, 4, 200, dtype=np.float32) * np.ones((150, 1), np.float32)
    band = Image.read({"r": rng.normal(100, sigma)}, weight=(factor * sigma) ** -2).bands["r"]
    again = pickle.loads(pickle.dumps(band))
    again.mesh = Mesh.from_arrays(band.mesh.to_arrays())
    part = Section(150, 200, 30, 60)
    np.testing.assert_allclose(again.pixels(part).noise, sigma[part.slices], rtol=0.1)
    np.testing.assert_array_equal(again.pixels(part).noise, band.pixels().noise[part.slices])
    (said,) = caplog.messages
    assert said.startswith("weight map of band r: the noise of this weight map is")
    assert "times that of the pixels of band r; the map is rescaled to match" in said


def test_weights_about_as_noisy_as_the_pixels_are_taken_as_they_are(sky, caplog):
    weight = np.full(sky.shape, 1 / 4.3**2, np.float32)
    pixels = Image.read(sky, weight=weight).bands["image"].pixels()
    np.testing.assert_allclose(pixels.noise, 4.3, rtol=1e-6)
    assert not caplog.messages


def test_weights_are_compared_where_there_are_data(sky):
    """Maps may hold numbers of another kind in areas that are filled with zeros."""
    weight = np.full(sky.shape, 1 / 16, np.float32)
    sky[:, 60:], weight[:, 60:] = 0, 1e-3
    assert Image.read(sky, weight=weight).bands["image"].mesh.weight_factor == 1


def test_maps_must_fit(tmp_path, sky):
    fits.writeto(tmp_path / "mask.fits", np.zeros((5, 5), np.uint8))
    with pytest.raises(ImageError, match=r"mask\.fits: this mask has shape \(5, 5\)"):
        Image.read(sky, mask=tmp_path / "mask.fits")
    with pytest.raises(ImageError, match="weight map of band image: this weight map"):
        Image.read(sky, weight=np.ones((5, 5)))


def test_everything_masked_is_no_image(sky):
    band = Image.read({"z": sky}, mask=np.ones(sky.shape, bool)).bands["z"]
    with pytest.raises(ImageError, match="band z: no usable pixels"):
        band.pixels(Section(0, 5, 0, 5))


def test_saturation_is_measured_before_subtraction(sky):
    sky[10, 10], sky[20, 20], sky[30, 30] = 5000, 4999, np.inf
    pixels = Image.read(sky, saturation=5000).bands["image"].pixels()
    assert np.argwhere(pixels.saturated).tolist() == [[10, 10], [30, 30]]
    assert not pixels.bad[10, 10]


def test_settings_by_number_band_or_keyword(sky):
    header = fits.Header({"MAGZP": 27.5, "GAIN": 1.6, "SATURATE": 40000, "TEXT": "no number"})
    source = {"g": (sky, header), "r": (sky, header)}
    bands = Image.read(source, zeropoint="MAGZP", gain={"g": "GAIN", "r": 3}).bands
    assert [band.zeropoint for band in bands.values()] == [27.5, 27.5]
    assert [band.gain for band in bands.values()] == [1.6, 3]
    assert [band.saturation for band in bands.values()] == [40000, 40000]
    assert Image.read(source, zeropoint={"g": 25.0}).bands["r"].zeropoint is None
    assert Image.read(sky).bands["image"].saturation is None
    assert Image.read((sky, fits.Header({"SATURATE": True}))).bands["image"].saturation is None
    with pytest.raises(ImageError, match="band g: the header has no keyword 'NONE', given as zeropoint"):
        Image.read(source, zeropoint="NONE")
    with pytest.raises(ImageError, match="band g: gain, the header's TEXT, must be a number"):
        Image.read(source, gain="TEXT")
    with pytest.raises(ImageError, match="zeropoint is given for x, but the bands are g, r"):
        Image.read(source, zeropoint={"x": 25})


def test_missing_keyword_is_refused_with_the_file(tmp_path, sky):
    path, header = tmp_path / "a.fits", fits.Header({"MAGZP": 27.5})
    fits.writeto(path, sky, header)
    assert Image.read(path, zeropoint="MAGZP").bands["image"].zeropoint == 27.5
    for key in ("zeropoint", "gain", "saturation"):
        with pytest.raises(ImageError, match=rf"a\.fits: the header has no keyword 'PHOTZP', given as {key}"):
            Image.read(path, **{key: "PHOTZP"})
    fits.setval(path, "PHOTZP", value=None)
    with pytest.raises(ImageError, match=r"a\.fits: the header's 'PHOTZP', given as zeropoint, has no value"):
        Image.read(path, zeropoint={"image": "PHOTZP"})


@pytest.mark.parametrize("section", [Section(-1, 5, 0, 5), Section(0, 201, 0, 5), Section(5, 5, 0, 5)])
def test_sections_beyond_the_band_are_refused(sky, section):
    with pytest.raises(ImageError, match=r"band image: Section.* does not lie within its 200 x 150 pixels"):
        Image.read(sky).bands["image"].pixels(section)


def test_user_arrays_are_left_alone(sky):
    sky[3, 4] = np.nan
    before = sky.copy()
    sky.flags.writeable = False
    Image.read(sky).aligned()
    np.testing.assert_array_equal(sky, before)


def test_repr_says_what_it_is(sky):
    assert repr(Image.read({"r": sky}).bands["r"]) == "<Band r: 200 x 150 pixels of band r>"


def _starry(rng, gain):
    """Stars, the variance of the sky, and that of the light in each pixel, as the makers of maps take it from there."""
    rows, columns = np.mgrid[:300, :300]
    light = np.zeros((300, 300))
    for x, y in rng.uniform(10, 290, (25, 2)):
        light += 3000 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / 1.5**2)
    sky = np.where(columns < 150, 4.0, 5.0)
    pixels = 100 + light + rng.normal(0, 1, light.shape) * np.sqrt(sky**2 + light / gain)
    return pixels.astype(np.float32), sky**2, np.clip(pixels - 100, 0, None) / gain


@pytest.mark.parametrize("gain", [0.5, 5.0])
@pytest.mark.parametrize("kind", ["variance", "rms", "inverse_variance"])
def test_noise_of_sources_is_taken_out_of_a_weight_map(rng, caplog, gain, kind):
    pixels, sky, photons = _starry(rng, gain)
    noise = sky + photons
    maps = {"variance": noise, "rms": np.sqrt(noise), "inverse_variance": 1 / noise}
    caplog.set_level("INFO")
    band = Image.read(pixels, weight=maps[kind], weight_type=kind).bands["image"]
    assert band.gain == pytest.approx(gain, rel=0.1)
    assert "this weight map has the noise of sources, too" in caplog.text
    found = band.pixels().noise / np.sqrt(sky)
    assert np.median(found) == pytest.approx(1, abs=0.1)
    assert found[photons > sky].max() < 1.3, "it was up to six and more"
    given = Image.read(pixels, weight=maps[kind], weight_type=kind, gain=2.0).bands["image"]
    assert given.gain == 2.0
    np.testing.assert_array_equal(given.pixels().noise, band.pixels().noise)
    again = Mesh.from_arrays(band.mesh.to_arrays())
    assert again.photon == band.mesh.photon


def test_weight_maps_of_the_sky_stay(rng):
    pixels, sky, photons = _starry(rng, 5.0)
    around = sky + 30 * (photons > sky)  # as maps that doubt the surroundings of bright stars
    for variance in (sky, around):
        band = Image.read(pixels, weight=variance, weight_type="variance").bands["image"]
        assert band.mesh.photon == 0
        assert band.gain is None
        np.testing.assert_allclose(band.pixels().noise, np.sqrt(variance), rtol=1e-5)


def test_photons_in_a_weight_map_do_not_depend_on_the_unit(rng):
    pixels, sky, photons = _starry(rng, 5.0)
    bands = [
        Image.read(pixels * unit, weight=(sky + photons) * unit**2, weight_type="variance").bands["image"]
        for unit in (1.0, 2.0**-90)
    ]
    assert bands[1].unit < 1e-20
    assert bands[1].gain == pytest.approx(bands[0].gain * bands[1].unit / 2.0**-90, rel=1e-5)


def test_sources_laid_over_pixels_are_not_in_their_weight_map(rng):
    pixels, sky, photons = _starry(rng, 0.5)
    band = Image.read(pixels, weight=sky + photons, weight_type="variance").bands["image"]
    laid = np.zeros_like(pixels)
    laid[100:110, 200:210] = 2000
    lit = band.altered(lambda part, data: data + laid[part.slices])
    assert lit.gain == pytest.approx(band.gain)
    np.testing.assert_allclose(lit.pixels().noise, band.pixels().noise, rtol=0.02)


def test_noise_of_sources_is_seen_in_maps_of_images_on_another_scale(rng):
    pixels, sky, photons = _starry(rng, 5.0)
    header = fits.Header({"BOFFSET": 0.0, "BSOFTEN": 50.0})
    stretched = fits.ImageHDU(np.arcsinh(pixels / 100) / (0.4 * np.log(10)), header)
    band = Image.read(stretched, weight=sky + photons, weight_type="variance").bands["image"]
    assert band.gain == pytest.approx(5.0, rel=0.1)
    assert (band.pixels().noise / np.sqrt(sky))[photons > sky].max() < 1.3


def test_photons_in_the_map_of_a_small_image(rng) -> None:
    rows, columns = np.indices((160, 160))
    light = np.zeros(rows.shape)
    for x, y in rng.uniform(15, 145, (15, 2)):
        light += 400 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / 1.5**2)
    variance = 4 + light / 2.0
    image = Image.read(light + rng.normal(size=rows.shape) * np.sqrt(variance), weight=variance, weight_type="variance")
    assert image.bands["image"].gain == pytest.approx(2.0, rel=0.15)


def test_huge_noise_without_data_is_no_photon_noise(rng) -> None:
    """Some maps say so where there are no data, and the pixels there are 0, far above a sky of -50."""
    pixels = rng.normal(-50, 1, (400, 400)) + 5 * np.indices((400, 400))[0] / 400
    rms = np.ones(pixels.shape)
    pixels[:, :8], rms[:, :8] = 0, 1e15
    band = Image.read(pixels, weight=rms, weight_type="rms").bands["image"]
    assert band.gain is None
    assert np.median(band.pixels(Section(20, 380, 20, 380)).noise) == pytest.approx(1.0, rel=0.05)


def test_a_weight_that_is_nan_hides_no_photons(rng):
    pixels, sky, photons = _starry(rng, 5.0)
    weight = 1 / (sky + photons)
    weight[:, :10] = np.nan
    assert Image.read(pixels, weight=weight).bands["image"].gain == pytest.approx(5.0, rel=0.1)


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_negligible_weights_have_no_say_in_the_scale_of_a_map(rng, share):
    pixels, sky, photons = _starry(rng, 5.0)
    weight = 1 / (sky + photons)
    empty = np.s_[:, : int(share * pixels.shape[1])]
    pixels[empty], weight[empty] = 0, 1e-30
    band = Image.read(pixels, weight=weight).bands["image"]
    assert band.mesh.weight_factor == 1.0
    assert band.gain == pytest.approx(5.0, rel=0.15)
