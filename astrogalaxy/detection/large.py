"""Find galaxies that are larger than what the network sees at once, on a binned image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import sep
from numpy.typing import NDArray
from scipy import ndimage

from astrogalaxy.detection.aligned import field_seeing, find_aligned, find_at
from astrogalaxy.detection.detections import Detections
from astrogalaxy.detection.pieces import NEAR, from_middle, in_middle
from astrogalaxy.detection.runtime import Runtime
from astrogalaxy.images import Aligned, Band, Image, Mesh, Section, plan_tiles
from astrogalaxy.images.bins import binned
from astrogalaxy.images.saturation import blunt_cores, core_of
from astrogalaxy.images.threshold import above_threshold
from astrogalaxy.measurement.starlight import image_seeing

__all__ = ["bridge_large", "find_large"]

# Pixels that are added up, along each axis; stars are too narrow then for their width to matter.
_BIN, _BINNED_SEEING = 4, 1.5
# Least peak of a candidate in the binned image, in units of its noise: large discs are no brighter than that. So are
# wisps of nebulae, of which the network is less sure; below the significance of a clear galaxy it must be so sure.
_PEAK, _SURE_SOURCE = 10.0, 0.85
# Half-light radius, in binned pixels, from which a galaxy raises the sky that is measured around it; and the side of
# an image below which none is looked for.
_LARGE, _TOO_SMALL = 4.0, 192
# Boxes of the sky, along each axis, over whose median no galaxy of interest has a say.
_SKY_BOXES = 9
# Side of the sections that are searched, and their overlap, binned pixels.
_SIDE, _OVERLAP = 768, 96
# Level of a galaxy's outline in units of the noise; a peak within it that has less than this share of its light is a
# part of it.
_OUTLINE, _PART = 1.5, 0.02
# Least probability that it is a galaxy, and that it is a source at all: a crowd of stars has neither.
_GALAXY, _SOURCE = 0.8, 0.3
# Half a side of its box in units of the rms radius of its light along that axis, and the largest rms that is believed
# in half-light radii.
_BOX, _LONGEST = 2.2, 1.5
# How far from the centroid of its light the network may see it, binned pixels: spiral arms are not symmetric.
_NEAR = 4.0
# Radius within which light is summed, in units of the rms along the major axis.
_FAR = 4.0
# Half the side of the full-resolution section around a candidate, and the least significance of a galaxy in its
# middle: satellite trails and reflections are large, too, and some faint galaxy may lie on them.
_CLOSE, _CLEAR = 64, 40.0


def bridge_large(image: Image, runtime: Runtime) -> Detections:
    """Galaxies that the network cannot see whole (`find_large`), when the sky that they have raised is corrected.

    The sky of all bands under them is bridged (`Mesh.bridged`), and they are kept as ``image.large``: once per image.

    Parameters
    ----------
    image : Image
        Its ``large``, and the mesh of its bands, are changed.
    runtime : Runtime
        The network.

    Returns
    -------
    Detections
        Pixels of the image; the largest first.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.detection import bridge_large, open_runtime
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=256, seed=2)
    >>> image = ag.Image.read({"r": (scene.images["r"], scene.wcs["r"])})
    >>> len(bridge_large(image, open_runtime())), bridge_large(image, open_runtime()) is image.large
    (0, True)
    """
    if image.large is None:
        image.large = find_large(image, runtime)
        if len(image.large):
            for name, band in image.bands.items():
                band.mesh = band.mesh.bridged(image.on_band(name, image.large.boxes))
    return image.large


def find_large(image: Image, runtime: Runtime) -> Detections:
    """Find galaxies that the network cannot see whole.

    The reference band is binned four by four, over a sky that is smooth on the scale of galaxies. They are what is
    large there, and has a galaxy in its middle at full resolution.

    Parameters
    ----------
    image : Image
        It is not changed.
    runtime : Runtime
        The network. If it does not serve a single band, nothing is large.

    Returns
    -------
    Detections
        Pixels of the image; the largest first.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.detection import find_large, open_runtime
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=256, seed=2)
    >>> image = ag.Image.read({"r": (scene.images["r"], scene.wcs["r"])})
    >>> len(find_large(image, open_runtime()))
    0
    """
    found = Detections.none()
    if runtime.weights.card.min_bands == 1 and min(image.shape) >= _TOO_SMALL:
        for part in _candidates(image.bands[image.reference], runtime):
            found = found.join(part)
    confirmed = np.array([_confirmed(image, runtime, galaxy) for galaxy in found], dtype=bool)
    return _outermost(found.take(confirmed))


def _outermost(found: Detections) -> Detections:
    """The largest first, without those that lie on a larger one: they are the same galaxy, or a part of it."""
    kept: list[int] = []
    found = found.take(np.argsort(-(found.x_max - found.x_min) * (found.y_max - found.y_min), kind="stable"))
    for number, galaxy in enumerate(found):
        if not (from_middle(galaxy, found.take(np.array(kept, dtype=np.intp))) < 0.5).any():
            kept.append(number)
    return found.take(np.array(kept, dtype=np.intp))


def _candidates(band: Band, runtime: Runtime) -> Iterator[Detections]:
    """Large galaxies by section of the binned band, as the network sees them there; in pixels of the band."""
    smooth = _smooth_sky(band.mesh)
    for tile in plan_tiles(tuple(side // _BIN for side in band.shape), size=_SIDE, overlap=_OVERLAP):
        small = _binned_section(band, smooth, tile.outer)
        (light,), (bad,) = small.snr, small.bad
        outlines = above_threshold(light, _OUTLINE, mask=bad, deblend_cont=_PART)
        outlines = outlines[(outlines["peak"] > _PEAK) & (outlines["a"] > _LARGE / 2)]
        radius, _ = sep.flux_radius(
            light, outlines["x"], outlines["y"], _FAR * outlines["a"], 0.5, normflux=outlines["flux"]
        )
        x, y = (outlines[axis] + start for axis, start in zip("xy", small.section[::2], strict=True))
        large = (radius > _LARGE) & tile.owns(x, y)
        if large.any():
            seen, _ = find_at(small, runtime, x[large], y[large], stars=2 * _NEAR, seeing=_BINNED_SEEING)
            boxed = _at_full_size(seen, outlines[large], radius[large])
            least = np.where(outlines["peak"][large] > _CLEAR, _SOURCE, _SURE_SOURCE)
            yield boxed.take((seen.p_galaxy > _GALAXY) & (seen.det_score > least))


def _at_full_size(seen: Detections, outlines: NDArray[np.void], radius: NDArray[np.float64]) -> Detections:
    """Sources of the binned image in pixels of the image, with boxes by the moments of their light."""
    sides = {}
    for axis in "xy":
        # a trail or spike across a galaxy has little light, and makes the second moment large
        half = _BOX * np.minimum(np.sqrt(outlines[f"{axis}2"]), _LONGEST * radius)
        middle = getattr(seen, axis)
        sides |= {axis: middle, f"{axis}_min": middle - half, f"{axis}_max": middle + half}
    return replace(seen, **{name: values * _BIN + (_BIN - 1) / 2 for name, values in sides.items()})


def _smooth_sky(mesh: Mesh) -> Mesh:
    """The sky without what large galaxies have added to it."""
    return replace(mesh, background_mesh=ndimage.median_filter(mesh.background_mesh, _SKY_BOXES, mode="nearest"))


def _binned_section(band: Band, smooth: Mesh, section: Section) -> Aligned:
    """A section of the binned band over the smooth sky, in units of the noise; its pixels are binned ones."""
    full = Section(*(edge * _BIN for edge in section))
    pixels = band.pixels(full)
    raised = replace(smooth, background_mesh=band.mesh.background_mesh - smooth.background_mesh)
    light = raised.background(full) / np.float32(band.unit)
    light += pixels.data
    light[pixels.bad] = 0.0
    bad = binned(pixels.bad, _BIN, dtype=np.uint8) > _BIN**2 / 2
    snr = np.where(bad, 0.0, binned(light, _BIN) / np.sqrt(binned(np.square(pixels.noise), _BIN)))
    return Aligned(snr[None], bad[None], (band.name,), section)


def _confirmed(image: Image, runtime: Runtime, galaxy: Detections) -> bool:
    """Whether at full resolution one galaxy is in the middle, and not a star with its halo, or a crowd."""
    (x,), (y,) = galaxy.x, galaxy.y
    x0, y0 = (int(max(centre - _CLOSE, 0) // 32 * 32) for centre in (x, y))
    section = Section(x0, x0 + 2 * _CLOSE + 32, y0, y0 + 2 * _CLOSE + 32).clip(image.shape)
    aligned = image.aligned(section)
    close = find_aligned(aligned, runtime, seeing=field_seeing(image, runtime.weights.card))
    clear = close.take(close.significance >= _CLEAR)
    main = in_middle(clear, galaxy)
    if main is None:
        # the middle of a very large one is too wide to be found, but then nothing else is found there either
        return bool(galaxy.significance[0] >= _CLEAR and not (from_middle(clear, galaxy) <= NEAR).any())
    cores = blunt_cores(aligned.snr.max(axis=0), 1.0, aligned.bad.all(axis=0), image_seeing(image))
    at = clear.x[[main]] - section.x0, clear.y[[main]] - section.y0
    return bool((core_of(cores, *at) < 0).all())
