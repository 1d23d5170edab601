"""The band's own point spread fitted to each source: PSF flux, spread, and what that says of star or galaxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr

from astrogalaxy.images.saturation import core_of
from astrogalaxy.measurement.psf import PsfFit
from astrogalaxy.measurement.scene import misplaced_light
from astrogalaxy.measurement.stamps import Stamps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from astrogalaxy.measurement.canvas import Canvas
    from astrogalaxy.measurement.moments import Shapes
    from astrogalaxy.measurement.psf import Psf
    from astrogalaxy.measurement.scene import Scene

__all__ = ["combine_spreads", "fit_psf", "spread_evidence"]

# Spreads of galaxies, about: half of a normal distribution of this width. Stars differ from 0 by their error
# and by this; and such a share of either kind has a spread that belongs to the other, for no model of
# point spread and neighbours is right to the end.
_GALAXIES, _STARS, _ODD = 0.5, 0.05, 0.05
# Neighbours' models are known to about this share of their light in a pixel.
_NEIGHBOUR_ERROR = 0.05
# Error of the spread of a saturated star: it counts more than what bands say whose cores were not recognised.
_SATURATED_ERROR = 0.01


def fit_psf(canvas: Canvas, shapes: Shapes, scene: Scene, modelled: NDArray[np.intp], psf: Psf | None) -> PsfFit:
    """Fit the band's point spread, and what is wider, to all sources, neighbours taken away.

    Parameters
    ----------
    canvas : Canvas
        Pixels of the band.
    shapes : Shapes
        Centres of n sources, pixels of the canvas.
    scene : Scene
        Models of those that share their light with others, settled on this canvas.
    modelled : ndarray of int
        Which those are.
    psf : Psf or None
        Of the band.

    Returns
    -------
    PsfFit
        NaN, and of no weight, where the point spread is not known, or the source is not seen. The core of a saturated
        star is lost, but nothing wider than a point has such edges: its spread is 0.
    """
    if psf is None or not psf.known:
        return PsfFit.unknown(len(shapes))
    light, noise, misplaced = _light(canvas, scene, shapes, modelled, psf.half)
    x, y = shapes.x + canvas.origin[0], shapes.y + canvas.origin[1]
    found = psf.fit(light, noise, x, y, gain=canvas.gain, misplaced=misplaced)
    points = core_of(canvas.cores, shapes.x, shapes.y) >= 0
    found.spread[points], found.error[points], found.weight[points] = 0.0, _SATURATED_ERROR, _SATURATED_ERROR**-2
    return found


def _light(
    canvas: Canvas, scene: Scene, shapes: Shapes, modelled: NDArray[np.intp], half: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
    """Stamps of the light of sources without their neighbours, of its noise, and of what may be misplaced.

    The noise is infinite where there are no data; nothing is misplaced (None) where nothing is modelled.
    """
    stamps = Stamps(shapes.x, shapes.y, half, canvas.shape)
    light, noise, misplaced = stamps.gather(canvas.data), stamps.gather(canvas.noise, fill=np.inf), None
    if len(modelled):
        data, left = light[modelled], stamps.take(modelled).gather(scene.residual)
        light[modelled] = left
        for batch, members, models in scene.batches():
            _add(light, modelled[members], stamps, models, batch)
        others = data - light[modelled]
        noise[modelled] = np.hypot(noise[modelled], _NEIGHBOUR_ERROR * others)
        misplaced = np.zeros_like(light)
        misplaced[modelled] = misplaced_light(light[modelled] - left, others)
    if canvas.any_bad:
        noise[stamps.gather(canvas.bad, fill=True)] = np.inf
    if canvas.any_saturated:
        noise[stamps.gather(canvas.saturated, fill=False)] = np.inf
    return light, noise, misplaced


def _add(
    light: NDArray[np.float32], rows: NDArray[np.intp], stamps: Stamps, models: NDArray[np.float32], batch: Stamps
) -> None:
    """Add models, drawn on stamps of another size and place, to some of the stamps, in place."""
    offsets = np.column_stack([batch.x0 - stamps.x0[rows], batch.y0 - stamps.y0[rows]])
    size, drawn = stamps.size, batch.size
    # nearly all lie alike, for both are placed around the same sources
    alike, which = np.unique(offsets, axis=0, return_inverse=True)
    for number, (right, down) in enumerate(alike.tolist()):
        to = slice(max(down, 0), min(down + drawn, size)), slice(max(right, 0), min(right + drawn, size))
        at = slice(max(-down, 0), min(size - down, drawn)), slice(max(-right, 0), min(size - right, drawn))
        members = which == number
        light[rows[members], *to] += models[members, *at]


def combine_spreads(
    bands: Iterable[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean of the bands' spreads; NaN where no band has one.

    Parameters
    ----------
    bands : iterable of (ndarray, ndarray, ndarray)
        Spread, error and weight in each band, ``(n,)``; without weight where there is none.

    Returns
    -------
    spread, error : ndarray
        ``(n,)`` each.

    Examples
    --------
    >>> import numpy as np
    >>> seen, unseen = np.array([[0.4], [0.1], [100.0]]), np.array([[np.nan], [np.nan], [0.0]])
    >>> combine_spreads([seen, unseen])
    (array([0.4]), array([0.1]))
    """
    spread, error, weight = (np.array(part) for part in zip(*bands, strict=True))
    total = weight.sum(axis=0)
    share = weight / np.where(total > 0, total, np.nan)
    known = weight > 0
    mean = np.sum(share * np.where(known, spread, 0.0), axis=0)
    return mean, np.sqrt(np.sum((share * np.where(known, error, 0.0)) ** 2, axis=0))


def spread_evidence(spread: ArrayLike, error: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of how much more probable a spread is of a galaxy than of a star.

    Parameters
    ----------
    spread, error : array-like
        Spread and its error.

    Returns
    -------
    ndarray
        From -2.9 to 2.9; 0 where the spread says nothing; NaN where it is not known.

    Examples
    --------
    >>> spread_evidence([0.0, 0.0, 0.5], [0.05, 2.0, 0.05]).round(1)
    array([-1.7, -0. ,  2.9])
    """
    scatter = np.hypot(np.asarray(error, dtype=float), _STARS)
    # the integral of the galaxies' distribution times the noise's has this closed form
    variance = scatter**2 + _GALAXIES**2
    # a source sharper than a point is as good a star as one that is not
    pull = np.maximum(np.asarray(spread, dtype=float) / scatter, 0.0)
    narrower = scatter / np.sqrt(variance)
    odds = np.log(2 * narrower) + 0.5 * pull**2 * (1 - narrower**2)
    odds = np.exp(np.clip(odds + log_ndtr(pull * _GALAXIES / np.sqrt(variance)), -30, 30))
    return np.asarray(np.log(((1 - _ODD) * odds + _ODD) / ((1 - _ODD) + _ODD * odds)))
