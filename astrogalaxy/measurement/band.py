"""The light of all sources in one band, on the band's own pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.measurement.canvas import Canvas, touched
from astrogalaxy.measurement.localsky import local_sky
from astrogalaxy.measurement.locate import stacked
from astrogalaxy.measurement.photometry import circle_sums, ellipse_sums, half_light_radius
from astrogalaxy.measurement.profiles import Moffat
from astrogalaxy.measurement.scene import Scene, misplaced_light

if TYPE_CHECKING:
    from astrogalaxy.measurement.moments import Shapes
    from astrogalaxy.measurement.psf import PsfFit
    from astrogalaxy.measurement.stamps import Stamps

__all__ = ["BandLight", "Footprint", "band_scene", "measure_light"]

# A band in which less than this share of the aperture has data is missing.
_LEAST_DATA = 0.5
# Signal to noise at which a band's own shape of a source counts as much as that of the reference.
_SHAPE_SNR = 10.0
# Rounds on shapes and light where the seeing is not known, and then on the light alone.
_SHAPE_ROUNDS, _LIGHT_ROUNDS = 4, 3
# Inner part of the aperture in which a saturated pixel is the source's own.
_SATURATED_PART = 0.6
# Where the sky is measured, each source is hidden out to so many times its total aperture.
_HIDDEN = 1.3
# And at least to where it falls below this part of the noise, if its profile has this exponent, for wide wings; but no
# further than so many sigma.
_FELT, _HIDDEN_BETA, _FURTHEST = 0.05, 2.5, 25.0


@dataclass(frozen=True)
class Footprint:
    """Where and how wide n sources are measured in one band, in pixels of its canvas.

    Attributes
    ----------
    shapes : Shapes
        Centres and covariances.
    radius : ndarray, shape (n,)
        Semi-axes of the total aperture in units of those of the covariance.
    circles : ndarray, shape (n, k)
        Radii of the circular apertures; NaN: none.
    share : ndarray, shape (n,)
        Share of the light that the total aperture holds.
    """

    shapes: Shapes
    radius: np.ndarray
    circles: np.ndarray
    share: np.ndarray


@dataclass
class BandLight:
    """Light of n sources in one band, in units of its pixels.

    Attributes
    ----------
    total, total_err : ndarray of float64, shape (n,)
        Light of the source, and error; NaN where the band is missing.
    circles, circles_err : ndarray of float64, shape (n, k)
        Light within the circular apertures, and errors.
    others : ndarray of float64, shape (n,)
        Light of modelled neighbours within the total aperture, which is not in `total`.
    half_light : ndarray of float64, shape (n,)
        Radius with half of the light, pixels; NaN where not asked for.
    size : ndarray of float64, shape (n,)
        Rms size of the shape, pixels.
    sky, sky_err : ndarray of float64, shape (n,)
        What was taken out of each pixel as sky that the mesh had left, and its error.
    point, point_err : ndarray of float64, shape (n,)
        Light of a point that resembles the source most; NaN where the band is missing, or its point spread not
        known.
    spread, spread_err, spread_weight : ndarray of float64, shape (n,)
        See `~astrogalaxy.measurement.psf.PsfFit`.
    missing, edge, masked, saturated : ndarray of bool, shape (n,)
        What the aperture meets.
    """

    total: np.ndarray
    total_err: np.ndarray
    circles: np.ndarray
    circles_err: np.ndarray
    others: np.ndarray
    half_light: np.ndarray
    size: np.ndarray
    sky: np.ndarray
    sky_err: np.ndarray
    point: np.ndarray
    point_err: np.ndarray
    spread: np.ndarray
    spread_err: np.ndarray
    spread_weight: np.ndarray
    missing: np.ndarray
    edge: np.ndarray
    masked: np.ndarray
    saturated: np.ndarray

    @classmethod
    def empty(cls, n: int, k: int) -> BandLight:
        """Nothing measured of n sources in k circles: NaN, and missing."""
        shapes = [n, n, (n, k), (n, k), *[n] * 9]
        return cls(
            *(np.full(shape, np.nan) for shape in shapes),
            np.zeros(n),
            np.ones(n, dtype=bool),
            *(np.zeros(n, dtype=bool) for _ in range(3)),
        )

    def put(self, index: np.ndarray, **values: np.ndarray) -> None:
        """Overwrite some of the values of some of the sources."""
        for name, value in values.items():
            getattr(self, name)[index] = value

    def put_fit(self, fit: PsfFit) -> None:
        """What the point spread says of all sources, the sky taken out."""
        self.spread, self.spread_err, self.spread_weight = fit.spread, fit.error, fit.weight
        self.point = np.where(self.missing, np.nan, fit.point - fit.point_area * self.sky)
        self.point_err = np.where(self.missing, np.nan, np.hypot(fit.point_err, fit.point_area * self.sky_err))

    def take(self, index: np.ndarray) -> BandLight:
        """Copy of some of the sources."""
        return BandLight(*(part[index] for part in vars(self).values()))

    def put_all(self, index: np.ndarray, other: BandLight) -> None:
        """Overwrite all values of some of the sources."""
        self.put(index, **vars(other))


def band_scene(
    canvas: Canvas,
    footprint: Footprint,
    half: np.ndarray,
    core: np.ndarray,
    beta: np.ndarray,
    modelled: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    *,
    held: bool,
) -> tuple[Scene, np.ndarray]:
    """Models of crowded sources in a band, at fixed centres, from their shapes on the reference.

    Parameters
    ----------
    canvas : Canvas
        Pixels of the band.
    footprint : Footprint
        Places and expected shapes of all sources; centres inside the canvas.
    half, core : ndarray, shape (n,)
        Half widths of stamps for models and for apertures, pixels of this band.
    beta : ndarray, shape (n,)
        Exponents.
    modelled : ndarray of int
        Sources with neighbours.
    pairs : tuple of ndarray
        Ordered pairs, counted over all n sources.
    held : bool
        Keep the shapes fixed, so that bands differ in their light alone, and share any error of the shapes.

    Returns
    -------
    scene : Scene
    index : ndarray of int
        The sources in it: those with neighbours, and those that touch bad pixels here.
    """
    shapes = footprint.shapes
    crowded = touched(canvas, shapes.x, shapes.y, core - 1.0)
    crowded[modelled] = True
    index = np.flatnonzero(crowded)
    place = np.full(len(shapes), -1)
    place[index] = np.arange(len(index))
    i, j = place[pairs[0]], place[pairs[1]]
    kept = (i >= 0) & (j >= 0)
    scene = Scene(canvas, shapes.take(index), half[index], core[index], beta[index], (i[kept], j[kept]))
    if len(index):
        scene.measure_light()
        if not held:
            _measure_shapes(scene)
        for _ in range(_LIGHT_ROUNDS):
            scene.measure_light()
    return scene, index


def _measure_shapes(scene: Scene) -> None:
    """Give models the shapes that they have in the band, those of faint sources but little changed."""
    first = scene.shapes.take(slice(None))
    largest = np.maximum(2.0 * first.axes()[0], 1.0)
    for number in range(_SHAPE_ROUNDS):
        settings = {"prior_snr": _SHAPE_SNR, "iterations": 3, "everywhere": number == 0}
        scene.measure_shapes(largest=largest, origin=first, **settings)


def measure_light(
    canvas: Canvas, footprint: Footprint, scene: Scene, index: np.ndarray, *, sizes: np.ndarray
) -> BandLight:
    """Aperture sums of all sources in one band.

    Parameters
    ----------
    canvas : Canvas
        Pixels of the band.
    footprint : Footprint
        Apertures.
    scene : Scene
        Models of the sources in `index`, settled on this canvas.
    index : ndarray of int
        Sources that are measured with their neighbours taken away; the rest is measured as it is.
    sizes : ndarray of bool, shape (n,)
        Of which sources half-light radii are measured, too.

    Returns
    -------
    BandLight
    """
    n = len(footprint.shapes)
    result = BandLight.empty(n, footprint.circles.shape[1])
    result.missing[:] = False
    result.others[:] = 0.0
    result.size[:] = np.sqrt(footprint.shapes.area)
    result.edge[:] = _crosses_edge(canvas, footprint)
    alone = np.ones(n, dtype=bool)
    alone[index] = False
    alone = np.flatnonzero(alone)
    if len(alone):
        shapes = footprint.shapes.take(alone)
        _sum(result, alone, footprint, canvas.data, canvas.noise, shapes.x, shapes.y, canvas.gain, sizes=sizes)
    for stamps, members, own in scene.batches():
        _sum_scene(result, index[members], footprint, scene, stamps, members, own, sizes=sizes)
    _take_sky(result, canvas, footprint)
    for name in ("total", "total_err", "circles", "circles_err", "half_light"):
        getattr(result, name)[result.missing] = np.nan
    # Beside light that is not known, the least rounding of a model would be a neighbour.
    result.others[result.missing] = 0.0
    return result


def _take_sky(result: BandLight, canvas: Canvas, footprint: Footprint) -> None:
    """Take what the mesh has left of the sky out of all sums, and its error into theirs."""
    shapes = footprint.shapes
    a, b, _ = shapes.axes()
    level = _FELT * canvas.noise_at(shapes.x, shapes.y) * a * b / np.fmax(result.total, 1e-30)
    wings = np.minimum(Moffat(_HIDDEN_BETA).radius_of(level), _FURTHEST)
    sky, error = local_sky(canvas, shapes.x, shapes.y, a * np.maximum(_HIDDEN * footprint.radius, wings))
    result.sky, result.sky_err = sky, error
    area = np.pi * footprint.radius**2 * a * b / footprint.share
    result.total -= area * sky
    result.total_err = np.hypot(result.total_err, area * error)
    areas = np.pi * footprint.circles**2
    result.circles -= areas * sky[:, None]
    result.circles_err = np.hypot(result.circles_err, areas * error[:, None])


def _crosses_edge(canvas: Canvas, footprint: Footprint) -> np.ndarray:
    """Whether the total aperture leaves the band's image (not only the part of it that was read)."""
    shapes, (ny, nx) = footprint.shapes, canvas.whole
    x, y = shapes.x + canvas.origin[0], shapes.y + canvas.origin[1]
    wide, high = footprint.radius * np.sqrt(shapes.xx), footprint.radius * np.sqrt(shapes.yy)
    return (x - wide < -0.5) | (x + wide > nx - 0.5) | (y - high < -0.5) | (y + high > ny - 0.5)


