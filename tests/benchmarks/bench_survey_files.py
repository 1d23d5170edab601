"""What the files of `astrogalaxy init` make of simulated fields that are laid out as the surveys' own, compared with the truth.

Each field has the pixels, seeing, depth and bands of its survey, and is written as the survey writes its files: units, extensions,
masks, kind of weights. Noise is correlated where the survey resamples its images. The survey's file is run as it is. Of what can
be seen (five sigma, matched filter, all bands): which share is found, which share of what is found is there; the fluxes of
single bright stars in each band, less the truth; and the classes, from a signal to noise of 10.

    python tests/benchmarks/bench_survey_files.py
    python tests/benchmarks/bench_survey_files.py euclid hst --model astroyolo-fine
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from contest.record import table
from scipy import ndimage
from scipy.spatial import cKDTree

import astrogalaxy as ag
from astrogalaxy.catalog.flags import has_flags
from astrogalaxy.config import commented_yaml
from astrogalaxy.simulation import Scene, SurveyProfile, draw_conditions, simulate_scene

sys.path.append(str(Path(__file__).resolve().parents[1] / "layouts"))
from survey_layouts import EMPTY, LAYOUTS, Part, factor

#: What is drawn in units of nanomaggies; single stars that show fluxes are so bright, and have so much room, in FWHM.
ZEROPOINT, CLEAR, APART, CLASS_SNR = 22.5, 50.0, 4.0, 10.0
#: Signal to noise (column ``snr``) above which rows are counted once more; half-light radii that are parts of a galaxy.
CLEARLY, REACH = 5.0, 2.0


@dataclass(frozen=True)
class Survey:
    """A survey's images.

    Attributes
    ----------
    scale : float
        Arcsec per pixel.
    bands : dict
        By the names that the survey file has: the band of the simulation, FWHM in arcsec, depth (five sigma, point source).
    gain : float
        Electrons per nanomaggy.
    saturation : float
        Magnitude of stars in r.
    crowding : float
        More stars than at high galactic latitude: small fields have too few to count.
    binned : dict
        Bands whose detectors have so many times larger pixels.
    resampled : bool
        The pixels of binned bands are brought onto the common grid.
    mixed : float
        Share of a pixel that goes to each neighbour along an axis: correlated noise.
    """

    scale: float
    bands: Mapping[str, tuple[str, float, float]]
    gain: float
    saturation: float
    crowding: float = 1.0
    binned: Mapping[str, int] = ()  # type: ignore[assignment]
    resampled: bool = False
    mixed: float = 0.0


SURVEYS = {
    "des": Survey(0.263, {"g": ("g", 1.11, 25.5), "r": ("r", 0.95, 25.2), "i": ("i", 0.88, 24.6)}, 1e4, 16.0, mixed=0.06),
    "kids": Survey(0.2, {"g": ("g", 0.9, 25.4), "r": ("r", 0.7, 25.2), "i": ("i", 0.8, 24.2)}, 1.4e4, 16.0, mixed=0.06),
    "rubin": Survey(0.2, {"g": ("g", 1.15, 26.2), "r": ("r", 1.1, 26.0), "i": ("i", 1.05, 25.6)}, 1e5, 17.0, mixed=0.06),
    "ztf": Survey(1.01, {"g": ("g", 2.1, 22.4), "r": ("r", 2.0, 22.2)}, 4e3, 13.0, mixed=0.06),
    "hst": Survey(0.05, {"f606w": ("r", 0.085, 27.3), "f814w": ("i", 0.095, 27.0)}, 8e4, 19.0, 8.0, mixed=0.1),
    "jwst": Survey(
        0.031, {"f115w": ("Y", 0.04, 28.0), "f150w": ("J", 0.05, 28.2), "f277w": ("H", 0.092, 28.5), "f444w": ("Ks", 0.145, 28.3)},
        3e5, 19.0, 10.0, {"f277w": 2, "f444w": 2}, mixed=0.1,
    ),
    "euclid": Survey(
        0.1, {"VIS": ("r", 0.14, 26.3), "Y": ("Y", 0.3, 24.3), "J": ("J", 0.33, 24.5), "H": ("H", 0.36, 24.4)},
        3e4, 17.5, 3.0, {"Y": 3, "J": 3, "H": 3}, resampled=True, mixed=0.06,
    ),
}  # fmt: skip


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("surveys", nargs="*", default=list(SURVEYS), help="by default all that have a layout")
    parser.add_argument("--size", type=int, default=1500, help="side in pixels")
    parser.add_argument("--model", help="other weights than those that the survey's file names")
    parser.add_argument("--reference", help="another reference band")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--keep", type=Path, help="folder to keep the files in")
    args = parser.parse_args()
    found, fluxes = [], []
    for name in args.surveys:
        with tempfile.TemporaryDirectory() as temporary:
            folder = args.keep / name if args.keep else Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            scene = field(SURVEYS[name], args.size, args.seed)
            LAYOUTS[name](folder, parts(scene, SURVEYS[name]))
            catalog = run(folder, name, args.model, args.reference)
        found.append({"survey": name, **judged(scene, catalog, SURVEYS[name])})
        fluxes += [{"survey": name, **row} for row in bright_stars(scene, catalog, SURVEYS[name])]
    print(table(found))
    print(table(fluxes))


def field(survey: Survey, size: int, seed: int) -> Scene:
    """A field of its depth and seeing."""
    seeing = {band: fwhm for band, fwhm, _ in survey.bands.values()}
    profile = SurveyProfile(
        "survey", survey.scale, tuple(seeing), (np.mean(list(seeing.values())),) * 2,
        {band: depth for band, _, depth in survey.bands.values()}, ZEROPOINT, survey.gain, survey.saturation,
    )  # fmt: skip
    drawn = draw_conditions(profile, np.random.default_rng(seed))
    # noise of each band by its own seeing, not by that of all
    noise = {band: drawn.noise[band] * np.mean(list(seeing.values())) / seeing[band] for band in seeing}
    plain = {"pairs": 0.0, "nearby": 0.0, "halo": 0.0, "spikes": 0.0, "clustering": 1.0, "bleeding": None}
    conditions = replace(drawn, seeing=seeing, noise=noise, beta=3.0, crowding=survey.crowding, **plain)
    return simulate_scene(profile, size=size, seed=seed, dither=0.0, conditions=conditions, artefacts=False)


def parts(scene: Scene, survey: Survey) -> dict[str, Part]:
    """The bands of a field, on the pixels that the survey gives them."""
    made = {}
    for name, (band, _, _) in survey.bands.items():
        data, wcs = without_sky(np.asarray(scene.images[band], float)), scene.wcs[band]
        times = dict(survey.binned).get(name, 1)
        rows, columns = (side // times * times for side in data.shape)
        if times > 1:
            data = data[:rows, :columns].reshape(rows // times, times, columns // times, times).sum((1, 3))
        if survey.mixed:
            kernel = [survey.mixed, 1 - 2 * survey.mixed, survey.mixed]
            data = ndimage.convolve1d(ndimage.convolve1d(data, kernel, axis=0), kernel, axis=1)
        if times > 1 and survey.resampled:
            y, x = ((np.arange(side) + 0.5) / times - 0.5 for side in scene.images[band].shape)
            data = ndimage.map_coordinates(data, np.meshgrid(y, x, indexing="ij"), order=1, mode="nearest") / times**2
        elif times > 1:
            wcs = wcs.deepcopy()
            wcs.wcs.crpix = (np.array(wcs.wcs.crpix) - 0.5) / times + 0.5
            wcs.wcs.cdelt = np.array(wcs.wcs.cdelt) * times
        # that of single pixels, as maps of surveys have it
        noise = scene.conditions.noise[band] * (times if not survey.resampled else 1 / times)
        header = fits.Header(wcs.to_header())
        made[name] = Part(data.astype("f4"), header, noise * (1 - 2 * survey.mixed) ** 2, survey.gain)
    return made


def without_sky(data: np.ndarray) -> np.ndarray:
    """An image less a plane through its medians."""
    side = 100
    rows, columns = (length // side for length in data.shape)
    blocks = data[: rows * side, : columns * side].reshape(rows, side, columns, side)
    level = np.median(blocks, axis=(1, 3)).ravel()
    y, x = (grid.ravel() for grid in np.mgrid[:rows, :columns])
    plane = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x, y]), level, rcond=None)[0]
    y, x = ((np.arange(length) - (side - 1) / 2) / side for length in data.shape)
    return data - plane[0] - plane[1] * x - plane[2] * y[:, None]


def run(folder: Path, name: str, model: str | None, reference: str | None) -> ag.SourceCatalog:
    """The catalogue of a survey's file."""
    text = commented_yaml(name).replace("workers: auto", "workers: 1")
    for key, value in (("model", model), ("reference", reference)):
        text = re.sub(rf"(?m)^  {key}: .*$", f"  {key}: {value}", text, count=1) if value else text
    (folder / "survey.yml").write_text(text, encoding="utf-8")
    return ag.run(folder / "survey.yml")


