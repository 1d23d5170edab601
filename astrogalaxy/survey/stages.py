"""The stages of one tile: align, detect, classify, measure. Pure functions of an image."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from numpy.typing import NDArray

from astrogalaxy.catalog import SourceCatalog, class_column, flag_bits, provenance
from astrogalaxy.catalog.columns import INPUT_ROW
from astrogalaxy.detection import Detections, Runtime, bridge_large, find_aligned, find_at, open_runtime
from astrogalaxy.detection.aligned import check_bands, field_seeing
from astrogalaxy.detection.hollow import doubted
from astrogalaxy.devices import Device, Precision
from astrogalaxy.errors import ConfigError
from astrogalaxy.images import Aligned, Image, Section, Tile
from astrogalaxy.images.seeing import FWHM
from astrogalaxy.images.wavelengths import order_problem
from astrogalaxy.measurement import FieldQuality, Sources, calibrate_field, given_quality, measure
from astrogalaxy.measurement.fieldwide import GIVEN_QUALITY
from astrogalaxy.measurement.stargalaxy import class_evidence, galaxy_probability
from astrogalaxy.measurement.starlight import image_seeing
from astrogalaxy.models import WeightCard
from astrogalaxy.morphology import Classifier
from astrogalaxy.survey.cutouts import classify_sources, new_classes
from astrogalaxy.survey.gallery import Gallery
from astrogalaxy.survey.positions import Positions, given_rows, image_positions

__all__ = [
    "MORPHOLOGY_SIZE",
    "MORPHOLOGY_SNR",
    "QUALITY",
    "Stopwatch",
    "TileResult",
    "TileSettings",
    "classify",
    "detect",
    "extract",
]

logger = logging.getLogger(__name__)

#: Key of the header with what a field's stars tell of it, as JSON.
QUALITY = "FIELDQ"
#: A class is given where its probability reaches this; else the source is ``unsure``.
SURE = 0.6
#: Smooth or disk is told only of galaxies at least this significant.
MORPHOLOGY_SNR = 20.0
#: Cutouts are classified of sources at least this large, in half-light radii of the field's stars.
MORPHOLOGY_SIZE = 1.5
# Least signal to noise of a source whose half-light radius, in that of stars, tells that it is too narrow, and that
# radius: in SDSS frames, where cosmic rays have been taken out, next to none are so narrow.
_NARROW_SNR, _NARROW = 10.0, 0.6
# A tile also reports sources this far outside its core, in pixels; the merge keeps one of two reports.
_SHARED_EDGE = 1.0
# Columns in which rows of given positions that coincide differ.
_OF_ROW = (INPUT_ROW, "source_id", "ra", "dec", "x", "y")
# Given positions closer than this share of the seeing, or than so many pixels, are measured once.
_SAME_SEEING, _SAME_PIXELS = 0.25, 0.5


@dataclass
class Stopwatch:
    """Wall time of stages, in seconds, by name."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


@dataclass(frozen=True)
class TileSettings:
    """How the sources of a tile are found, measured and classified.

    Attributes
    ----------
    bands : sequence of str
        Bands of the survey; those that the image lacks get NaN columns and a flag. By default those of the image.
    calibrated : mapping of str to bool, optional
        Which of them have a zero point; by default those of the image that have one.
    threshold : float, optional
        Lowest ``det_score``; see `detect`.
    apertures : float, Quantity or sequence of them
        Diameters; see `detect`.
    classifier : Classifier, optional
        Adds the probabilities of its classes.
    min_snr, min_size : float
        Lowest signal to noise of the galaxies that it classifies, and their least half-light radius, in units of that
        of the field's stars.

    Examples
    --------
    >>> from astrogalaxy.survey import TileSettings
    >>> TileSettings(bands=["g", "r", "i"], threshold=0.5).min_snr
    20.0
    """

    bands: Sequence[str] = ()
    calibrated: Mapping[str, bool] | None = None
    threshold: float | None = None
    apertures: float | u.Quantity | Sequence[float | u.Quantity] = 3.0
    classifier: Classifier | None = None
    min_snr: float = MORPHOLOGY_SNR
    min_size: float = MORPHOLOGY_SIZE


