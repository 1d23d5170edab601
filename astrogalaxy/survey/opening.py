"""What a survey names besides its images, opened before anything runs, so that what is wrong costs no time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from astrogalaxy.catalog import CatalogError, check_served, columns_for
from astrogalaxy.config import SurveyConfig
from astrogalaxy.config.survey import ComputeSection
from astrogalaxy.devices import choose_placement
from astrogalaxy.errors import ConfigError, WeightsError
from astrogalaxy.formats import FORMATS
from astrogalaxy.images.wavelengths import order_problem
from astrogalaxy.measurement.astrometry import GAIA, read_positions
from astrogalaxy.models import ClassifierCard, Weights, load_classifier, load_weights
from astrogalaxy.survey.store import RunDirectory

__all__ = ["check_targets", "named_files", "open_inputs", "remarks"]

T = TypeVar("T")


def open_inputs(config: SurveyConfig, *, here: bool = True) -> Weights:
    """Open the weights and tables that a survey names, and look for its device.

    Parameters
    ----------
    config : SurveyConfig
        The survey.
    here : bool, optional
        Whether its networks run on this machine, unless it names a scheduler: only then the device must be here.

    Returns
    -------
    Weights
        Of its detector.

    Raises
    ------
    ConfigError
        If weights or a table are missing or damaged, a format does not hold as many columns, or there is no such
        device; it names file, line and key.
    """
    weights = _opened(lambda name: load_weights(name).verified(), config, "detection", "model")
    classes: Sequence[str] = ()
    if config.morphology.model is not None:
        from astrogalaxy.survey.cutouts import new_classes

        local = here and config.compute.scheduler is None
        read = partial(_runnable, compute=config.compute, local=local)
        classes = new_classes(_opened(read, config, "morphology", "model").card.classes)
    _check_columns(config, classes)
    if config.detection.positions is not None:
        _opened(_exists, config, "detection", "positions")
    if config.astrometry.check not in {None, GAIA}:
        _opened(read_positions, config, "astrometry", "check")
    # auto takes what there is; to look for a GPU takes seconds
    if here and config.compute.scheduler is None and config.compute.device != "auto":
        _opened(lambda device: choose_placement(device, config.compute.precision), config, "compute", "device")
    return weights


def check_targets(config: SurveyConfig, images: Iterable[Path] = ()) -> None:
    """Refuse a run that would replace what it reads or writes itself, or a survey.yml that no run has written.

    Parameters
    ----------
    config : SurveyConfig
        The survey.
    images : iterable of Path, optional
        Its images, masks and weight maps, besides the weights and tables that it names.

    Raises
    ------
    ConfigError
        If the run would write over a file; it names both.
    """
    directory = RunDirectory.of(config)
    # without regard to capitals, which some disks do not tell apart
    fixed = {path.name.casefold(): path for path in directory.fixed}
    for catalog in map(directory.catalog, config.output.formats):
        if (other := fixed.get(catalog.name.casefold())) is not None:
            reason = (
                f"the catalogue would be {catalog.name}, and every run writes another file, {other.name}, into its "
            )
            raise config.wrong("name", reason=reason + "folder; choose another name, or other output.formats")
    elsewhere = "set output.directory to another folder"
    if directory.has_foreign_settings():
        reason = f"the run would write its settings over {directory.settings}, which is not of a run; {elsewhere}"
        raise config.wrong("output", "directory", reason=reason)
    targets = {os.path.realpath(path): path for path in directory.targets(config.output.formats)}
    places = {place: path for path in targets.values() if (place := _place(path)) is not None}
    for file in (*named_files(config), *images):
        real = Path(os.path.realpath(file))
        around = (targets.get(str(part)) for part in (real, *real.parents))
        target = next((path for path in around if path is not None), places.get(_place(file)))
        if target is not None:
            reason = f"the run would write {target} over what it reads, {file}; {elsewhere}"
            raise config.wrong("output", "directory", reason=reason)


def named_files(config: SurveyConfig) -> list[Path]:
    """The weights and tables that a survey names by their paths."""
    named = (config.detection.model, config.morphology.model, config.detection.positions, config.astrometry.check)
    return [Path(name) for name in named if name is not None and os.path.isabs(name)]


def _place(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file: two names of one file share them, as on disks that do not tell capitals apart."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def remarks(config: SurveyConfig) -> list[str]:
    """Say what of a survey may not be meant as it is written, though it can be run.

    Parameters
    ----------
    config : SurveyConfig
        The survey.

    Returns
    -------
    list of str
        A sentence each, with file, line and key.

    Examples
    --------
    >>> from astrogalaxy.config import SurveyConfig
    >>> from astrogalaxy.survey.opening import remarks
    >>> remarks(SurveyConfig.from_dict({"name": "m31", "images": {"path": "{band}.fits", "bands": ["r", "g"]}}))
    ['configuration: images.bands: the network expects the shortest wavelength first, and r comes before g']
    """
    problem = order_problem(config.images.bands)
    return [str(config.wrong("images", "bands", reason=problem))] if problem else []


def _check_columns(config: SurveyConfig, classes: Sequence[str]) -> None:
    """Refuse a format that does not hold all columns: found out at the end of a run, it would cost the run."""
    given = config.detection.positions is not None
    n = len(columns_for(
        config.images.bands, classes=classes, apertures=len(config.measurement.apertures), positions=given
    ))  # fmt: skip
    for name in config.output.formats:
        if problem := FORMATS[name].excess(n):
            raise config.wrong("output", "formats", reason=problem)


def _classifier(name: str) -> Weights[ClassifierCard]:
    """Weights of a classifier, if none of its classes would take the place of a column of the detector."""
    weights = load_classifier(name).verified()
    try:
        check_served(weights.card.classes)
    except CatalogError as error:
        msg = f"{name}: {error}"
        raise WeightsError(msg) from None
    return weights


def _runnable(name: str, *, compute: ComputeSection, local: bool) -> Weights[ClassifierCard]:
    """The same, if it has the graph by which it runs everywhere but on a GPU."""
    weights = _classifier(name)
    try:
        _ = weights.graph
    except WeightsError:
        if not _may_be_gpu(compute, local=local):
            raise
    return weights


def _may_be_gpu(compute: ComputeSection, *, local: bool) -> bool:
    """Whether networks may run on a GPU; what other machines have is not known."""
    if compute.device != "auto":
        return compute.device == "cuda"
    return not local or choose_placement("auto", compute.precision).device == "cuda"


def _opened(read: Callable[[Any], T], config: SurveyConfig, section: str, key: str) -> T:
    try:
        return read(getattr(getattr(config, section), key))
    except (CatalogError, ConfigError, WeightsError) as error:
        raise config.wrong(section, key, reason=str(error)) from None


def _exists(path: str) -> None:
    """Refuse a missing table of given positions, which is read when the run is planned."""
    if not Path(path).is_file():
        msg = f"{path}: no such file"
        raise ConfigError(msg)
