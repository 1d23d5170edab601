"""How well large galaxies are found whole, against SEP in the same run, on real ones whose light is known.

Galaxies of the Galaxy Zoo 2 sample that nothing was trained on are cut out of their pictures, brought to a chosen half-light radius, and
laid into a simulated field. Rows are those that the galaxy adds within the circle of two half-light radii: one is right. The light is that of the new row with
most of it, over the galaxy's. SEP is given the reference band (1.5 sigma, its usual deblending, boxes of 64 and of 256 pixels), and measures in
Kron apertures of 2.5 radii as SExtractor's FLUX_AUTO does.

    python tests/benchmarks/bench_large_galaxies.py --data DATA
    python tests/benchmarks/bench_large_galaxies.py --data DATA --model astroyolo-fine
"""

from __future__ import annotations

import argparse

import numpy as np
import sep
from contest.data import add_data
from contest.record import table
from scipy import ndimage
from scipy.spatial import cKDTree

import astrogalaxy as ag
from astrogalaxy.datasets.galaxyzoo import cutout_light, read_galaxy_zoo
from astrogalaxy.datasets.splits import part_of
from astrogalaxy.simulation import PROFILES, Scene, simulate_scene

BANDS, REFERENCE = "gri", "r"
RADII, SIDE, SEED = (8, 16, 32, 64), 1280, 5
# Of the brightest pixel, in units of the noise; the width that blurs what is magnified, pixels.
PEAK, BLUR = 60.0, 1.4
# Width of a cutout's rim, pixels, and how bright it is at most, of the brightest pixel.
RIM, FADED = 3, 0.01
# Distance within which a row was there before, pixels.
SAME = 2.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser, "gz2/")
    parser.add_argument("--galaxies", type=int, default=24, help="so many of the sample, evenly spread")
    parser.add_argument("--model", default="default")
    args = parser.parse_args()
    cutouts = read_galaxy_zoo(args.data / "gz2")
    sample = sorted((one for one in cutouts if part_of(one.name) == "test"), key=lambda one: one.name)
    whole = [cutout for cutout in sample if ends_in_sky(cutout_light(cutout.path)[1])]
    chosen = whole[:: max(len(whole) // args.galaxies, 1)][: args.galaxies]
    scene = simulate_scene(PROFILES["sdss"], size=SIDE, seed=SEED, artefacts=False, dither=0.0)
    finders = {
        args.model: lambda pixels: ours(pixels, scene, args.model),
        "SEP": lambda pixels: theirs(pixels[REFERENCE], 64),
        "SEP, boxes of 256": lambda pixels: theirs(pixels[REFERENCE], 256),
    }
    empty = {name: find(dict(scene.images)) for name, find in finders.items()}
    rows = []
    for radius in RADII:
        fields = [laid(scene, cutout_light(cutout.path), radius) for cutout in chosen]
        for name, find in finders.items():
            seen = [look(find(pixels), empty[name], radius, light) for pixels, light in fields]
            rows.append(summed(radius, name, *np.transpose(seen)))
    print(table(rows))


def ends_in_sky(plane: np.ndarray) -> bool:
    """Whether a galaxy fades away before its cutout ends, so that magnified it has no edge."""
    lit = plane > 0
    rim = lit & ~ndimage.binary_erosion(lit, iterations=RIM)
    return bool(np.median(plane[rim]) < FADED * plane.max() and plane.max() > 0)


def laid(scene: Scene, light: np.ndarray, radius: float) -> tuple[dict[str, np.ndarray], float]:
    """The field with a galaxy of a half-light radius in its middle, and the galaxy's light in the reference band."""
    zoom = radius / half_light(light[1])
    galaxy = ndimage.zoom(light, (1, zoom, zoom), order=1)
    galaxy = ndimage.gaussian_filter(galaxy, (0, BLUR, BLUR))
    galaxy *= PEAK / galaxy.max()
    centre = ndimage.center_of_mass(galaxy.sum(axis=0))
    y0, x0 = (round(SIDE / 2 - at) for at in centre)
    pixels, total = {}, 0.0
    for number, band in enumerate(BANDS):
        pixels[band] = scene.images[band].copy()
        noise = 1.4826 * np.median(np.abs(pixels[band] - np.median(pixels[band])))
        rows, columns = (slice(max(start, 0), start + n) for start, n in zip((y0, x0), galaxy.shape[1:], strict=True))
        part = galaxy[number, rows.start - y0 :, columns.start - x0 :][: SIDE - rows.start, : SIDE - columns.start]
        pixels[band][rows, columns] += part * noise
        if band == REFERENCE:
            total = float(part.sum() * noise)
    return pixels, total


def half_light(plane: np.ndarray) -> float:
    """Radius around the middle of the light that holds half of it, pixels."""
    y, x = ndimage.center_of_mass(plane)
    rows, columns = np.indices(plane.shape)
    distance = np.hypot(rows - y, columns - x).ravel()
    order = np.argsort(distance)
    inside = np.cumsum(plane.ravel()[order])
    return float(distance[order][np.searchsorted(inside, inside[-1] / 2)])


def ours(pixels: dict[str, np.ndarray], scene: Scene, model: str) -> np.ndarray:
    """x, y and light in the reference band, in units of the image."""
    image = ag.Image.read({band: (pixels[band], scene.wcs[band]) for band in BANDS}, reference=REFERENCE)
    found = ag.detect(image, model=model)
    return np.array([found["x"], found["y"], found[f"flux_{REFERENCE}"]], dtype=float)


def theirs(pixels: np.ndarray, box: int) -> np.ndarray:
    """The same by SEP."""
    sky = sep.Background(pixels, bw=box, bh=box)
    light = np.ascontiguousarray(pixels - sky.back())
    found = sep.extract(light, 1.5, err=sky.globalrms)
    shape = (found["x"], found["y"], found["a"], found["b"], found["theta"])
    kron, _ = sep.kron_radius(light, *shape, 6.0)
    flux, _, _ = sep.sum_ellipse(light, *shape, 2.5 * np.fmax(kron, 1.4))
    return np.array([found["x"], found["y"], flux])


def look(found: np.ndarray, before: np.ndarray, radius: float, light: float) -> tuple[float, float]:
    """New rows within two radii of the middle, and the light of the brightest of them."""
    near = np.hypot(found[0] - SIDE / 2, found[1] - SIDE / 2) < 2 * radius
    distance, _ = cKDTree(before[:2].T).query(found[:2].T)
    new = near & (distance > SAME)
    return float(new.sum()), float(found[2, new].max() / light) if new.any() else np.nan


def summed(radius: float, name: str, new: np.ndarray, light: np.ndarray) -> dict[str, object]:
    """A row of the table."""
    low, middle, high = np.nanpercentile(light, [16, 50, 84])
    return {
        "half-light radius": f"{radius:.0f} px", "finder": name, "rows": f"{new.mean():.1f}",
        "one row": f"{(new == 1).sum()} of {len(new)}", "light": f"{middle:.2f} ({low:.2f} to {high:.2f})",
    }  # fmt: skip


if __name__ == "__main__":
    main()
