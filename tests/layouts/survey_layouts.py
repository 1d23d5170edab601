"""Files laid out as surveys release them: their names, extensions, compression, keywords, units, masks and weights.

Each function writes one field of a survey into a folder, from images in nanomaggies. What files of the survey hold
beside, and what must do no harm, is there, too: flags on good pixels, maps of other kinds, areas without data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

__all__ = ["LAYOUTS", "Part"]

# Columns at the left edge of every image that no exposure has seen.
EMPTY = 6
# Flag files of surveys mark what is harmless on about so many of the pixels.
_HARMLESS = 0.2


@dataclass(frozen=True)
class Part:
    """One band of a field.

    Attributes
    ----------
    data : ndarray
        In nanomaggies.
    header : fits.Header
        Its WCS.
    noise : float
        Of the sky, per pixel.
    gain : float
        Electrons per nanomaggy.
    """

    data: np.ndarray
    header: fits.Header
    noise: float
    gain: float = 200.0

    def scaled(self, zeropoint: float) -> np.ndarray:
        """The image in units of this AB magnitude, without the sky."""
        return ((self.data - np.median(self.data)) * factor(zeropoint)).astype("f4")

    def rms(self, zeropoint: float) -> np.ndarray:
        """Noise of the sky and photon noise of the sources, in the same units."""
        light = np.clip(self.data - np.median(self.data), 0, None)
        return (np.sqrt(self.noise**2 + light / self.gain) * factor(zeropoint)).astype("f4")

    @property
    def empty(self) -> np.ndarray:
        """Where no exposure is."""
        return np.arange(self.data.shape[1]) < EMPTY + np.zeros((len(self.data), 1))

    @property
    def bright(self) -> np.ndarray:
        """Pixels of sources."""
        return self.data - np.median(self.data) > 3 * self.noise

    def marked(self, share: float = _HARMLESS) -> np.ndarray:
        """Pixels by chance, in blocks, wherever sources are."""
        rows, columns = self.data.shape
        blocks = np.random.default_rng(1).random((rows // 8 + 1, columns // 8 + 1)) < share
        return np.kron(blocks, np.ones((8, 8), bool))[:rows, :columns]


def factor(zeropoint: float) -> float:
    """Units of this AB magnitude in a nanomaggy."""
    return float(10 ** (0.4 * (zeropoint - 22.5)))


def des(folder: Path, parts: Mapping[str, Part]) -> None:
    """A tile of DES DR2: SCI, MSK and WGT of a band in one compressed file."""
    for band, part in parts.items():
        weight = np.full(part.data.shape, (part.noise * factor(30)) ** -2, "f4")
        weight[part.empty] = 0
        image = np.where(part.empty, 0, part.scaled(30)).astype("f4")
        mask = (part.bright | part.marked()).astype("i4")
        header = part.header.copy()
        header.update(MAGZERO=30.0, BAND=band, TILENAME="DES0354-1915")
        step = -part.noise * factor(30) / 64
        hdus = [
            fits.CompImageHDU(image, header, name="SCI", quantize_level=step),
            fits.CompImageHDU(mask, part.header, name="MSK"),
            fits.CompImageHDU(weight, part.header, name="WGT"),
        ]
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(folder / f"DES0354-1915_r4931p01_{band}.fits.fz")
        for other in ("DES0354-1915_r4931p01_det.fits.fz", f"DES0354-1915_r4931p01_{band}_nobkg.fits.fz"):
            fits.HDUList([fits.PrimaryHDU(), hdus[2]]).writeto(folder / other, overwrite=True)


def kids(folder: Path, parts: Mapping[str, Part]) -> None:
    """A tile of KiDS DR4: image, weight and mask files, in units of magnitude 0."""
    for band, part in parts.items():
        image = np.where(part.empty, 0, part.scaled(0)).astype("f4")
        weight = np.where(part.empty, 0, 0.02 * (part.noise * factor(0)) ** -2).astype("f4")
        mask = np.where(part.bright, 2, 4 * part.marked()).astype("u1")
        for kind, values in (("sci", image), ("wei", weight), ("msk", mask)):
            fits.writeto(folder / f"KiDS_DR4.0_181.5_-2.5_{band}_{kind}.fits", values, part.header)
    fits.writeto(folder / "KiDS_DR4.0_181.5_-2.5_r_det_sci.fits", image)


# Planes of the masks of DP1's deep coadds. Their numbers are in the headers.
_PLANES = (
    "BAD", "SAT", "INTRP", "CR", "EDGE", "DETECTED", "DETECTED_NEGATIVE", "SUSPECT", "NO_DATA", "VIGNETTED", "CROSSTALK",
    "NOT_DEBLENDED", "UNMASKEDNAN", "REJECTED", "CLIPPED", "SENSOR_EDGE", "INEXACT_PSF", "STREAK", "ITL_DIP",
)  # fmt: skip


def rubin(folder: Path, parts: Mapping[str, Part]) -> None:
    """A patch of Rubin's DP1: IMAGE, MASK and VARIANCE in nJy, and tables behind them."""
    bit = {name: 1 << number for number, name in enumerate(_PLANES)}
    for band, part in parts.items():
        mask = np.where(part.bright, bit["DETECTED"], 0) | np.where(part.marked(), bit["CLIPPED"] | bit["CR"], 0)
        mask |= np.where(part.marked(), bit["SENSOR_EDGE"] | bit["INEXACT_PSF"] | bit["REJECTED"], 0)
        # what is above this is called saturated
        mask |= np.where(part.data >= 0.999 * part.data.max(), bit["SAT"] | bit["INTRP"], 0)
        mask = np.where(part.empty, bit["NO_DATA"] | bit["EDGE"], mask).astype("i4")
        planes = part.header.copy()
        for number, name in enumerate(_PLANES):
            planes[f"HIERARCH MP_{name}" if len(name) > 5 else f"MP_{name}"] = number
        header = part.header.copy()
        header["BUNIT"] = "nJy"
        image = np.where(part.empty, np.nan, part.scaled(31.4)).astype("f4")
        variance = np.where(part.empty, np.nan, part.rms(31.4) ** 2).astype("f4")
        hdus = [
            fits.CompImageHDU(image, header, name="IMAGE", compression_type="GZIP_2", quantize_level=0),
            fits.CompImageHDU(mask, planes, name="MASK", compression_type="GZIP_2"),
            fits.CompImageHDU(variance, part.header, name="VARIANCE", compression_type="GZIP_2", quantize_level=0),
            fits.BinTableHDU.from_columns([fits.Column("id", "J", array=np.arange(3))], name="ARCHIVE_INDEX"),
        ]
        name = f"deep_coadd_5525_10_{band}_lsst_cells_v1_LSSTComCam_runs_DRP_DP1_DM-51335.fits"
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(folder / name)


