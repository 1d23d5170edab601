"""SEP and SExtractor with the best input and the best settings that can be found for them.

Their detection image is one of three, chosen on the tuning fields like every other setting: the aligned bands in
units of their noise, summed; the same weighted by the colours of the field's bright pixels (the matched sum); or
chi (Szalay et al. 1999), the root of the sum of squares. Each is divided by its own measured
noise. Its filter is a Gaussian as wide as the known seeing, and sources are ranked by the best of several measures of
significance.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import sep
from astropy.io import fits
from scipy.ndimage import gaussian_filter

from contest.fields import Field
from contest.programs import sextract

__all__ = ["Found", "detection_image", "run_sep", "run_sextractor", "sep_settings", "sextractor_settings"]

Settings = dict[str, object]
_PARAMETERS = (
    "X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE", "XPEAK_IMAGE", "YPEAK_IMAGE", "FLUX_ISO", "FLUXERR_ISO",
    "FLUX_AUTO", "FLUXERR_AUTO", "FLUX_MAX", "FLUX_RADIUS", "CLASS_STAR", "FLAGS",
)  # fmt: skip


@dataclass
class Found:
    """A catalogue: positions, how each source is ranked, and what else was measured."""

    x: np.ndarray
    y: np.ndarray
    rank: np.ndarray
    more: dict[str, np.ndarray] = field(default_factory=dict)


def _scaled(image: np.ndarray) -> np.ndarray:
    image = image - np.median(image)
    return np.ascontiguousarray(image / (1.4826 * np.median(np.abs(image))), dtype=np.float32)


def detection_image(where: Field, kind: str) -> np.ndarray:
    """The bands as one image in units of its own noise."""
    if kind not in where.cache:
        snr = where.image.aligned().snr
        if kind == "chi":
            image = np.sqrt(np.sum(np.square(snr), axis=0))
        elif kind == "weighted":
            bright = snr.sum(axis=0) > 20 * np.sqrt(len(snr))
            weights = np.array([np.median(plane[bright]) for plane in snr]) if bright.sum() > 50 else np.ones(len(snr))
            image = np.tensordot(np.clip(weights / weights.max(), 0.05, None), snr, axes=1)
        else:
            image = snr.sum(axis=0)
        where.cache[kind] = _scaled(image)
    return where.cache[kind]


def filtered(where: Field, kind: str) -> np.ndarray:
    """The detection image through a Gaussian as wide as the seeing, in units of its noise."""
    key = f"{kind} filtered"
    if key not in where.cache:
        where.cache[key] = _scaled(gaussian_filter(detection_image(where, kind), where.fwhm / 2.355))
    return where.cache[key]


def _gaussian(fwhm: float) -> np.ndarray:
    half = int(np.ceil(fwhm))
    line = np.exp(-0.5 * (np.arange(-half, half + 1) * 2.355 / fwhm) ** 2)
    return np.outer(line, line)


def _at(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Brightest pixel within one of a position."""
    ix, iy = (np.clip(np.rint(v).astype(int), 1, n - 2) for v, n in ((x, image.shape[1]), (y, image.shape[0])))
    return np.max([image[iy + dy, ix + dx] for dx, dy in product((-1, 0, 1), repeat=2)], axis=0)


SEP_START: Settings = {
    "image": "sum", "filter": "gaussian", "width": 1.0, "threshold": 1.5, "deblend": 0.005, "levels": 32,
    "area": 5, "clean": True, "rank": "peak",
}  # fmt: skip
_SEP_CHOICES: dict[str, tuple] = {
    "threshold": (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0),
    "filter": ("gaussian", "matched", "none"),
    "width": (0.5, 0.7, 1.0),
    "deblend": (1e-5, 1e-4, 5e-4, 0.001, 0.005),
    "levels": (32, 64),
    "image": ("sum", "weighted", "chi"),
    "area": (1, 3, 5),
    "clean": (True, False),
    "rank": ("peak", "flux", "significance", "filtered"),
}


def sep_settings() -> tuple[Settings, dict[str, tuple]]:
    """Where the search for the best settings starts, and what it may choose."""
    return dict(SEP_START), _SEP_CHOICES


