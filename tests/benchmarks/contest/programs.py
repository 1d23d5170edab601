"""SExtractor, PSFEx and SWarp as programs: one place that knows how they are called."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from astropy.io import fits

__all__ = ["psf_model", "psfex", "resample", "sextract", "sextractor", "sextractor_version", "swarp", "swarp_version"]

Options = Mapping[str, object]
# Cards that say where an image lies on the sky.
_GRID = ("NAXIS", "CTYPE", "CRVAL", "CRPIX", "CD1_", "CD2_", "CDELT", "CUNIT", "PV", "RADESYS", "EQUINOX")
_QUIET: Options = {"VERBOSE_TYPE": "QUIET", "NTHREADS": 1, "WRITE_XML": "N"}


def sextractor() -> str | None:
    """The program, if it is installed."""
    return shutil.which("source-extractor") or shutil.which("sex")


def psfex() -> str | None:
    """The program, if it is installed, and SExtractor, too."""
    return sextractor() and shutil.which("psfex")


def swarp() -> str | None:
    """The program, if it is installed."""
    return shutil.which("SWarp") or shutil.which("swarp")


def sextractor_version() -> str:
    """What the program calls itself."""
    return _version(sextractor())


def swarp_version() -> str:
    """What the program calls itself."""
    return _version(swarp())


def _version(program: str | None) -> str:
    shown = subprocess.run([program or "", "--version"], capture_output=True, text=True, check=True)
    return (shown.stdout or shown.stderr).strip().splitlines()[0]


def sextract(
    folder: Path,
    image: str,
    *,
    parameters: Sequence[str],
    options: Options,
    catalog: str = "out.fits",
    form: str = "FITS_1.0",
) -> None:
    """Run SExtractor in a folder on an image, or on two that are parted by a comma: detected on the first."""
    (folder / "wanted.param").write_text("\n".join(parameters) + "\n")
    usual: Options = {
        "CATALOG_NAME": catalog, "CATALOG_TYPE": form, "PARAMETERS_NAME": "wanted.param",
        "STARNNW_NAME": "/usr/share/source-extractor/default.nnw",
        "FILTER_NAME": "/usr/share/source-extractor/default.conv",
        "MEMORY_OBJSTACK": 30000, "MEMORY_PIXSTACK": 3000000,
    }  # fmt: skip
    _run(folder, [str(sextractor()), image], {**_QUIET, **usual, **options})


def psf_model(folder: Path, image: str, *, options: Options, fwhm: float) -> str:
    """Run SExtractor and PSFEx in a folder, with their defaults: the name of the file with the point spread.

    ``fwhm`` is that of stars, pixels: the stamps are as large as it asks for.
    """
    side = 2 * int(4 * fwhm) + 1
    parameters = (f"VIGNET({side},{side})", "X_IMAGE", "Y_IMAGE", "FLUX_RADIUS", "SNR_WIN", "FLUX_APER(1)",
                  "FLUXERR_APER(1)", "ELONGATION", "FLAGS")  # fmt: skip
    aperture = {"PHOT_APERTURES": 4 * fwhm}
    sextract(
        folder, image, parameters=parameters, options={**options, **aperture}, catalog="stars.cat", form="FITS_LDAC"
    )
    quiet = {
        "VERBOSE_TYPE": "QUIET",
        "NTHREADS": 1,
        "WRITE_XML": "N",
        "CHECKIMAGE_TYPE": "NONE",
        "CHECKPLOT_DEV": "NULL",
    }
    _run(folder, [str(psfex()), "stars.cat"], {**quiet, "SAMPLE_FWHMRANGE": f"{fwhm / 2},{2 * fwhm}"})
    return "stars.psf"


def resample(folder: Path, image: Path, reference: fits.Header, made: str, *, options: Options | None = None) -> None:
    """Run SWarp in a folder: an image onto the grid of a header, with its default kernel (Lanczos of order 3)."""
    cards = [card for card in reference.cards if card.keyword.startswith(_GRID)]
    grid = fits.Header(cards)
    grid.totextfile((folder / made).with_suffix(".head"), endcard=True, overwrite=True)
    usual: Options = {
        "IMAGEOUT_NAME": made, "WEIGHTOUT_NAME": f"weight.{made}", "SUBTRACT_BACK": "N", "RESAMPLE_DIR": ".",
        "DELETE_TMPFILES": "Y",
    }  # fmt: skip
    _run(folder, [str(swarp()), str(image)], {**_QUIET, **usual, **(options or {})})


def _run(folder: Path, command: list[str], options: Options) -> None:
    # an empty file stands for the program's defaults
    (folder / "none.conf").touch()
    command += ["-c", "none.conf", *(text for k, v in options.items() for text in (f"-{k}", f"{v}"))]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"{command[0]} failed: {done.stderr.strip()[-500:]}"
        raise RuntimeError(msg)
