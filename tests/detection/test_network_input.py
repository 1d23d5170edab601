"""Tests of astrogalaxy.detection.inputs."""

from __future__ import annotations

import numpy as np
import pytest

from astrogalaxy.detection.inputs import STRETCH, map_bands, network_input, seeing_level


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("n_bands", range(1, 8))
def test_unit_noise_stays_unit_noise(n_bands: int, channels: int) -> None:
    sky = np.random.default_rng(n_bands).standard_normal((n_bands, 150, 150), dtype=np.float32)
    mapped = map_bands(sky, channels)
    assert mapped.shape == (channels, 150, 150)
    assert mapped.dtype == np.float32
    np.testing.assert_allclose(mapped.std(axis=(1, 2)), 1, atol=0.02)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("n_bands", range(1, 8))
def test_the_order_of_wavelengths_is_kept_and_no_band_is_lost(n_bands: int, channels: int) -> None:
    each = np.eye(n_bands, dtype=np.float32)[:, :, None]  # band i shines in row i alone
    shares = map_bands(each, channels)[..., 0] > 0  # (channels, bands)
    assert shares.any(axis=0).all(), "every band is somewhere"
    centres = (shares * np.arange(n_bands)).sum(1) / shares.sum(1)
    assert (np.diff(centres) >= 0).all()
    for row in shares:
        used = np.nonzero(row)[0]
        assert len(used) == used[-1] - used[0] + 1, "neighbouring bands"
    np.testing.assert_array_equal(shares, shares[::-1, ::-1], err_msg="blue and red are treated alike")


def test_known_maps() -> None:
    g, r, i = np.float32([10.0]), np.float32([20.0]), np.float32([30.0])
    one, two, three = (np.stack(bands)[:, :, None] for bands in ([g], [g, i], [g, r, i]))
    assert map_bands(one, 3).ravel().tolist() == [10, 10, 10]
    assert map_bands(two, 3).ravel().tolist() == pytest.approx([10, 40 / np.sqrt(2), 30])
    assert map_bands(three, 3).ravel().tolist() == [10, 20, 30]
    six = np.arange(6, dtype=np.float32)[:, None, None]
    assert map_bands(six, 3).ravel().tolist() == pytest.approx(np.array([1, 5, 9]) / np.sqrt(2))


def test_the_stretch_leaves_its_input_alone() -> None:
    snr = np.linspace(-50, 5000, 27, dtype=np.float32).reshape(3, 3, 3)
    before = snr.copy()
    seen = network_input(snr, 3)
    np.testing.assert_array_equal(snr, before)
    np.testing.assert_allclose(seen, np.arcsinh(before / STRETCH), rtol=1e-6)
    assert seen.flags.c_contiguous
    assert seen.dtype == np.float32


@pytest.mark.parametrize(("shape", "padded"), [((32, 48), (32, 48)), ((33, 47), (48, 48)), ((1, 1), (16, 16))])
def test_padding_mirrors_the_noise_at_the_far_edges(shape: tuple[int, int], padded: tuple[int, int]) -> None:
    snr = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    result = network_input(snr, 3, seeing=9.0, multiple=16)
    assert result.shape == (4, *padded)
    assert result.flags.c_contiguous
    inner = network_input(snr, 3, seeing=9.0)
    np.testing.assert_array_equal(result[:, : shape[0], : shape[1]], inner)
    # numpy's own padding, with what stands out of the noise cut off
    widths = [(0, 0), *((0, more - less) for less, more in zip(shape, padded, strict=True))]
    mirrored = np.pad(np.clip(snr, -1, 1), widths, mode="symmetric")
    outside = np.pad(np.zeros(snr.shape, bool), widths, constant_values=True)
    np.testing.assert_allclose(result[:3][outside], np.arcsinh(mirrored / STRETCH)[outside], rtol=1e-6)
    assert np.ptp(result[3]) == 0


def test_padding_shows_no_light() -> None:
    snr = np.zeros((3, 17, 16), dtype=np.float32)
    snr[:, 15:] = 500.0
    padding = network_input(snr, 3, multiple=16)[:, 17:]
    assert padding.max() == pytest.approx(np.arcsinh(1 / STRETCH))


def test_the_seeing_has_a_channel_of_its_own() -> None:
    snr = np.random.default_rng(0).normal(0, 5, (3, 8, 12)).astype(np.float32)
    plain, told, untold = network_input(snr, 3), network_input(snr, 3, seeing=9.0), network_input(snr, 3, seeing=np.nan)
    assert told.shape == untold.shape == (4, 8, 12)
    np.testing.assert_array_equal(told[:3], plain)
    assert np.ptp(told[3]) == 0
    assert told[3, 0, 0] == pytest.approx(seeing_level(9.0))
    assert told[3, 0, 0] > 0 == untold[3, 0, 0]
    assert seeing_level(2.5) < 0, "sharp images lie on the other side of the unknown"
    assert snr.shape == (3, 8, 12)