def run_sep(where: Field, settings: Settings) -> Found:
    """Catalogue of SEP."""
    image = detection_image(where, str(settings["image"]))
    kernel = None if settings["filter"] == "none" else _gaussian(where.fwhm * float(settings["width"]))
    sep.set_extract_pixstack(max(sep.get_extract_pixstack(), image.size))
    sep.set_sub_object_limit(8192)
    found = sep.extract(
        image, settings["threshold"], err=1.0 if settings["filter"] == "matched" else None, minarea=settings["area"],
        filter_kernel=kernel, filter_type="matched" if settings["filter"] == "matched" else "conv",
        deblend_cont=settings["deblend"], deblend_nthresh=settings["levels"], clean=settings["clean"],
    )  # fmt: skip
    x, y = found["x"], found["y"]
    rank = {
        "peak": lambda: found["cpeak"],
        "flux": lambda: found["flux"],
        "significance": lambda: found["flux"] / np.sqrt(found["npix"]),
        "filtered": lambda: _at(filtered(where, str(settings["image"])), found["xcpeak"], found["ycpeak"]),
    }[str(settings["rank"])]()
    return Found(x, y, np.asarray(rank, float), {"a": found["a"], "b": found["b"], "theta": found["theta"]})


_SEXTRACTOR_START: Settings = {
    "image": "sum", "filter": "gaussian", "width": 1.0, "threshold": 1.5, "deblend": 0.005, "levels": 32,
    "area": 5, "clean": True, "rank": "filtered",
}  # fmt: skip
_SEXTRACTOR_CHOICES: dict[str, tuple] = {
    "threshold": (0.7, 1.0, 1.5, 2.0),
    "deblend": (1e-5, 1e-4, 5e-4, 0.005),
    "width": (0.5, 0.7, 1.0),
    "levels": (32, 64),
    "image": ("sum", "weighted", "chi"),
    "area": (3, 5),
    "clean": (True, False),
    "rank": ("filtered", "iso", "auto", "max"),
}


def sextractor_settings() -> tuple[Settings, dict[str, tuple]]:
    """Where the search for the best settings starts, and what it may choose."""
    return dict(_SEXTRACTOR_START), _SEXTRACTOR_CHOICES


def run_sextractor(where: Field, settings: Settings) -> Found:
    """Catalogue of SExtractor; only the ranking may differ from what has been run before."""
    key = "sextractor " + repr({k: v for k, v in settings.items() if k != "rank"})
    if key not in where.cache:
        where.cache[key] = _sextract(where, settings)
    rows = where.cache[key]
    rank = {
        "filtered": lambda: _at(
            filtered(where, str(settings["image"])), rows["XPEAK_IMAGE"] - 1, rows["YPEAK_IMAGE"] - 1
        ),
        "iso": lambda: rows["FLUX_ISO"] / rows["FLUXERR_ISO"],
        "auto": lambda: rows["FLUX_AUTO"] / rows["FLUXERR_AUTO"],
        "max": lambda: rows["FLUX_MAX"],
    }[str(settings["rank"])]()
    more = {"class_star": rows["CLASS_STAR"], "radius": rows["FLUX_RADIUS"]}
    return Found(rows["XWIN_IMAGE"] - 1.0, rows["YWIN_IMAGE"] - 1.0, np.asarray(rank, float), more)


def _sextract(where: Field, settings: Settings) -> dict[str, np.ndarray]:
    """Run the program on the detection image."""
    scale = where.profile.pixel_scale
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fits.writeto(folder / "image.fits", detection_image(where, str(settings["image"])))
        kernel = _gaussian(where.fwhm * float(settings["width"]))
        lines = [" ".join(f"{v:.6f}" for v in row) for row in kernel]
        (folder / "filter.conv").write_text("CONV NORM\n" + "\n".join(lines) + "\n")
        options = {
            "FILTER": "Y", "FILTER_NAME": "filter.conv",
            "DETECT_THRESH": settings["threshold"], "ANALYSIS_THRESH": settings["threshold"],
            "DETECT_MINAREA": settings["area"], "DEBLEND_MINCONT": settings["deblend"],
            "DEBLEND_NTHRESH": settings["levels"], "CLEAN": "Y" if settings["clean"] else "N",
            "SEEING_FWHM": where.fwhm * scale, "PIXEL_SCALE": scale, "BACK_TYPE": "MANUAL", "BACK_VALUE": "0.0",
            "SATUR_LEVEL": 1e9, "GAIN": 0.0, "MAG_ZEROPOINT": 25.0,
        }  # fmt: skip
        sextract(folder, "image.fits", parameters=_PARAMETERS, options=options)
        rows = fits.getdata(folder / "out.fits")
        return {n: np.asarray(rows[n], float) if rows is not None else np.zeros(0) for n in _PARAMETERS}