def _sum(
    result: BandLight,
    index: np.ndarray,
    footprint: Footprint,
    data: np.ndarray,
    noise: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    gain: float | None,
    *,
    sizes: np.ndarray,
) -> None:
    """All sums of some sources, whose centres on the pixels given are x, y."""
    axes = tuple(part[index] for part in footprint.shapes.axes())
    radius = footprint.radius[index]
    share = footprint.share[index]
    total, total_err = ellipse_sums(data, noise, x, y, axes, radius, gain=gain)
    result.put(index, total=total / share, total_err=total_err / share)
    wanted = np.flatnonzero(sizes[index])
    if len(wanted):
        largest, light = (radius * axes[0])[wanted], (total / share)[wanted]
        result.put(index[wanted], half_light=half_light_radius(data, x[wanted], y[wanted], largest, light))
    for number, circle in enumerate(footprint.circles[index].T):
        known = np.isfinite(circle)
        if known.any():
            light, error = circle_sums(data, noise, x[known], y[known], circle[known], gain=gain)
            result.circles[index[known], number], result.circles_err[index[known], number] = light, error


def _sum_scene(
    result: BandLight,
    index: np.ndarray,
    footprint: Footprint,
    scene: Scene,
    stamps: Stamps,
    members: np.ndarray,
    own: np.ndarray,
    *,
    sizes: np.ndarray,
) -> None:
    """Sums on stamps from which all neighbours were taken, and what the apertures meet there."""
    canvas, tall = scene.canvas, (-1, stamps.size)
    left = stamps.gather(scene.residual)
    others = stamps.gather(canvas.data) - left - own
    void = _void(canvas, stamps)
    if void is not None:
        others[void] = 0.0
    axes = tuple(part[index] for part in footprint.shapes.axes())
    radius, x, y = footprint.radius[index], *stacked(scene, stamps, members)

    def within(values: np.ndarray, factor: float = 1.0) -> np.ndarray:
        """Sum values in the ellipses of a multiple of their radius."""
        pixels = np.ascontiguousarray(values.reshape(tall), dtype=np.float32)
        return ellipse_sums(pixels, np.float32(1.0), x, y, axes, factor * radius)[0]

    foreign = stamps.gather(canvas.saturated, fill=False) if canvas.any_saturated else np.zeros(0, dtype=bool)
    if foreign.any():
        result.put(index, saturated=within(foreign, _SATURATED_PART) > 0)
        # what bleeds into the aperture from elsewhere is not the source's: its own model takes the place
        foreign &= ~result.saturated[index, None, None]
        left[foreign], others[foreign] = 0.0, 0.0
    noise = stamps.gather(canvas.noise)
    outside = stamps.outside
    if outside is not None:
        # that of the source itself, whatever others are measured with it
        noise = np.where(outside, noise[:, stamps.half, stamps.half, None, None], noise)
    if canvas.gain is not None:
        noise = np.sqrt(noise**2 + np.maximum(others, 0.0) / np.float32(canvas.gain))
    left += own
    _sum(result, index, footprint, left.reshape(tall), noise.reshape(tall), x, y, canvas.gain, sizes=sizes)

    wrong = misplaced_light(own, others)
    result.put(index, others=within(others), total_err=np.hypot(result.total_err[index], within(wrong)))
    _widen_circles(result, index, footprint, wrong.reshape(tall), x, y)
    if void is not None:
        area = np.pi * radius**2 * axes[0] * axes[1]
        result.put(index, missing=within(void) > (1 - _LEAST_DATA) * area)
    if canvas.any_bad:
        result.put(index, masked=within(stamps.gather(canvas.bad, fill=False)) > 0)
    if foreign.any():
        result.put(index, masked=result.masked[index] | (within(foreign) > 0))


def _widen_circles(
    result: BandLight, index: np.ndarray, footprint: Footprint, wrong: np.ndarray, x: np.ndarray, y: np.ndarray
) -> None:
    """Put the light that may be wrong into the errors of the circular apertures."""
    for number, circle in enumerate(footprint.circles[index].T):
        known = np.flatnonzero(np.isfinite(circle))
        if len(known):
            light, _ = circle_sums(wrong, np.float32(1.0), x[known], y[known], circle[known])
            rows = index[known]
            result.circles_err[rows, number] = np.hypot(result.circles_err[rows, number], light)


def _void(canvas: Canvas, stamps: Stamps) -> np.ndarray | None:
    """Stamp pixels without data, or None where all have some."""
    outside = stamps.outside
    if not canvas.any_bad:
        return outside
    bad = stamps.gather(canvas.bad, fill=True)
    return bad if outside is None else bad | outside
