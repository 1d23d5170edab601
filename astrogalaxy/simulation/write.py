"""Write a simulated scene as a small survey that can be run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits

from astrogalaxy.config import SurveyConfig
from astrogalaxy.files import atomic_path, write_text
from astrogalaxy.simulation.scene import Scene

__all__ = ["scene_files", "write_scene"]

_SURVEY = """\
# A simulated field; its truth is in {name}-truth.ecsv.
name: {quoted}
images:
  path: {path}
  bands: [{bands}]
  reference: {reference}
  zeropoint: {zeropoint}
  gain: {gain}
output:
  directory: out
"""


def scene_files(bands: Sequence[str], folder: str | Path, *, name: str) -> list[Path]:
    """Name the files that `write_scene` writes.

    Parameters
    ----------
    bands : sequence of str
        Of the scene.
    folder : path
        Where they are to be.
    name : str
        Start of every file's name.

    Returns
    -------
    list of Path
        An image per band, the truth, and the survey.yml.

    Raises
    ------
    ConfigError
        If a survey can have no such name, or no such bands.

    Examples
    --------
    >>> from astrogalaxy.simulation.write import scene_files
    >>> [path.name for path in scene_files(["g", "r"], "scene", name="mine")]
    ['mine-g.fits', 'mine-r.fits', 'mine-truth.ecsv', 'mine.yml']
    """
    SurveyConfig.from_dict({"name": name, "images": {"path": "{band}.fits", "bands": list(bands)}})
    endings = [*(f"-{band}.fits" for band in bands), "-truth.ecsv", ".yml"]
    return [Path(folder) / f"{name}{ending}" for ending in endings]


def write_scene(scene: Scene, folder: str | Path, *, name: str, compress: bool = False) -> list[Path]:
    """Write one FITS image per band, the truth as ECSV, and a survey.yml.

    Parameters
    ----------
    scene : Scene
        What to write.
    folder : path
        Made if need be.
    name : str
        Start of every file's name.
    compress : bool
        Rice-compress the images; pixels are then rounded to a sixteenth of the noise.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ConfigError
        As `scene_files`, before anything is written.

    Examples
    --------
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> from astrogalaxy.simulation.write import write_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=64, seed=1)
    >>> *images, truth, survey = write_scene(scene, "scene", name="mine")
    >>> len(images), truth.name, survey.name
    (3, 'mine-truth.ecsv', 'mine.yml')
    """
    files = scene_files(tuple(scene.images), folder, name=name)
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path, (band, pixels) in zip(files, scene.images.items(), strict=False):
        _write_image(path, scene, band, pixels, compress=compress)
    with atomic_path(files[-2]) as path:
        scene.truth.write(path, format="ascii.ecsv", overwrite=True)
    # as JSON, which is YAML: a name may be a word that would be read as something else, such as null
    quoted, pattern = (json.dumps(text, ensure_ascii=False) for text in (name, f"{name}-{{band}}.fits"))
    survey = _SURVEY.format(
        name=name, quoted=quoted, path=pattern, bands=", ".join(scene.images), reference=scene.reference,
        zeropoint=scene.profile.zeropoint,
        gain=scene.profile.gain,
    )  # fmt: skip
    write_text(files[-1], survey)
    return files


def _write_image(path: Path, scene: Scene, band: str, pixels: np.ndarray, *, compress: bool) -> None:
    header = scene.wcs[band].to_header()
    header["FILTER"] = (band, "simulated band")
    header["MAGZERO"] = (scene.profile.zeropoint, "[mag] AB magnitude of one image unit")
    header["SEEING"] = (round(scene.conditions.seeing[band], 4), "[arcsec] FWHM of stars")
    header["ORIGIN"] = "astrogalaxy simulate"
    data = np.asarray(pixels, dtype=np.float32)
    primary: fits.PrimaryHDU | fits.CompImageHDU = fits.PrimaryHDU(data, header)
    hdus = [primary]
    if compress:
        image = fits.CompImageHDU(data, header, compression_type="RICE_1", quantize_level=16, quantize_method=2)
        hdus = [fits.PrimaryHDU(), image]
    with atomic_path(path) as temporary:
        fits.HDUList(hdus).writeto(temporary, overwrite=True, checksum=True)