@dataclass(frozen=True)
class TileResult:
    """What comes of a tile: its sources, the aligned pixels for a preview, and pictures of classified galaxies."""

    catalog: SourceCatalog
    aligned: Aligned
    gallery: Gallery | None = None


def detect(
    image: Image,
    *,
    model: str | Path = "default",
    threshold: float | None = None,
    field_prior: bool = True,
    apertures: float | u.Quantity | Sequence[float | u.Quantity] = 3.0,
    positions: Table | SkyCoord | str | Path | None = None,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: int = 0,
) -> SourceCatalog:
    """Find, classify and measure every source of an image.

    Parameters
    ----------
    image : Image
        One or more bands.
    model : str or Path
        Weights: ``default``, a name of ``astrogalaxy weights list``, or a path.
    threshold : float, optional
        Lowest ``det_score`` of a source; the weights' own by default.
    field_prior : bool
        Whether the shares of stars and galaxies among the image's clear sources count for the others; see `classify`.
    apertures : float, Quantity or sequence of them
        Diameters of the fixed apertures, arcsec or angles.
    positions : Table, SkyCoord or path, optional
        Where the sources are: each position on the image has one row, in the given order and with the number of
        the table's row in ``input_row``, whether something is seen there or not. A table has columns ra and dec (ICRS,
        degrees) or a column of coordinates; x and y (pixels from 0) for an image without WCS. Positions that coincide,
        closer than a quarter of the seeing or half a pixel, are measured once, as the first of them, and their rows
        say the same. Nothing else has a row, but its light is taken out. By default the network finds the sources.
    device : {'auto', 'cpu', 'openvino', 'cuda'}
        Where the network runs; see `~astrogalaxy.detection.Runtime`.
    precision : {'auto', 'float32', 'float16', 'bfloat16'}
        Floating-point precision of the network: ``auto`` is float32 on a CPU and float16 on a GPU.
    threads : int
        CPU threads of the network; 0 for all.

    Returns
    -------
    SourceCatalog
        Sources from the image's first row to its last; ``meta`` says which weights and which software have found
        them. Without a WCS, sky positions and all lengths in arcsec are NaN, apertures too, and ``source_id`` is -1.

    Raises
    ------
    ImageError
        If a band cannot be read.
    WeightsError
        If the weights cannot serve the image.
    ConfigError
        If ``positions`` has no positions, or a row lacks one, or another argument makes no sense.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.config import pipelines_folder
    >>> folder = pipelines_folder() / "quickstart"
    >>> image = ag.Image.read({b: folder / f"quickstart-{b}.fits" for b in "gri"}, zeropoint=22.5)
    >>> catalog = ag.detect(image)
    >>> catalog.bands
    ('g', 'r', 'i')
    >>> ag.detect(image, positions=catalog.coords[:2])["input_row"].tolist()
    [0, 1]
    """
    if not isinstance(image, Image):
        msg = f"detect needs an Image, not {type(image).__name__}; Image.read makes one"
        raise ConfigError(msg)
    if threshold is not None and not (isinstance(threshold, Real) and 0 <= threshold <= 1):
        msg = f"threshold must be a number from 0 to 1, not {threshold!r}"
        raise ConfigError(msg)
    disorder = order_problem(list(image.bands))
    if disorder:
        logger.warning("%s", disorder)
    given = None if positions is None else image_positions(image, positions)
    runtime = open_runtime(model, device, threads, precision)
    whole = Section.whole(image.shape)
    tile = Tile("whole", whole, whole)
    settings = TileSettings(threshold=threshold, apertures=apertures)
    found = extract(image, tile, runtime, settings, positions=given).catalog
    card = runtime.weights.card
    found.meta.update(provenance(**card.provenance))
    catalog = classify(found, card, field_prior=field_prior)
    if image.wcs is None:
        _forget_lengths(catalog)
    return catalog if given is None else given_rows(catalog)


def _forget_lengths(catalog: SourceCatalog) -> None:
    """Set to NaN, in place, lengths in pixels of unknown size, and fluxes in apertures that are given in arcsec."""
    names = ["ra_err", "dec_err", "a", "b", "half_light_radius", "radius_corr", "fwhm"]
    for name in names + [name for name in catalog.colnames if name.startswith("flux_aper")]:
        catalog[name][:] = np.nan
    lengths = ("seeing", "seeing_spread", "star_radius")
    catalog.meta[QUALITY] = json.dumps(json.loads(catalog.meta[QUALITY]) | dict.fromkeys(lengths))