def matched(scene: Scene, catalog: ag.SourceCatalog, survey: Survey) -> tuple[np.ndarray, np.ndarray]:
    """Row of each true source in the catalogue, and of each row the true one; -1 for none."""
    fwhm = min(fwhm for _, fwhm, _ in survey.bands.values())
    radius = max(0.5 * fwhm, survey.scale)
    truth = scene.truth
    here = SkyCoord(truth["ra"], truth["dec"], unit="deg")
    seen = np.asarray(truth["snr"]) >= 3
    row, apart, _ = here.match_to_catalog_sky(catalog.coords)
    row = np.where(apart.arcsec < radius, row, -1)
    # faint sources beside a bright one are no other names of its row
    back, near, _ = catalog.coords.match_to_catalog_sky(here[seen])
    back = np.where(near.arcsec < 2 * radius, np.flatnonzero(seen)[back], -1)
    return row, back


def judged(scene: Scene, catalog: ag.SourceCatalog, survey: Survey) -> dict[str, object]:
    """What is found and called what."""
    truth, (row, back) = scene.truth, matched(scene, catalog, survey)
    inside = np.asarray(truth["x"]) > 2 * EMPTY
    wanted = np.asarray(truth["visible"]) & inside
    made = {
        "to be found": int(wanted.sum()), "rows": len(catalog), "found": f"{100 * np.mean(row[wanted] >= 0):.0f} %",
        "real, of rows": f"{100 * np.mean(back >= 0):.0f} %",
        "real above 5": f"{100 * np.mean(back[np.asarray(catalog['snr']) > CLEARLY] >= 0):.0f} %",
        "others on galaxies": f"{100 * np.mean(on_galaxies(scene, catalog[back < 0])):.0f} %",
    }  # fmt: skip
    for name in ("star", "galaxy"):
        those = wanted & (row >= 0) & (np.asarray(truth["class"]) == name) & (np.asarray(truth["snr"]) >= CLASS_SNR)
        called = np.asarray(catalog["class"])[row[those]]
        right, unsure = (100 * np.mean(called == what) if len(called) else np.nan for what in (name, "unsure"))
        made[{"star": "stars", "galaxy": "galaxies"}[name]] = len(called)
        made[f"called {name}"] = f"{right:.0f} %"
        made[f"{name} unsure"] = f"{unsure:.0f} %"
    made["outside_weight"] = f"{100 * np.mean(has_flags(catalog['flags'], 'outside_weight')):.0f} %"
    return made


