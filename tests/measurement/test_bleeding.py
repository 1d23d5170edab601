"""Light of sources beside a trail that bleeds from a saturated star."""

from __future__ import annotations

import numpy as np

import astrogalaxy as ag
from astrogalaxy.catalog import has_flags

LIMIT, SIDE, FLUX = 6e4, 400, 6e4
BETA, FWHM = 3.2, 3.3


def test_a_trail_in_the_aperture_is_not_the_light_of_a_source() -> None:
    rng = np.random.default_rng(4)
    y, x = np.indices((SIDE, SIDE))
    lattice = [(a, b) for a in range(30, SIDE - 20, 45) for b in range(30, SIDE - 20, 45) if abs(a - 200) > 50]
    stars = [(a + rng.uniform(-3, 3), b + rng.uniform(-3, 3), 10 ** rng.uniform(4, 5.3)) for a, b in lattice]
    beside = [(202.0, 267.0, FLUX), (209.0, 230.0, FLUX)]
    frame, alpha = np.full((SIDE, SIDE), 200.0), FWHM / 2 / np.sqrt(2 ** (1 / BETA) - 1)
    for star_x, star_y, flux in (*stars, *beside, (200.0, 200.0, 2e7)):
        square = (x - star_x) ** 2 + (y - star_y) ** 2
        frame += flux * (BETA - 1) / (np.pi * alpha**2) * (1 + square / alpha**2) ** -BETA
    frame = np.minimum(rng.poisson(frame), LIMIT)
    frame[142:259, 198:203] = LIMIT
    image = ag.Image.read({"r": frame.astype(np.float32)}, saturation=LIMIT, gain=1.0)
    catalog = ag.detect(image)
    rows = [np.hypot(catalog["x"] - a, catalog["y"] - b).argmin() for a, b, _ in (*beside, (200.0, 200.0, 0))]
    two = catalog[rows[:2]]
    assert np.all(np.hypot(two["x"] - [a for a, _, _ in beside], two["y"] - [b for _, b, _ in beside]) < 1)
    assert np.all(np.abs(two["flux_r"] / FLUX - 1) < 0.3)
    assert has_flags(two["flags_r"], "masked").all()
    assert not has_flags(two["flags_r"], "saturated").any()
    assert has_flags(catalog["flags_r"][rows[2:]], "saturated").all()