def extract(
    image: Image,
    tile: Tile,
    runtime: Runtime,
    settings: TileSettings | None = None,
    *,
    positions: Positions | None = None,
    watch: Stopwatch | None = None,
) -> TileResult:
    """Find and measure the sources of a tile.

    Probabilities are those of the network alone (0.4 to 0.6 for classes of sources without data in their cores), and
    ``flux_apcor`` and ``flux_psf`` are not yet corrected; `classify` completes them, field by field.

    Parameters
    ----------
    image : Image
        The field.
    tile : Tile
        Sources are looked for in its outer section; those in its core, and within a pixel of it, are kept.
    runtime : Runtime
        The network.
    settings : TileSettings, optional
        How; by default as `TileSettings` has it.
    positions : Positions, optional
        Given positions: those in the core have one row each, and are not moved; those that coincide (see `detect`) are
        measured once. Sources that the network finds besides have ``input_row`` -1: their light is taken out, and stars
        among them calibrate the field; `~astrogalaxy.survey.positions.given_rows` leaves them out in the end.
    watch : Stopwatch, optional
        Takes the time of the stages ``align``, ``detect``, ``measure`` and ``morphology``.

    Returns
    -------
    TileResult
        Sources from the tile's first row to its last.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.detection import open_runtime
    >>> from astrogalaxy.images import plan_tiles
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> from astrogalaxy.survey import extract
    >>> scene = simulate_scene(PROFILES["sdss"], size=128, seed=2)
    >>> image = ag.Image.read({"r": (scene.images["r"], scene.wcs["r"])}, zeropoint=22.5)
    >>> tile = plan_tiles(image.shape, size=128, overlap=0)[0]
    >>> len(extract(image, tile, open_runtime()).catalog) > 0
    True
    """
    settings, watch = settings or TileSettings(), watch or Stopwatch()
    check_bands(runtime.weights.card, len(image.bands))
    with watch("align"):
        image.register()
    with watch("detect"):
        tile = tile.holding(bridge_large(image, runtime).boxes, image.shape)
    with watch("align"):
        aligned = image.aligned(tile.outer)
    with watch("detect"):
        found, given = _detect(image, aligned, tile, runtime, settings.threshold, positions)
        found = doubted(found, aligned, image_seeing(image))
    with watch("measure"):
        found, measured = _measure(image, found, given, tile, settings)
        catalog = _catalog(image, found, measured, runtime.weights.card, settings)
        if any(band.given_psf is not None for band in image.bands.values()):
            catalog.meta[GIVEN_QUALITY] = given_quality(image).to_json()
    gallery = None
    if settings.classifier is not None:
        with watch("morphology"):
            gallery = _classify_cutouts(image, aligned, catalog, settings.classifier, settings)
    return TileResult(catalog, aligned, gallery)


@dataclass(frozen=True)
class _Given:
    """Given positions on a tile, and for each the number of the source that it is measured as; these come first."""

    positions: Positions
    source: NDArray[np.intp]


def _detect(
    image: Image, aligned: Aligned, tile: Tile, runtime: Runtime, threshold: float | None, positions: Positions | None
) -> tuple[Detections, _Given | None]:
    """Find the sources of a tile; those at given positions come first."""
    seeing = field_seeing(image, runtime.weights.card)
    if positions is None:
        return find_aligned(aligned, runtime, seeing=seeing, threshold=threshold, large=image.large), None
    near = positions.within(tile.outer)
    stars = image.bands[image.reference].seeing
    once, source = np.unique(near.standing_for(_same_position(stars)), return_inverse=True)
    x, y = near.x[once], near.y[once]
    at, others = find_at(aligned, runtime, x, y, stars=stars, seeing=seeing, threshold=threshold, large=image.large)
    return at.join(others), _Given(near, source)


def _same_position(seeing: float) -> float:
    """Distance in pixels below which given positions coincide; the seeing may be NaN."""
    return float(np.fmax(_SAME_SEEING * seeing, _SAME_PIXELS))