def ztf(folder: Path, parts: Mapping[str, Part]) -> None:
    """Reference images of one quadrant of ZTF: the sky is in them, and each has a zero point of its own."""
    for number, (band, part) in enumerate(parts.items()):
        zeropoint = 26.275 + 0.05 * number
        header = part.header.copy()
        header.update(MAGZP=zeropoint, GLOBMED=200.0, SATURATE=1e7, NFRAMES=20)
        image = part.scaled(zeropoint) + 200
        fits.writeto(folder / f"ztf_000812_z{band}_c04_q3_refimg.fits", image.astype("f4"), header)
        depth = np.full(image.shape, 20, "f4")
        fits.writeto(folder / f"ztf_000812_z{band}_c04_q3_refcov.fits", depth, part.header)


def hst(folder: Path, parts: Mapping[str, Part]) -> None:
    """A visit of Hubble: SCI in electrons per second, WHT of exposure times, CTX; and one of the single exposures."""
    told = {"f606w": (7.86e-20, 5921.9), "f814w": (7.03e-20, 8045.5)}
    for band, part in parts.items():
        flam, pivot = told[band]
        zeropoint = -21.10 + 18.6921 - 2.5 * np.log10(flam * pivot**2)
        exposure = part.gain / factor(zeropoint)
        first = fits.PrimaryHDU(header=fits.Header({"EXPTIME": exposure, "TELESCOP": "HST"}))
        header = part.header.copy()
        header.update(BUNIT="ELECTRONS/S", PHOTFLAM=flam, PHOTPLAM=pivot)
        image = np.where(part.empty, 0, part.scaled(zeropoint)).astype("f4")
        weight = np.where(part.empty, 0, exposure).astype("f4")
        hdus = [
            fits.ImageHDU(image, header, name="SCI"),
            fits.ImageHDU(weight, part.header, name="WHT"),
            fits.ImageHDU(np.where(part.empty, 0, 3).astype("i4"), part.header, name="CTX"),
        ]
        fits.HDUList([first, *hdus]).writeto(folder / f"hst_12861_17_acs_wfc_{band}_jc0s17_drc.fits")
        fits.HDUList([first, *hdus]).writeto(folder / f"hst_12861_17_acs_wfc_{band}_jc0s17h4_drc.fits")
    fits.HDUList([first, *hdus]).writeto(folder / "hst_12861_17_acs_wfc_total_jc0s17_drc.fits")


