"""Tests of astrogalaxy.detection.hollow."""

from __future__ import annotations

import numpy as np

from astrogalaxy.detection import Detections
from astrogalaxy.detection.hollow import doubted
from astrogalaxy.images import Aligned, Section


def believed(bad: np.ndarray, *, seeing: float = 4.0) -> list[float]:
    """What is left of p_galaxy = 0.99 for sources at (150, 130) and (190, 130), on bands that end at (240, 180)."""
    n = 2
    columns = {name: np.full(n, 0.5) for name in Detections.__dataclass_fields__}
    columns |= {"x": np.array([150.0, 190.0]), "y": np.full(n, 130.0), "p_galaxy": np.full(n, 0.99)}
    columns["p_star"] = 1 - columns["p_galaxy"]
    ny, nx = bad.shape[1:]
    aligned = Aligned(np.zeros(bad.shape, np.float32), bad, ("g", "r"), Section(240 - nx, 240, 180 - ny, 180))
    result = doubted(Detections(**columns), aligned, seeing)
    np.testing.assert_allclose(result.p_star + result.p_galaxy, 1)
    return result.p_galaxy.tolist()


def test_the_network_is_hardly_believed_where_a_core_has_no_data() -> None:
    bad = np.zeros((2, 100, 140), dtype=bool)
    assert believed(bad) == [0.99, 0.99]
    bad[1, :, 50] = True  # a column through the first, in one band
    assert believed(bad) == believed(bad, seeing=np.nan) == [0.6, 0.99]
    beside = np.roll(bad, 3, axis=2)
    assert believed(beside) == [0.99, 0.99]
    assert believed(beside, seeing=16.0) == [0.6, 0.99]


def test_where_a_band_ends_is_no_hole() -> None:
    bad = np.zeros((2, 100, 140), dtype=bool)
    bad[0, :, :50] = True
    assert believed(bad) == [0.99, 0.99]
    # nor where it ends beside the edge of the image
    bad[0], bad[1, :52] = False, True
    assert believed(bad[:, 48:]) == [0.99, 0.99]