def _measure(
    image: Image, found: Detections, given: _Given | None, tile: Tile, settings: TileSettings
) -> tuple[Detections, dict[str, NDArray[np.generic]]]:
    """Measure all sources, and keep the tile's own: a row for each given position, then the others."""
    source = np.zeros(0, dtype=np.intp) if given is None else given.source
    held = np.isin(np.arange(len(found)), source)
    sources = Sources(found.x, found.y, found.x_min, found.x_max, found.y_min, found.y_max, held=held)
    # without a WCS lengths are in pixels, in which sizes can still be compared with those of the field's stars
    measured = measure(image, sources, section=tile.outer, apertures=settings.apertures, pixel_scale=1.0)
    row = np.concatenate([source, np.flatnonzero(~held)])
    found, measured = found.take(row), {name: values[row] for name, values in measured.items()}
    own = tile.core.grow(int(np.ceil(_SHARED_EDGE))).contains(found.x, found.y)
    if given is not None:
        # a given position is the same in every tile, and so in one core only
        own[: len(source)] = tile.owns(given.positions.x, given.positions.y)
        _put_given(measured, given.positions)
    return found.take(own), {name: values[own] for name, values in measured.items()}


def _put_given(measured: dict[str, NDArray[np.generic]], near: Positions) -> None:
    """Put the first sources exactly where they were given, and add the column of their rows, in place."""
    n = len(near)
    measured[INPUT_ROW] = np.full(len(measured["x"]), -1, dtype=np.int64)
    measured[INPUT_ROW][:n] = near.row
    measured["x"][:n], measured["y"][:n] = near.x, near.y
    on_sky = np.flatnonzero(np.isfinite(near.ra))
    measured["ra"][on_sky], measured["dec"][on_sky] = near.ra[on_sky], near.dec[on_sky]


def _catalog(
    image: Image,
    found: Detections,
    measured: Mapping[str, NDArray[np.generic]],
    card: WeightCard,
    settings: TileSettings,
) -> SourceCatalog:
    bands, classifier = settings.bands or tuple(image.bands), settings.classifier
    columns: dict[str, object] = dict(measured)
    for name in ("x_min", "x_max", "y_min", "y_max", "det_score", "p_star", "p_galaxy", "p_smooth", "p_disk"):
        columns[name] = getattr(found, name)
    columns["field"] = np.full(len(found), image.name)
    columns["flags"] = np.asarray(columns["flags"]) | _image_flags(image, card, bands)
    known = settings.calibrated or {name: band.zeropoint is not None for name, band in image.bands.items()}
    catalog = SourceCatalog.from_columns(
        columns,
        bands=bands,
        calibrated={name for name in bands if known.get(name)},
        apertures=np.size(settings.apertures),
        classes=new_classes(classifier.classes) if classifier else (),
    )
    return catalog[np.lexsort([catalog["x"], catalog["y"]])]


def _classify_cutouts(
    image: Image, aligned: Aligned, catalog: SourceCatalog, classifier: Classifier, settings: TileSettings
) -> Gallery:
    """Fill in, in place, a cutout classifier's probabilities of galaxies, and keep their pictures."""
    seen = classify_sources(image, aligned, classifier, catalog, min_snr=settings.min_snr, min_size=settings.min_size)
    for name, probability in zip(classifier.classes, seen.probability.T, strict=True):
        catalog[class_column(name)][seen.rows] = probability
    return Gallery.of(seen, classifier.classes, catalog)


