"""Magnitudes and colours of the stars of a real SDSS field, against SExtractor and the stellar locus.

The field 003918-3-0213 in g r i. Stars are what the pipeline calls stars, bright, whole and alone. Compared are the total r
magnitudes with SExtractor's MAG_AUTO on the same frame (its own detection, background and defaults but for gain and zero point), the
total with the aperture-corrected and PSF magnitudes, and g - r, r - i with the stellar locus (Covey et al. 2007). Differences are
medians; "+-" is the standard error, the number after it the robust scatter. The time of the measurement of all sources is printed too.

    python tests/benchmarks/bench_sdss_photometry.py --data DATA
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from contest.data import add_data
from contest.programs import sextract, sextractor
from scipy.spatial import cKDTree

import astrogalaxy as ag
from astrogalaxy.catalog import has_flags
from astrogalaxy.measurement import Sources, measure
from astrogalaxy.measurement.locus import stellar_locus

FIELD, SIGMA = "003918-3-0213", 1.4826
#: Medians may differ by this much.
BAR = 0.03


def main() -> int:
    """Print the comparison; exit 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser, "sdss/frame-<band>-<field>.fits.bz2")
    args = parser.parse_args()
    frames = {band: args.data / "sdss" / f"frame-{band}-{FIELD}.fits.bz2" for band in "gri"}
    image = ag.Image.read(frames, reference="r", zeropoint=22.5)
    catalog = ag.detect(image)
    timed(image, catalog)
    flags, error = np.asarray(catalog["flags"]), np.asarray(catalog["mag_r_err"])
    whole = ~has_flags(flags, "edge", "saturated", "masked", "blended", "missing_band")
    stars = whole & (np.asarray(catalog["class"]) == "star") & (error < 0.03)
    print(f"{len(catalog)} sources, {stars.sum()} stars that are whole and better than 0.03 mag in r")
    met = [corrected(catalog, stars)]
    if sextractor():
        met.append(against_sextractor(catalog, stars, frames["r"]))
    else:
        print("SExtractor: not installed (Debian: source-extractor)")
    met.append(locus(catalog, whole & (np.asarray(catalog["class"]) == "star")))
    return 0 if all(met) else 1


def timed(image: ag.Image, catalog: ag.SourceCatalog) -> None:
    """CPU time of measuring the sources once more."""
    names = ("x", "y", "x_min", "x_max", "y_min", "y_max")
    sources = Sources(*(np.asarray(catalog[name], dtype=float) for name in names))
    start = time.process_time()
    measure(image, sources)
    print(f"measure: {len(sources)} sources in 3 bands, {time.process_time() - start:.2f} s CPU")


def line(name: str, difference: np.ndarray, bar: float = BAR) -> bool:
    """Print a median difference; whether it is within the bar."""
    values = difference[np.isfinite(difference)]
    median = float(np.median(values))
    scatter = SIGMA * float(np.median(np.abs(values - median)))
    met = abs(median) < bar
    print(f"{'met   ' if met else 'MISSED'} {name}: {median:+.4f} +- {1.2533 * scatter / np.sqrt(len(values)):.4f}, "
          f"scatter {scatter:.4f}, {len(values)} stars")  # fmt: skip
    return met


def corrected(catalog: ag.SourceCatalog, stars: np.ndarray) -> bool:
    """Total minus aperture-corrected and PSF magnitudes, on stars that faint and bright halves share."""
    total = np.asarray(catalog["mag_r"])
    faint, met = stars & (total > np.median(total[stars])), []
    for name, words in (("flux_apcor", "aperture-corrected"), ("flux_psf", "PSF")):
        difference = total - magnitude(catalog, f"{name}_r")
        met.append(line(f"total - {words}, all", difference[stars]))
        met.append(line("the same, fainter half", difference[faint]))
    return all(met)


def magnitude(catalog: ag.SourceCatalog, column: str) -> np.ndarray:
    """Magnitudes of a column of fluxes; NaN where they are not positive."""
    flux = np.asarray(catalog[column], float)
    return 31.4 - 2.5 * np.log10(np.where(flux > 0, flux, np.nan))


def against_sextractor(catalog: ag.SourceCatalog, stars: np.ndarray, frame: Path) -> bool:
    """Total, aperture-corrected and PSF magnitudes minus MAG_AUTO."""
    rows = sextracted(frame)
    good = rows["FLAGS"] == 0
    tree = cKDTree(np.column_stack([rows["XWIN_IMAGE"] - 1, rows["YWIN_IMAGE"] - 1])[good])
    distance, index = tree.query(np.column_stack([catalog["x"], catalog["y"]])[stars])
    auto = np.where(distance < 1.0, np.asarray(rows["MAG_AUTO"])[good][index], np.nan)
    met = line("total - MAG_AUTO in r", np.asarray(catalog["mag_r"])[stars] - auto)
    for name, words in (("flux_apcor", "aperture-corrected"), ("flux_psf", "PSF")):
        met &= line(f"{words} - MAG_AUTO in r", magnitude(catalog, f"{name}_r")[stars] - auto)
    return met


def sextracted(frame: Path) -> Table:
    """Catalogue of SExtractor with its default settings."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with fits.open(frame) as hdus:
            fits.writeto(folder / "image.fits", hdus[0].data, hdus[0].header)
        columns = ("XWIN_IMAGE", "YWIN_IMAGE", "MAG_AUTO", "MAGERR_AUTO", "FLAGS")
        options = {"MAG_ZEROPOINT": 22.5, "PIXEL_SCALE": 0.396, "SEEING_FWHM": 1.1}
        sextract(folder, "image.fits", parameters=columns, options=options)
        return Table.read(folder / "out.fits")


def locus(catalog: ag.SourceCatalog, stars: np.ndarray) -> bool:
    """Distance of r - i from the locus at g - r, where the locus is not steep, of total and PSF fluxes."""
    across, up = stellar_locus("gri")  # type: ignore[misc]
    error = np.hypot(np.asarray(catalog["mag_r_err"]), np.asarray(catalog["mag_i_err"]))
    met = True
    for name in ("flux", "flux_psf"):
        mags = {band: magnitude(catalog, f"{name}_{band}") for band in "gri"}
        blue, red = mags["g"] - mags["r"], mags["r"] - mags["i"]
        chosen = stars & (error < 0.05) & (blue > 0.2) & (blue < 1.2)
        off = red[chosen] - np.interp(blue[chosen], across, up)
        met &= line(f"r - i of {name} off the stellar locus at 0.2 < g - r < 1.2", off)
    return met


if __name__ == "__main__":
    raise SystemExit(main())
