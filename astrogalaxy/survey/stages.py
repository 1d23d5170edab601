"""The stages of one tile: align, detect, classify, measure. Pure functions of an image."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.catalog import SourceCatalog, flag_bits
from astrogalaxy.detection import Detections, Device, Runtime, find_aligned, open_runtime
from astrogalaxy.detection.find import check_bands, field_seeing
from astrogalaxy.images import Aligned, Image, Section, Tile
from astrogalaxy.measurement import Sources, measure, relative_extent, star_radius
from astrogalaxy.models import BY_EXTENT, WeightCard

__all__ = ["Stopwatch", "TileResult", "classify", "detect", "extract"]

#: A class is given where its probability reaches this; else the source is ``unsure``.
SURE = 0.6
#: Smooth or disk is told only of galaxies at least this significant.
MORPHOLOGY_SNR = 20.0
# A source this near to a tile's edge is reported by both tiles; the merge keeps one.
_SHARED_EDGE = 1.0


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
class TileResult:
    """What a tile gives: its sources, and the aligned pixels for a preview."""

    catalog: SourceCatalog
    aligned: Aligned


def detect(
    image: Image,
    *,
    model: str = "default",
    threshold: float | None = None,
    aperture: float = 3.0,
    device: Device = "auto",
    threads: int = 0,
) -> SourceCatalog:
    """Find, classify and measure every source of an image.

    Parameters
    ----------
    image : Image
        One or more bands.
    model : str
        Weights: ``default``, a name of ``astrogalaxy weights list``, or a path.
    threshold : float, optional
        Lowest ``det_score`` of a source; the weights' own by default.
    aperture : float
        Diameter of the fixed aperture, arcsec.
    device : {'auto', 'cpu', 'cuda'}
        Where the network runs.
    threads : int
        CPU threads of the network; 0 for all.

    Returns
    -------
    SourceCatalog
        Sources from the image's first row to its last. Without a WCS, sky
        positions are NaN and ``source_id`` is -1.

    Raises
    ------
    ImageError
        If a band cannot be read.
    WeightsError
        If the weights cannot serve the image.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=128, seed=2)
    >>> image = ag.Image.read({b: (scene.images[b], scene.wcs[b]) for b in "gri"}, zeropoint=22.5)
    >>> catalog = ag.detect(image)
    >>> catalog.bands
    ('g', 'r', 'i')
    """
    runtime = open_runtime(model, device, threads)
    whole = Section.whole(image.shape)
    tile = Tile("whole", whole, whole)
    found = extract(image, tile, runtime, threshold=threshold, aperture=aperture).catalog
    return classify(found, runtime.weights.card)


def extract(
    image: Image,
    tile: Tile,
    runtime: Runtime,
    *,
    bands: Sequence[str] = (),
    calibrated: Mapping[str, bool] | None = None,
    threshold: float | None = None,
    aperture: float = 3.0,
    watch: Stopwatch | None = None,
) -> TileResult:
    """Find and measure the sources of a tile.

    Probabilities are those of the network alone; `classify` completes them, field by field.

    Parameters
    ----------
    image : Image
        The field.
    tile : Tile
        Sources are looked for in its outer section; those of its core are kept, and those
        within a pixel of the core.
    runtime : Runtime
        The network.
    bands : sequence of str
        Bands of the survey; those that the image lacks get NaN columns and a flag.
    calibrated : mapping of str to bool, optional
        Which of them have a zero point; by default as in the image.
    threshold, aperture
        See `detect`.
    watch : Stopwatch, optional
        Takes the time of the stages ``read``, ``detect`` and ``measure``.

    Returns
    -------
    TileResult
        Sources in order of rows.
    """
    watch = watch or Stopwatch()
    card = runtime.weights.card
    check_bands(card, len(image.bands))
    with watch("read"):
        aligned = image.aligned(tile.outer)
    with watch("detect"):
        found = find_aligned(aligned, runtime, seeing=field_seeing(image, card), threshold=threshold)
    with watch("measure"):
        boxes = (found.x_min, found.x_max, found.y_min, found.y_max)
        sources = Sources(found.x, found.y, *boxes)
        measured = measure(image, sources, section=tile.outer, aperture=aperture)
        mine = tile.core.grow(int(np.ceil(_SHARED_EDGE))).contains(found.x, found.y)
        catalog = _catalog(image, found, measured, mine, card, bands or tuple(image.bands), calibrated)
    return TileResult(catalog, aligned)


def _catalog(
    image: Image,
    found: Detections,
    measured: Mapping[str, NDArray[np.generic]],
    mine: NDArray[np.bool_],
    card: WeightCard,
    bands: Sequence[str],
    calibrated: Mapping[str, bool] | None,
) -> SourceCatalog:
    columns: dict[str, object] = {name: values[mine] for name, values in measured.items()}
    found = found.take(mine)
    for name in ("x_min", "x_max", "y_min", "y_max"):
        columns[name] = getattr(found, name)
    for name in ("det_score", "p_star", "p_galaxy", "p_smooth", "p_disk"):
        columns[name] = getattr(found, name)
    columns["field"] = np.full(len(found), image.name)
    columns["flags"] = np.asarray(columns["flags"]) | _image_flags(image, card, bands)
    known = calibrated or {name: band.zeropoint is not None for name, band in image.bands.items()}
    catalog = SourceCatalog.from_columns(columns, bands=bands, calibrated={name for name in bands if known.get(name)})
    return catalog[np.lexsort([catalog["x"], catalog["y"]])]


def classify(catalog: SourceCatalog, card: WeightCard, *, min_snr: float = MORPHOLOGY_SNR) -> SourceCatalog:
    """Complete the probabilities of a field's sources, and name their classes.

    The network judges the width of a source against the few stars that it happens to see around
    it. The measured half-light radius over that of the clear stars of the whole field says it
    better; both go into one calibrated probability, of sources that stand alone, where the field
    has stars enough.

    ``class`` is star or galaxy where that is at least 0.6 probable, else ``unsure``. Morphology
    is told of what is more probably a galaxy than a star: smooth or disk where that is at least
    0.6 probable and the signal to noise at least ``min_snr``, else ``unsure``. Of stars it is empty and
    its probabilities are NaN.

    Parameters
    ----------
    catalog : SourceCatalog
        All sources of one field, as `extract` gives them.
    card : WeightCard
        Of the weights that found them.
    min_snr : float
        Lowest signal to noise of a galaxy whose morphology is told.

    Returns
    -------
    SourceCatalog
        A copy.
    """
    result = catalog.copy()
    p_galaxy = _with_extent(catalog, card)
    # in place: a column keeps its type, unit and UCD
    result["p_galaxy"][:], result["p_star"][:] = p_galaxy, 1 - p_galaxy
    galaxy = p_galaxy >= 0.5
    result["class"][:] = np.select([p_galaxy <= 1 - SURE, p_galaxy >= SURE], ["star", "galaxy"], "unsure")
    with np.errstate(invalid="ignore"):
        clear = galaxy & (np.asarray(catalog["snr"]) >= min_snr)
    smooth, disk = np.asarray(catalog["p_smooth"]), np.asarray(catalog["p_disk"])
    shapes = [~galaxy, clear & (smooth >= SURE), clear & (disk >= SURE)]
    result["morphology"][:] = np.select(shapes, ["", "smooth", "disk"], "unsure")
    for name, values in (("p_smooth", smooth), ("p_disk", disk)):
        result[name][:] = np.where(galaxy, values, np.nan)
    return result


def _with_extent(catalog: SourceCatalog, card: WeightCard) -> NDArray[np.float64]:
    """Probability of a galaxy from the network's and, where it is known, the extent."""
    p = np.clip(np.asarray(catalog["p_galaxy"], dtype=float), 1e-6, 1 - 1e-6)
    radius, snr = np.asarray(catalog["half_light_radius"], float), np.asarray(catalog["snr"], float)
    ruler = star_radius(radius, snr, 1 - p, np.asarray(catalog["flags"]))
    calibration = card.calibration.get(BY_EXTENT)
    if calibration is None or not np.isfinite(ruler):
        return p
    extent = relative_extent(radius, ruler, flags=catalog["flags"])
    combined = calibration.probability(np.log(p / (1 - p)), np.nan_to_num(snr), extent)
    return np.where(np.isfinite(extent), combined, p)


def _image_flags(image: Image, card: WeightCard, bands: Sequence[str]) -> int:
    """Flags that hold for every source of an image."""
    flags = 0
    if set(bands) - set(image.bands):
        flags |= flag_bits("missing_band")
    low, high = card.pixel_scale
    if np.isfinite(image.pixel_scale) and not low <= image.pixel_scale <= high:
        flags |= flag_bits("outside_weight")
    return flags