def classify(
    catalog: SourceCatalog, card: WeightCard, *, field_prior: bool = True, min_snr: float = MORPHOLOGY_SNR
) -> SourceCatalog:
    """Complete the probabilities of a field's sources, and name their classes.

    The network judges the width of a source by the few stars that it happens to see around it. Better measures are the
    spread beyond the field's point spread, and the half-light radius over that of the field's clear stars. If the field
    has enough stars, all go into one calibrated probability, together with the number of galaxies that the field has
    for each star (`~astrogalaxy.measurement.stargalaxy.galaxy_probability`).

    ``class`` is star or galaxy if its probability is at least 0.6, else ``unsure``. A given position has a class only
    if its ``det_score`` reaches the threshold of the weights; otherwise there is hardly a source. Whatever is more
    probably a galaxy than a star has a morphology: smooth or disk if its probability is at least 0.6 and the signal to
    noise at least ``min_snr``, else ``unsure``. For stars it is empty, and its probabilities are NaN.

    A source with less than 0.6 of the half-light radius of the field's stars, and a signal to noise above 10, is
    flagged ``narrow``, and ``unsure``: no light that came through the atmosphere and the optics can be that sharp.

    The field's stars are then used to correct fluxes in the small aperture, and to take the seeing out of sizes
    (`astrogalaxy.measurement.calibrate_field`).

    Parameters
    ----------
    catalog : SourceCatalog
        All sources of one field, as `extract` gives them.
    card : WeightCard
        Of the weights that found them.
    field_prior : bool
        False: the number of galaxies for each star does not count, so that the same rule holds in all fields.
    min_snr : float
        Lowest signal to noise of a galaxy that is called smooth or disk.

    Returns
    -------
    SourceCatalog
        A copy.
    """
    once, source = _measured_once(catalog)
    if len(once) < len(catalog):
        # a position that is given twice must not count twice in what is learnt from the field's sources
        result = classify(catalog[once], card, field_prior=field_prior, min_snr=min_snr)[source]
        for name in _OF_ROW:
            result[name][:] = catalog[name]
        return result
    result = catalog.copy()
    given = FieldQuality.from_json(result.meta.pop(GIVEN_QUALITY, "{}"))
    evidence = class_evidence(catalog["p_galaxy"], catalog, threshold=card.threshold, known=given.star_radius)
    p_galaxy = galaxy_probability(evidence, card.calibration, field_prior=field_prior)
    # in place: a column keeps its type, unit and UCD
    result["p_galaxy"][:], result["p_star"][:] = p_galaxy, 1 - p_galaxy
    galaxy = p_galaxy >= 0.5
    # at a given position where nothing is seen, the probabilities mean nothing
    seen = np.asarray(catalog["det_score"]) >= (card.threshold if INPUT_ROW in catalog.colnames else 0.0)
    result["class"][:] = np.select(
        [seen & (p_galaxy <= 1 - SURE), seen & (p_galaxy >= SURE)], ["star", "galaxy"], "unsure"
    )
    with np.errstate(invalid="ignore"):
        clear = galaxy & (np.asarray(catalog["snr"]) >= min_snr)
    smooth, disk = np.asarray(catalog["p_smooth"]), np.asarray(catalog["p_disk"])
    shapes = [~galaxy, clear & (smooth >= SURE), clear & (disk >= SURE)]
    result["morphology"][:] = np.select(shapes, ["", "smooth", "disk"], "unsure")
    for name in ("p_smooth", "p_disk", *(f"p_{name}" for name in catalog.classes)):
        result[name][:] = np.where(galaxy, np.asarray(catalog[name]), np.nan)
    quality = calibrate_field(result, given=given)
    narrow = (np.asarray(catalog["snr"]) > _NARROW_SNR) & (
        np.asarray(catalog["half_light_radius"]) < _NARROW * quality.star_radius
    )
    result["flags"][narrow] |= flag_bits("narrow")
    result["class"][narrow] = "unsure"
    result.meta[QUALITY] = json.dumps(quality.to_dict())
    return result


def _measured_once(catalog: SourceCatalog) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first row of each source, and for every row the index of its source among these.

    Given positions that coincide, which are measured once, have the same box.
    """
    if INPUT_ROW not in catalog.colnames:
        return np.arange(len(catalog)), np.arange(len(catalog))
    boxes = np.column_stack([catalog[name] for name in ("x_min", "x_max", "y_min", "y_max")])
    _, first, same = np.unique(boxes, axis=0, return_index=True, return_inverse=True)
    once, source = np.unique(first[same.ravel()], return_inverse=True)
    return once, source


def _image_flags(image: Image, card: WeightCard, bands: Sequence[str]) -> int:
    """Flags that hold for every source of an image."""
    flags = 0
    if set(bands) - set(image.bands):
        flags |= flag_bits("missing_band")
    fwhm = FWHM * image.bands[image.reference].seeing
    if card.is_outside(image.pixel_scale, fwhm):
        flags |= flag_bits("outside_weight")
    return flags
