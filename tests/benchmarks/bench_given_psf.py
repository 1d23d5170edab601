"""What a point spread that is given is worth: PSF fluxes, spreads and classes, where a field shows stars and where it has none.

Scenes like those of four surveys, many of which have few stars. The point spread is that of the field's own stars, or given: as an
image of the true one, and as the model that PSFEx (with SExtractor, if they are installed) has made of another field of the same
night, full of stars. By how many stars of a scene have a signal to noise of 25: of stars and galaxies with a signal to noise of 10
to 100 and no neighbour near, in the reference band, which share of the stars has a PSF flux, its median error and the scatter of these
errors where noise is small, the scatter of what is left in units of the errors; the median spread of stars, and its scatter in units of its
errors; and how many stars and galaxies are called what they are.

    python tests/benchmarks/bench_given_psf.py
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import galsim
import numpy as np
from astropy.io import fits
from astropy.table import Table, vstack
from bench_seeing import CLEAR_SNR, SURVEYS
from contest.programs import psf_model, psfex
from contest.record import table
from scipy.spatial import cKDTree

import astrogalaxy as ag
from astrogalaxy.gaussian import median_and_scatter
from astrogalaxy.simulation import PROFILES, Scene, draw_conditions, simulate_scene, vary
from astrogalaxy.simulation.render import point_spread

#: Groups by the number of clear stars; the least distance to the next source, in FWHM; and the stamps' half side, likewise.
STARS = (0, 4, 12, 10**6)
APART, REACH = 3.0, 10.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--size", type=int, default=512, help="side in pixels")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=2026)
    args = parser.parse_args()
    found = []
    for scene, rich in scenes(args.scenes, args.size, args.seed):
        with tempfile.TemporaryDirectory() as folder:
            for name, psf in point_spreads(scene, rich, Path(folder)).items():
                found.append(measured(scene, psf, args.model))
                found[-1]["psf"] = name
    found = vstack(found)
    rows = []
    for low, high in itertools.pairwise(STARS):
        group = found[(found["stars"] >= low) & (found["stars"] < high)]
        for name in dict.fromkeys(found["psf"]):
            mine = group[group["psf"] == name]
            if len(mine):
                label = f"{low} to {high - 1}" if high < STARS[-1] else f"{low} or more"
                rows.append({"clear stars": label, "point spread": name, **summed(mine)})
    print(table(rows))


def scenes(n: int, size: int, seed: int) -> Iterator[tuple[Scene, Scene]]:
    """Scenes with few stars and many, and for each another one of the same night that is full of stars."""
    for one in np.random.SeedSequence(seed).spawn(n):
        rng = np.random.default_rng(one)
        profile = vary(PROFILES[rng.choice(list(SURVEYS), p=list(SURVEYS.values()))], rng)
        alone = {"pairs": 0.0, "nearby": 0.0, "halo": 0.0, "spikes": 0.0}
        conditions = replace(draw_conditions(profile, rng), crowding=10 ** rng.uniform(-1.3, 1.0), **alone)
        night = replace(conditions, crowding=15.0, clustering=0.3)
        made = [
            simulate_scene(profile, size=size, seed=seed, conditions=those, artefacts=False)
            for seed, those in zip(one.spawn(2), (conditions, night), strict=True)
        ]
        yield made[0], made[1]


def point_spreads(scene: Scene, rich: Scene, folder: Path) -> dict[str, object]:
    """Those that are compared, by what they are called."""
    found = {"own stars": None, "given, image": true_psf(scene)}
    if psfex():
        found["given, PSFEx"] = {band: model_of(rich, band, folder / band) for band in rich.images}
    return found


def true_psf(scene: Scene) -> dict[str, np.ndarray]:
    """Images of the true one, by band."""
    scale, drawn = scene.profile.pixel_scale, {}
    for band, fwhm in scene.conditions.seeing.items():
        seen = galsim.Convolve(point_spread(scene.conditions, band, accurate=True), galsim.Pixel(scale))
        side = 2 * int(REACH * fwhm / scale) + 1
        drawn[band] = seen.drawImage(nx=side, ny=side, scale=scale, method="no_pixel").array
    return drawn


def model_of(scene: Scene, band: str, folder: Path) -> Path:
    """What PSFEx makes of the stars of a scene."""
    folder.mkdir()
    fwhm = scene.conditions.seeing[band] / scene.profile.pixel_scale
    fits.writeto(folder / "image.fits", np.asarray(scene.images[band], dtype=np.float32))
    return folder / psf_model(folder, "image.fits", options={"DETECT_THRESH": 5, "SATUR_LEVEL": 1e9}, fwhm=fwhm)


def measured(scene: Scene, psf: object, model: str) -> Table:
    """Sources of a scene, with what is true."""
    bands = {band: (scene.images[band], scene.wcs[band]) for band in scene.images}
    image = ag.Image.read(bands, zeropoint=scene.profile.zeropoint, psf=psf)
    catalog, truth, band = ag.detect(image, model=model), scene.truth, scene.reference
    fwhm = scene.conditions.seeing[band] / scene.profile.pixel_scale
    tree = cKDTree(np.column_stack([truth["x"], truth["y"]]))
    alone = tree.query(tree.data, k=2)[0][:, 1] > APART * fwhm
    distance, row = cKDTree(np.column_stack([catalog["x"], catalog["y"]])).query(tree.data)
    used = alone & (distance < 0.5 * fwhm) & (truth["snr"] > 10) & (truth["snr"] < 100)
    mine, true = catalog[row[used]], truth[used]
    flux = 10 ** (0.4 * (31.4 - np.asarray(true[f"mag_{band}"], float)))
    columns = {"flux": mine[f"flux_psf_{band}"] / flux, "error": mine[f"flux_psf_{band}_err"] / flux}
    columns |= {name: mine[name] for name in ("spread", "spread_err", "class")} | {
        "truth": true["class"],
        "snr": true["snr"],
    }
    clear = int(np.sum((truth["class"] == "star") & (truth["snr"] >= CLEAR_SNR)))
    return Table({name: np.asarray(values) for name, values in columns.items()} | {"stars": np.full(len(mine), clear)})


def summed(mine: Table) -> dict[str, object]:
    """One row of the table."""
    star = mine["truth"] == "star"
    stars, galaxies = mine[star], mine[~star]
    known = stars[np.isfinite(stars["flux"])]
    bright = known[known["snr"] > 30]
    row = {"stars": len(stars), "galaxies": len(galaxies), "PSF flux": f"{100 * len(known) / max(len(stars), 1):.0f} %"}
    bias, scatter = (100 * part for part in median_and_scatter(bright["flux"] - 1)) if len(bright) else (np.nan,) * 2
    pull = median_and_scatter((known["flux"] - 1) / known["error"])[1] if len(known) else np.nan
    row |= {"median error": f"{bias:+.1f} %", "scatter": f"{scatter:.1f} %", "in errors": f"{pull:.2f}"}
    spread = stars[np.isfinite(stars["spread"])]
    middle = float(np.median(spread["spread"])) if len(spread) else np.nan
    pull = median_and_scatter(spread["spread"] / spread["spread_err"])[1] if len(spread) else np.nan
    row |= {"spread of stars": f"{middle:+.3f}", "its scatter in errors": f"{pull:.2f}"}
    for name, those in (("star", stars), ("galaxy", galaxies)):
        right = np.mean(those["class"] == name) if len(those) else np.nan
        row[f"{name} right"] = f"{100 * right:.1f} %"
    return row


if __name__ == "__main__":
    main()