def on_galaxies(scene: Scene, rows: ag.SourceCatalog) -> np.ndarray:
    """Which rows lie within two half-light radii of a galaxy that can be seen, of which they may be parts."""
    truth = scene.truth[(scene.truth["class"] == "galaxy") & (scene.truth["snr"] >= 5)]
    here = SkyCoord(truth["ra"], truth["dec"], unit="deg")
    apart = rows.coords[:, None].separation(here[None]).arcsec
    return (apart < REACH * np.asarray(truth["half_light_radius"])).any(axis=1)


def bright_stars(scene: Scene, catalog: ag.SourceCatalog, survey: Survey) -> list[dict[str, object]]:
    """Fluxes of single bright stars in each band, less the truth, per cent."""
    truth, (row, _) = scene.truth, matched(scene, catalog, survey)
    widest = max(fwhm for _, fwhm, _ in survey.bands.values()) / survey.scale
    seen = np.flatnonzero(np.asarray(truth["snr"]) >= 5)
    points = np.column_stack([truth["x"], truth["y"]])
    room = cKDTree(points[seen]).query(points, k=2)[0][:, 1]
    star = (
        (np.asarray(truth["class"]) == "star")
        & (np.asarray(truth["snr"]) > CLEAR)
        & (room > APART * widest)
        & (row >= 0)
    )
    star[star] = ~has_flags(catalog["flags"][row[star]], "saturated", "masked", "edge", "blended")
    rows = []
    for name, (band, _, _) in survey.bands.items():
        true = np.asarray(truth[f"flux_{band}"], float) * factor(31.4)
        line = {"band": name, "stars": int(star.sum())}
        for column in ("flux", "flux_apcor", "flux_psf"):
            mine = np.asarray(catalog[f"{column}_{name}"], float)
            error = np.asarray(catalog[f"{column}_{name}_err"], float)
            clear = star.copy()
            clear[star] = mine[row[star]] > 20 * error[row[star]]
            off = mine[row[clear]] / true[clear] - 1
            line[column] = f"{100 * np.nanmedian(off):+.1f} %" if clear.any() else ""
        rows.append(line)
    return rows


if __name__ == "__main__":
    main()
