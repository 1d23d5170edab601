"""Tests of astrogalaxy.training.phosim."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from astrogalaxy.training import phosim
from astrogalaxy.training.phosim import simulated_field


def test_a_simulated_field() -> None:
    first, same, other = (simulated_field(160, isophote=0.5, faintest=10, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.snr, same.snr)
    assert first.sources.tobytes() == same.sources.tobytes()
    assert not np.array_equal(first.snr, other.snr)
    assert first.snr.shape == (3, 160, 160)
    # the sky has the noise that it is measured in
    assert np.median(np.abs(first.snr.astype(float))) / 0.6745 < 1.3
    sources = first.sources
    asked = sources[~sources["ignore"]]
    assert 3 < len(asked) < len(sources)
    assert set(asked["galaxy"]) == {0.0, 1.0}
    assert np.isnan(sources["disk"]).all()
    assert asked["snr"].min() >= 10
    # boxes hold light, and the more of it the larger they are
    light = first.snr.astype(float).sum(axis=0) / np.sqrt(3)
    for source in asked:
        x0, x1 = (int(np.clip(source["x"] + s * source["width"] / 2, 0, 159)) for s in (-1, 1))
        y0, y1 = (int(np.clip(source["y"] + s * source["height"] / 2, 0, 159)) for s in (-1, 1))
        assert light[y0 : y1 + 1, x0 : x1 + 1].mean() > 0.5
    area = asked["width"] * asked["height"]
    assert np.corrcoef(np.log(area), np.log(asked["snr"]))[0, 1] > 0.7


def test_what_is_too_faint_is_ignored() -> None:
    bright, faint = (simulated_field(128, isophote=0.5, faintest=f, seed=4).sources for f in (30, 5))
    assert len(bright) == len(faint)
    assert bright["ignore"].sum() > faint["ignore"].sum()
    lower, higher = (simulated_field(128, isophote=i, faintest=10, seed=4).sources for i in (0.3, 5.0))
    assert len(lower) > len(higher)
    brightest = [s[np.argmax(s["snr"])] for s in (lower, higher)]
    assert brightest[0]["width"] > brightest[1]["width"]


def test_bright_stars_do_not_bleed(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = phosim.draw_population

    def one_red_star(*args: object) -> Table:
        table = drawn(*args)
        table = table[table["class"] == "star"][:1]
        table["mag_r"], table["mag_z"] = 17.0, phosim.PROFILES[phosim.PROFILE].saturation - 3
        return table

    monkeypatch.setattr(phosim, "draw_population", one_red_star)
    (star,) = simulated_field(256, isophote=0.5, faintest=10, seed=2).sources
    assert star["width"] == pytest.approx(star["height"], rel=0.2)
