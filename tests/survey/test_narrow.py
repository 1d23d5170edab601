"""Hot pixels among the sources: they are flagged, and stars are not."""

from __future__ import annotations

import numpy as np

import astrogalaxy as ag
from astrogalaxy.catalog import has_flags
from astrogalaxy.images import Image


def test_what_is_sharper_than_stars_is_flagged_and_unsure() -> None:
    rng = np.random.default_rng(6)
    rows, columns = np.indices((600, 600))
    x, y = (
        part.ravel() + rng.uniform(-5, 5, 100)
        for part in np.meshgrid(np.linspace(30, 570, 10), np.linspace(30, 570, 10))
    )
    light = 10 ** rng.uniform(2.3, 4.5, 100)
    image = rng.normal(size=rows.shape)
    for a, b, flux in zip(x, y, light, strict=True):
        image += flux / (2 * np.pi * 1.2**2) * np.exp(-((columns - a) ** 2 + (rows - b) ** 2) / (2 * 1.2**2))
    hot = rng.integers(10, 590, (150, 2))
    hot = hot[np.hypot(hot[:, [0]] - y, hot[:, [1]] - x).min(axis=1) > 12]
    image[*hot.T] += 10 ** rng.uniform(2, 3.5, len(hot))
    catalog = ag.detect(Image.read({"r": image}))
    narrow = has_flags(catalog["flags"], "narrow")
    places = np.column_stack([catalog["x"], catalog["y"]])
    is_hot = np.hypot(*(places[:, None, :] - hot[None, :, ::-1]).T).min(axis=0) < 1.5
    clear = np.asarray(catalog["snr"]) > 10
    assert (is_hot & clear).sum() > 10, "the network takes some of them for sources"
    assert narrow[is_hot & clear].mean() > 0.95
    assert not narrow[~is_hot].any() and (~is_hot).sum() > 80
    assert set(catalog["class"][narrow]) == {"unsure"}
