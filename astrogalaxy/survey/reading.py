"""From the files of a field to its image, without what cannot be read; and its sky, measured once for all its tiles."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import numpy as np

from astrogalaxy.config import SurveyConfig
from astrogalaxy.detection import Detections
from astrogalaxy.errors import ImageError
from astrogalaxy.files import atomic_path
from astrogalaxy.images import Band, Image, Mesh
from astrogalaxy.images.fields import Field, open_field
from astrogalaxy.images.grids import check_overlap
from astrogalaxy.measurement import field_conditions, restore_conditions
from astrogalaxy.survey.failures import Failure

__all__ = ["can_be_read", "forget_fields", "keep_open", "open_band", "open_bands", "read_field", "save_sky"]

logger = logging.getLogger(__name__)


class _Kept:
    """A field that is open, or being opened by the thread that holds its lock."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.found: tuple[Image | None, list[Failure]] | None = None


# The field that this process worked on last, by what makes it another: the next task is probably of the same. Threads
# of a worker share it; the lock is held for the look-up only, so that they can open different fields at once.
_OPEN: dict[tuple[str, ...], _Kept] = {}
_LOCK = Lock()
# Names under which what measurement knows of a band's stars and noise is kept beside its sky, and the large galaxies.
_CONDITIONS, _LARGE = "conditions", "large"


def open_bands(field: Field, config: SurveyConfig) -> tuple[Image | None, list[Failure]]:
    """Open the bands of a field, and say which cannot be opened and why.

    Returns
    -------
    image : Image or None
        The bands that can be opened and aligned; None without the reference band.
    failures : list of Failure
        One per band that is missing or refused.
    """
    name, reference = field.label, config.images.reference
    failures: list[Failure] = []
    bands = {}
    for band in config.images.bands:
        try:
            bands[band] = open_band(field, band, config)
        except ImageError as error:
            failures.append(Failure(name, "open", str(error), band=band))
    if reference not in bands:
        failures.append(Failure(name, "open", f"without its reference band {reference} the field cannot be done"))
        return None, failures
    for band in [b for b in bands if b != reference]:
        try:
            Image({b: bands[b] for b in (reference, band)}, reference=reference)
            check_overlap(bands[reference], bands[band])
        except ImageError as error:
            failures.append(Failure(name, "open", str(error), band=band))
            del bands[band]
    return Image(bands, reference=reference, name=name), failures


def open_band(field: Field, band: str, config: SurveyConfig) -> Band:
    """Open one band of a field.

    Raises
    ------
    ImageError
        If it has no file, or one that is refused.
    """
    if band not in field.paths:
        tried = config.images.patterns(band)[0].replace("{field}", field.stem)
        msg = f"no file matches {tried}"
        raise ImageError(msg)
    only = config.images.model_copy(update={"reference": band})
    opened = open_field(field, only, bands=[band]).bands[band]
    # without one it cannot be aligned: bands of the same shape need not share a pixel grid
    if opened.wcs is None:
        why = opened.no_wcs or "no celestial WCS in the header"
        msg = f"{field.paths[band]}: {why}; sky positions need one: solve its astrometry first, or find its sources"
        msg = f"{msg} in pixels with astrogalaxy.detect in Python"
        raise ImageError(msg)
    return opened


def read_field(field: Field, config: SurveyConfig, *, sky: Path | None = None) -> tuple[Image | None, list[Failure]]:
    """Open a field and measure its sky; bands whose pixels cannot be read are left out.

    Parameters
    ----------
    field : Field
        Its files.
    config : SurveyConfig
        How to read them.
    sky : Path, optional
        Where `save_sky` has written its sky.

    Returns
    -------
    image : Image or None
        None without the reference band.
    failures : list of Failure
        One per band that is missing, refused or damaged.
    """
    image, failures = open_bands(field, config)
    if image is None:
        return None, failures
    if sky is not None:
        _restore_sky(sky, image)
    reference, good = image.reference, {}
    for name, band in image.bands.items():
        try:
            band.mesh  # noqa: B018 (reads the pixels: damage shows here)
        except ImageError as error:
            failures.append(Failure(image.name, "read", str(error), band=name))
        else:
            good[name] = band
    if reference not in good:
        msg = f"without its reference band {reference} the field cannot be done"
        return None, [*failures, Failure(image.name, "read", msg)]
    readable = Image(good, reference=reference, name=image.name)
    readable.large = image.large
    return readable, failures


def save_sky(path: Path, image: Image) -> None:
    """Write what is known of a field's sky, of the stars and noise of its bands, and of its large galaxies."""
    arrays = {
        f"{band}.{name}": values
        for band, opened in image.bands.items()
        for name, values in opened.mesh.to_arrays().items()
    }
    arrays["seeing"] = np.array(image.bands[image.reference].seeing)
    arrays[_LARGE] = image.large.to_array()
    for band, values in field_conditions(image).items():
        arrays[f"{band}.{_CONDITIONS}"] = values
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)


def _restore_sky(path: Path, image: Image) -> None:
    if not path.is_file():
        return
    with np.load(path, allow_pickle=False) as stored:
        for band, opened in image.bands.items():
            arrays = {n.split(".", 1)[1]: stored[n] for n in stored.files if n.startswith(f"{band}.")}
            conditions = arrays.pop(_CONDITIONS, None)
            if arrays:
                opened.mesh = Mesh.from_arrays(arrays)
            if conditions is not None:
                restore_conditions(opened, conditions)
        image.bands[image.reference].seeing = float(stored["seeing"])
        image.large = Detections.from_array(stored[_LARGE])


def keep_open(
    key: tuple[str, ...], read: Callable[[], tuple[Image | None, list[Failure]]]
) -> tuple[Image | None, list[Failure]]:
    """What `read_field` gives for a field, which is read unless this process has it open from its last task.

    Its bands are registered before any other thread gets it: of two threads that register an image at once, the later
    one finds nothing left to shift, and would put back the WCS that the other has put right.

    Parameters
    ----------
    key : tuple of str
        Another key is another field, or the same one with other content.
    read : callable
        Reads it.

    Raises
    ------
    ImageError
        If a band cannot be read while it is registered.
    """
    with _LOCK:
        if key not in _OPEN:
            _OPEN.clear()  # before the next one is read, so that a thread never keeps two
            _OPEN[key] = _Kept()
        kept = _OPEN[key]
    with kept.lock:
        if kept.found is None:
            image, failures = read()
            if image is not None:
                image.register()
            kept.found = image, failures
        return kept.found


def forget_fields() -> None:
    """Let go of the field that this process keeps open."""
    with _LOCK:
        _OPEN.clear()


def can_be_read(field: Field, config: SurveyConfig, band: str) -> bool:
    """Whether the pixels of a band can be read now, by reading them; false only if a worker could not do it either."""
    try:
        with warnings.catch_warnings(action="ignore"):
            open_band(field, band, config).mesh  # noqa: B018 (reads the pixels: damage shows here)
    except ImageError:
        return False
    except Exception as error:  # noqa: BLE001 (the tile will report it)
        logger.warning("field %s, band %s: %s", field.label, band, error)
    return True
