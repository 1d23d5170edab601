"""How much of the light of a galaxy is measured, by its profile and size, against SEP on the same pixels.

Galaxies of one Sersic profile and size in a field of their own, far from each other, on even sky with the seeing of SDSS; measured at
their true places in the boxes that the detector is trained to give. Light is the median of measured over true, all of it, however far
out, with its standard error; pull is the median of measured less true over the error given. Half-light radius and FWHM are medians over those
of the profile in this seeing, without noise: of the circle with half of all light, and of the area above half of the peak. SEP's is Kron's (factor 2.5, least
radius 3.5) on the same pixels, of what it finds nearest to each place.

    python tests/benchmarks/bench_profiles.py
"""

from __future__ import annotations

import argparse
import itertools

import galsim
import numpy as np
import sep
from contest.record import table

from astrogalaxy import Image
from astrogalaxy.measurement import Sources, measure

SCALE, FWHM, SKY = 0.396, 1.2, 1.0
INDICES, RADII, BRIGHT = (1.0, 2.5, 4.0), (1.0, 2.0, 4.0), (30.0, 100.0)
# A lattice of galaxies: pixels between them, and how many along a side.
STEP, SIDE = 260, 5
AXES = (0.5, 0.95)
# The FWHM is found on pixels of this part of the image's.
FINER = 6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    kinds = itertools.product(INDICES, RADII, BRIGHT)
    print(table([look(*kind, seed=args.seed * 1000 + number) for number, kind in enumerate(kinds)]))


def look(index: float, radius: float, bright: float, *, seed: int) -> dict[str, object]:
    """A row of the table: galaxies of one profile (half-light radius in arcsec) and signal to noise of a matched filter."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(0, SKY, (SIDE * STEP, SIDE * STEP)).astype(np.float32)
    grid = (np.arange(SIDE) + 0.5) * STEP
    x, y = (part.ravel() + rng.uniform(-0.5, 0.5, SIDE**2) for part in np.meshgrid(grid, grid))
    light, half, width = (np.empty(len(x)) for _ in range(3))
    psf = galsim.Moffat(beta=3.5, fwhm=FWHM)
    for number, (column, row) in enumerate(zip(x, y, strict=True)):
        profile = galsim.Sersic(index, half_light_radius=radius).shear(
            q=rng.uniform(*AXES), beta=rng.uniform(0, np.pi) * galsim.radians
        )
        seen = galsim.Convolve(profile, psf)
        stamp = seen.drawImage(nx=STEP, ny=STEP, scale=SCALE, center=(column % STEP + 1, row % STEP + 1))
        half[number], width[number] = sizes(seen, stamp.array, column % STEP, row % STEP)
        light[number] = bright * SKY / np.sqrt(np.sum(np.square(stamp.array)))
        corner = int(row) // STEP * STEP, int(column) // STEP * STEP
        pixels[corner[0] : corner[0] + STEP, corner[1] : corner[1] + STEP] += light[number] * stamp.array
    image = Image.read({"r": pixels})
    box = 2 * np.hypot(radius, FWHM / 2.355) / SCALE * 2.0
    found = measure(image, Sources.around(x, y, side=box), pixel_scale=SCALE)
    shares = found["flux_r"] / light
    return {
        "n": index, "half-light radius, arcsec": radius, "signal to noise": bright,
        "light": f"{np.median(shares):.3f} +- {1.25 * shares.std() / np.sqrt(len(shares)):.3f}",
        "pull": round(float(np.median((found["flux_r"] - light) / found["flux_r_err"])), 1),
        "half-light radius": f"{np.median(found['half_light_radius'] / half):.2f}",
        "FWHM": f"{np.median(found['fwhm'] / width):.2f}",
        "SEP": f"{np.nanmedian(kron(image, x, y) / light):.3f}",
    }  # fmt: skip


def sizes(seen: galsim.GSObject, stamp: np.ndarray, x: float, y: float) -> tuple[float, float]:
    """Radius of the circle with half of all light, and FWHM by the area above half of the peak, arcsec."""
    rows, columns = np.indices(stamp.shape)
    distance = np.hypot(columns - x, rows - y).ravel()
    order = np.argsort(distance)
    half = SCALE * distance[order][np.searchsorted(np.cumsum(stamp.ravel()[order]), 0.5)]
    fine = seen.drawImage(nx=101, ny=101, scale=SCALE / FINER, method="no_pixel").array
    return half, 2 * SCALE / FINER * np.sqrt(np.sum(fine > fine.max() / 2) / np.pi)


def kron(image: Image, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """SEP's Kron fluxes of what it finds nearest to each place; NaN where it finds nothing."""
    pixels = image.bands["r"].pixels()
    found = sep.extract(pixels.data, 1.5, err=pixels.noise)
    result = np.full(len(x), np.nan)
    for number, (column, row) in enumerate(zip(x, y, strict=True)):
        near = found[np.hypot(found["x"] - column, found["y"] - row) < 5]
        if len(near):
            one = near[np.argmax(near["flux"])]
            place = [[one[name]] for name in ("x", "y", "a", "b", "theta")]
            radius, _ = sep.kron_radius(pixels.data, *place, 6.0)
            result[number] = sep.sum_ellipse(pixels.data, *place, np.maximum(2.5 * radius, 3.5))[0][0]
    return result


if __name__ == "__main__":
    main()
