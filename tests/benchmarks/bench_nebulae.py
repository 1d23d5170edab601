"""Sources in and beside a nebula: completeness, and detections that are no source, beside SExtractor on the same image.

Scenes like SDSS, over part of which lies a cloud with structure on all scales (a power law, as interstellar clouds have), with the
noise of its photons. The strength of a cloud is its median in its centre, in units of the noise of a pixel of the sky. SExtractor has its
default threshold and filter; the noise of both programs is their own.

    python tests/benchmarks/bench_nebulae.py
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits
from contest.programs import sextract, sextractor
from contest.record import table
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

import astrogalaxy as ag
from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.images.background import make_mesh
from astrogalaxy.simulation import PROFILES, Scene, draw_conditions, simulate_scene

SURVEY, BAND = "sdss", "r"
STRENGTHS = (0.0, 3.0, 10.0, 30.0)
#: Sources that count, by their signal to noise without the cloud; a match is so near, pixels.
CLEAR, NEAR = 15.0, 2.5


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--size", type=int, default=1200, help="side in pixels")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=2026)
    args = parser.parse_args()
    if sextractor() is None:
        print("SExtractor: not installed (Debian: source-extractor)")
    scenes = [clear_scene(args.size, seed) for seed in np.random.SeedSequence(args.seed).spawn(args.scenes)]
    rows = []
    for strength in STRENGTHS:
        found: dict[str, list[tuple[int, ...]]] = {}
        for number, scene in enumerate(scenes):
            image, inside = clouded(scene, strength, np.random.default_rng([args.seed, number]))
            finders = {"astrogalaxy": lambda image=image: ours(image, args.model)}
            if sextractor() is not None:
                finders["SExtractor"] = lambda image=image, scene=scene: theirs(image, scene)
            for name, finder in finders.items():
                found.setdefault(name, []).append(counted(*finder(), scene, inside))
        for name, counts in found.items():
            hit_in, n_in, hit_out, n_out, false = np.sum(counts, axis=0)
            rows.append({
                "strength": strength, "program": name, "found in the cloud": f"{hit_in / n_in:.2f} of {n_in}",
                "beside it": f"{hit_out / n_out:.2f} of {n_out}", "false": false,
            })  # fmt: skip
    print(table(rows))


def clear_scene(size: int, seed: np.random.SeedSequence) -> Scene:
    """A scene without artefacts and large galaxies."""
    profile = PROFILES[SURVEY]
    conditions = replace(draw_conditions(profile, np.random.default_rng(seed)), nearby=0.0, pairs=0.0)
    return simulate_scene(profile, size=size, seed=seed.spawn(1)[0], conditions=conditions, artefacts=False)


def clouded(scene: Scene, strength: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The image of a scene under a cloud, and which pixels are in it."""
    image = np.array(scene.images[BAND], dtype=float)
    ny, nx = image.shape
    wave = np.hypot(*np.meshgrid(np.fft.fftfreq(nx), np.fft.fftfreq(ny)))
    wave[0, 0] = np.inf
    structure = np.fft.ifft2(np.fft.fft2(rng.normal(size=image.shape)) * wave**-1.5).real
    rows, columns = np.indices(image.shape)
    envelope = np.exp(-((columns - nx / 3) ** 2 + (rows - ny / 2) ** 2) / (2 * (0.17 * nx) ** 2))
    noise = float(np.median(make_mesh(lambda part: (image[part.slices].astype("f4"), None), image.shape).noise_mesh))
    cloud = strength * noise * envelope * np.exp(0.7 * structure / structure.std())
    cloud = gaussian_filter(cloud, scene.conditions.seeing[BAND] / scene.profile.pixel_scale / FWHM_PER_SIGMA)
    photons = rng.normal(size=image.shape) * np.sqrt(cloud / scene.profile.gain)
    return image + cloud + photons, envelope > 0.1


def ours(image: np.ndarray, model: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions."""
    catalog = ag.detect(ag.Image.read({BAND: image}), model=model)
    return np.asarray(catalog["x"]), np.asarray(catalog["y"])


def theirs(image: np.ndarray, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Positions."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fits.writeto(folder / "image.fits", image.astype("f4"))
        options = {"SEEING_FWHM": scene.conditions.seeing[BAND], "PIXEL_SCALE": scene.profile.pixel_scale}
        sextract(folder, "image.fits", parameters=["XWIN_IMAGE", "YWIN_IMAGE"], options=options)
        rows = fits.getdata(folder / "out.fits")
        return rows["XWIN_IMAGE"] - 1.0, rows["YWIN_IMAGE"] - 1.0


def counted(x: np.ndarray, y: np.ndarray, scene: Scene, inside: np.ndarray) -> tuple[int, ...]:
    """Clear sources found, and all of them, in the cloud and beside it; and detections near no source at all."""
    truth = scene.truth
    places, rows = np.column_stack([truth["x"], truth["y"]]), np.column_stack([x, y])
    hit = cKDTree(rows).query(places)[0] < NEAR
    clear = np.asarray(truth["snr"]) >= CLEAR
    clear &= (places > 10).all(axis=1) & (places < np.array(inside.shape[::-1]) - 10).all(axis=1)
    column, row = np.clip(np.rint(places).astype(int), 0, np.array(inside.shape[::-1]) - 1).T
    within = inside[row, column]
    false = int(np.sum(cKDTree(places).query(rows)[0] > 2 * NEAR))
    sums = [np.sum(part) for part in (hit & clear & within, clear & within, hit & clear & ~within, clear & ~within)]
    return (*map(int, sums), false)


if __name__ == "__main__":
    main()
