"""How far level and noise of the sky are off where pixels are coarse: few photons, or steps of digitising as wide as the noise.

Empty skies whose mean and scatter are known. Off by: level of the mesh, in units of the scatter of pixels. Noise: that of the mesh
over the scatter. Light: mean over its error of the total flux at positions where nothing is, and how much these scatter.
Then point sources of 30 to 3000 photons on skies of few: share of them that is found, share of what is found that is none of them,
and flux less truth over its error, mean and scatter.

    python tests/benchmarks/bench_sky_levels.py
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
from astropy.table import Table
from contest.record import table
from scipy.spatial import cKDTree

import astrogalaxy as ag

PHOTONS = (0.02, 0.1, 0.3, 1, 3, 5, 10, 30, 100, 400)
NOISES = (2.0, 1.0, 0.8, 0.6, 0.4, 0.3)
LEVELS = (50.0, 50.3, 50.5)
SPACING = 28
FEW, FWHM, APART = 10, 3.5, 40


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="side in pixels")
    parser.add_argument("--seed", type=int, default=2026)
    args = parser.parse_args()
    rng, shape = np.random.default_rng(args.seed), (args.size, args.size)
    rows = [look(f"{mean} electrons", rng.poisson(mean, shape), gain=1.0) for mean in PHOTONS]
    for noise, level in itertools.product(NOISES, LEVELS):
        rows.append(look(f"noise {noise} at {level} counts", np.rint(rng.normal(level, noise, shape))))
    print(table(rows))
    print(table([find(mean, rng, 2 * args.size) for mean in PHOTONS if mean <= FEW]))


def look(name: str, sky: np.ndarray, gain: float | None = None) -> dict[str, str]:
    """What is found in a sky."""
    image = ag.Image.read({"r": sky.astype(np.float32)}, gain=gain)
    x, y = (part.ravel() for part in np.meshgrid(*[np.arange(40.0, side - 40, SPACING) for side in sky.shape[::-1]]))
    found = ag.detect(image, positions=Table({"x": x, "y": y}))
    light, mesh = np.asarray(found["flux_r"] / found["flux_r_err"], dtype=float), image.bands["r"].mesh
    return {
        "sky": name,
        "off by": f"{(mesh.background_mesh.mean() - sky.mean()) / sky.std():+.2f}",
        "noise": f"{np.median(mesh.noise_mesh) / sky.std():.2f}",
        "light": f"{np.nanmean(light):+.2f} ± {np.nanstd(light) / np.sqrt(len(light)):.2f}",
        "scatter": f"{np.nanstd(light):.2f}",
    }


def find(mean: float, rng: np.random.Generator, size: int) -> dict[str, str]:
    """How sources come out on a sky of few photons."""
    x, y = (part.ravel() for part in np.meshgrid(*2 * [np.arange(30.0, size - 20, APART)]))
    x, y = (centre + rng.uniform(-5, 5, x.size) for centre in (x, y))
    photons = np.exp(rng.uniform(np.log(30), np.log(3000), x.size))
    light, sigma = np.full((size, size), float(mean)), FWHM / 2.3548
    for column, row, flux in zip(x, y, photons, strict=True):
        part = tuple(slice(round(centre) - 15, round(centre) + 16) for centre in (row, column))
        rows, columns = np.mgrid[part]
        light[part] += (
            flux * np.exp(-((columns - column) ** 2 + (rows - row) ** 2) / 2 / sigma**2) / (2 * np.pi * sigma**2)
        )
    found = ag.detect(ag.Image.read({"r": rng.poisson(light).astype(np.float32)}, gain=1.0))
    distance, nearest = cKDTree(np.stack([found["x"], found["y"]], axis=1)).query(np.stack([x, y], axis=1))
    real = distance < FWHM / 2
    flux, error = (np.asarray(found[name], dtype=float)[nearest[real]] for name in ("flux_r", "flux_r_err"))
    pulls = (flux - photons[real]) / error
    return {
        "sky": f"{mean} electrons",
        "found": f"{real.mean():.3f}",
        "not real": f"{1 - len(np.unique(nearest[real])) / len(found):.3f}",
        "flux": f"{np.nanmean(pulls):+.2f} ± {np.nanstd(pulls) / np.sqrt(len(pulls)):.2f}",
        "scatter": f"{np.nanstd(pulls):.2f}",
    }


if __name__ == "__main__":
    main()