def jwst(folder: Path, parts: Mapping[str, Part]) -> None:
    """An observation of NIRCam: SCI in MJy/sr, ERR, CON of several planes, WHT and variances."""
    for band, part in parts.items():
        area = np.abs(part.header["CDELT1"] * part.header["CDELT2"]) * np.radians(1) ** 2
        zeropoint = -2.5 * np.log10(1e6 * area / 3631)
        header = part.header.copy()
        header.update(BUNIT="MJy/sr", PIXAR_SR=area)
        # the sky, of 0.2 MJy/sr, is not subtracted
        image = np.where(part.empty, np.nan, part.scaled(zeropoint) + 0.2).astype("f4")
        error = np.where(part.empty, np.nan, part.rms(zeropoint)).astype("f4")
        weight = np.where(part.empty, 0, 4e3).astype("f4")
        hdus = [
            fits.ImageHDU(image, header, name="SCI"),
            fits.ImageHDU(error, part.header, name="ERR"),
            fits.ImageHDU(np.ones((2, *image.shape), "i4"), part.header, name="CON"),
            fits.ImageHDU(weight, part.header, name="WHT"),
            *(fits.ImageHDU(error**2, name=name) for name in ("VAR_POISSON", "VAR_RNOISE", "VAR_FLAT")),
            fits.BinTableHDU.from_columns([fits.Column("ASDF", "B", array=np.arange(9))], name="ASDF"),
        ]
        first = fits.PrimaryHDU(header=fits.Header({"TELESCOP": "JWST"}))
        fits.HDUList([first, *hdus]).writeto(folder / f"jw02731-o001_t017_nircam_clear-{band}_i2d.fits")


def euclid(folder: Path, parts: Mapping[str, Part]) -> None:
    """A tile of Euclid's Q1: mosaics, their RMS and flags, and models of the background that was subtracted."""
    made = "TILE102018211-{}_20241018T142710.276838Z_00.00.fits"
    for band, part in parts.items():
        name = band if band == "VIS" else f"NIR-{band}"
        zeropoint = 24.57 if band == "VIS" else 29.8
        header = part.header.copy()
        header["MAGZERO"] = zeropoint
        image = np.where(part.empty, 0, part.scaled(zeropoint)).astype("f4")
        error = np.where(part.empty, 1e30, part.rms(zeropoint)).astype("f4")
        flags = np.where(part.bright, 1 << 24, 0) | np.where(part.marked(0.6), 1 | 1 << 4, 0)
        files = {
            f"BGSUB-MOSAIC-{name}": (image, "ACBD03"),
            f"MOSAIC-{name}-RMS": (error, "B3070B"),
            f"MOSAIC-{name}-FLAG": (flags.astype("i4"), "B260B9"),
            f"BGMOD-{name}": (np.zeros_like(image), "F79595"),
        }
        for kind, (values, code) in files.items():
            fits.writeto(folder / f"EUC_MER_{kind}_{made.format(code)}", values, header)


#: By the names that ``astrogalaxy init`` takes.
LAYOUTS: dict[str, Callable[[Path, Mapping[str, Part]], None]] = {
    function.__name__: function for function in (des, kids, rubin, ztf, hst, jwst, euclid)
}
