"""Blends: a model of every crowded source, so that each is measured with the others taken away.

Sources whose light mixes (or that touch bad pixels) are described by elliptical Moffat
profiles. All models are taken from the image; what is left plus a source's own model is
that source alone. Shapes and light are measured on it, the model follows, and a few rounds
settle even close pairs. All sources are looked at before any model changes, and light that
several ask for is shared out among them, so that their order does not matter. Bad pixels
hold nothing but the source's own model, and so cost it no light. A round is local: a
source's result depends on its neighbourhood only, never on the tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.measurement.moments import Shapes, adapt
from astrogalaxy.measurement.profiles import Moffat
from astrogalaxy.measurement.stamps import HALF_WIDTHS, Stamps, batches, class_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from astrogalaxy.measurement.canvas import Canvas

__all__ = ["Scene", "misplaced_light", "render"]

# Changes below these need no new model: of the centre (pixels), of shape and light (relative), of light (noise).
_SHIFT = 0.01
_CHANGE = 0.004
_LIGHT_NOISE = 0.05
# Steps of the solution for the light of all sources together, in a round on the light alone: enough for what a core
# tells apart. Closer sources stay near where they were, for more steps would follow the errors of their shapes.
_SWEEPS = 10
# Share of a source's core light that is too little to be looked for in another's core.
_UNSEEN = 1e-3
# Error of the neighbours' models: a part of their light, and a part of the light that source and neighbours share,
# which may have gone to the wrong one.
_MODEL_ERROR, _SHARED_ERROR = 0.02, 0.15


def render(shapes: Shapes, light: np.ndarray, beta: np.ndarray, size: int) -> np.ndarray:
    """Elliptical Moffat profiles sampled on stamps.

    Parameters
    ----------
    shapes : Shapes
        Centres in pixels of the stamp, and adaptive covariances.
    light : ndarray, shape (n,)
        Total light.
    beta : ndarray, shape (n,)
        Exponents.
    size : int
        Pixels along a side.

    Returns
    -------
    ndarray of float32, shape (n, size, size)
    """
    profile = Moffat(beta)
    area = np.maximum(shapes.area, 1e-6)
    factor = 1.0 / (area**2 * profile.scale**2)
    steps = np.arange(size, dtype=np.float32)
    dx = steps - shapes.x.astype(np.float32)[:, None]
    dy = steps - shapes.y.astype(np.float32)[:, None]
    parts = (factor * shapes.yy, -2 * factor * shapes.xy, factor * shapes.xx)
    pxx, pxy, pyy = (part.astype(np.float32)[:, None] for part in parts)
    stamps = (pxy * dy)[:, :, None] * dx[:, None, :]
    stamps += (pxx * dx**2)[:, None, :]
    stamps += (pyy * dy**2)[:, :, None]
    np.log1p(stamps, out=stamps)
    stamps *= -profile.beta.astype(np.float32)[:, None, None]
    np.exp(stamps, out=stamps)
    stamps *= (light * profile.peak / area).astype(np.float32)[:, None, None]
    return stamps


def misplaced_light(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Light per pixel that models may have misplaced: what one source loses, another gains.

    Parameters
    ----------
    own, others : ndarray
        Models of a source and of its neighbours.

    Returns
    -------
    ndarray
        Not negative.
    """
    both = own + others
    with np.errstate(over="ignore"):  # of damaged pixels
        shared = np.divide(own * others, both, where=both > 0, out=np.zeros_like(both))
    return np.maximum(np.float32(_MODEL_ERROR) * others + np.float32(_SHARED_ERROR) * shared, 0.0)


@dataclass
class _Group:
    """Sources of one stamp size, and their models as they stand."""

    stamps: Stamps
    core: int
    members: np.ndarray
    models: np.ndarray


class Scene:
    """Models of sources, and the image without them.

    Parameters
    ----------
    canvas : Canvas
        The image; not changed.
    shapes : Shapes
        First guess of the sources to model; centres in pixels of the canvas. Not changed.
    half : ndarray, shape (n,)
        Half width of the square on which each source is modelled, pixels.
    core : ndarray, shape (n,)
        Half width of the square on which it is measured, not more than `half`.
    beta : ndarray, shape (n,)
        Exponents of the profiles.
    pairs : (ndarray, ndarray), optional
        Ordered pairs (i, j) of sources that may overlap.

    Attributes
    ----------
    residual : ndarray of float32
        The canvas without the models, 0 where bad.
    shapes, light, beta
        State of the models.
    """

    def __init__(
        self,
        canvas: Canvas,
        shapes: Shapes,
        half: np.ndarray,
        core: np.ndarray,
        beta: np.ndarray,
        pairs: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self.canvas = canvas
        self.shapes = shapes.take(slice(None))
        self.beta = np.array(beta, dtype=float)
        self.light = np.zeros(len(shapes))
        self.residual = canvas.data.copy()
        self._pairs = pairs if pairs is not None else (np.zeros(0, dtype=int), np.zeros(0, dtype=int))
        self._noise = canvas.noise_at(shapes.x, shapes.y)
        self._groups = list(self._grouped(half, core))
        self._bad = self._bad_pixels()
        # Whose neighbourhood changed since it was last looked at.
        self._stale = np.ones(len(shapes), dtype=bool)

    def _grouped(self, half: np.ndarray, core: np.ndarray) -> Iterator[_Group]:
        # Stamps stay where they are placed now, so that what is added back is what was taken.
        x, y = self.shapes.x, self.shapes.y
        cores = np.minimum(class_of(core), class_of(half))
        for number in np.unique(cores):
            # In the order of the image's rows, so that memory is walked through and not jumped about in.
            index = np.flatnonzero(cores == number)
            index = index[np.argsort(y[index], kind="stable")]
            for width, members in batches(half, index):
                stamps = Stamps(x[members], y[members], width, self.canvas.shape)
                models = np.zeros((len(members), stamps.size, stamps.size), dtype=np.float32)
                yield _Group(stamps, int(HALF_WIDTHS[number]), members, models)

    def _bad_pixels(self) -> np.ndarray:
        """Flat indices of the bad pixels that any stamp covers."""
        if not self.canvas.any_bad:
            return np.zeros(0, dtype=np.int64)
        covered = np.zeros(self.canvas.shape, dtype=bool)
        for group in self._groups:
            group.stamps.add(covered, np.broadcast_to(True, group.models.shape))
        return np.flatnonzero(covered & self.canvas.bad)

    def batches(self) -> Iterator[tuple[Stamps, np.ndarray, np.ndarray]]:
        """Stamps on which sources are measured, their indices, and their own models there."""
        for group in self._groups:
            yield group.stamps.cropped(group.core), group.members, self._inner(group, group.models)

    @staticmethod
    def _inner(group: _Group, models: np.ndarray) -> np.ndarray:
        margin = group.stamps.half - min(group.core, group.stamps.half)
        return models[:, margin : models.shape[1] - margin, margin : models.shape[2] - margin]

    def update(
        self,
        change: Callable[[np.ndarray, Stamps, np.ndarray], None],
        *,
        everywhere: bool = False,
        sweeps: int | None = None,
    ) -> None:
        """One round: alter the state of the sources and redraw their models.

        Parameters
        ----------
        change : callable
            Called as ``change(alone, stamps, members)`` with the pixels of some sources
            alone (all other models taken away, bad pixels filled by their own), their
            stamps and indices; it writes to `shapes`, `light` and `beta` at those indices.
        everywhere : bool, optional
            Take all sources, not only those that a change has reached since the last round.
        sweeps : int, optional
            The new light is what each source asks for while all others stand still, and is shared out among them in
            so many steps; see `_shared_out`.
        """
        todo = np.ones(len(self.shapes), dtype=bool) if everywhere else self._stale
        old, light = self.shapes.take(slice(None)), self.light.copy()
        # All are looked at before any is drawn, so that neither their order nor the sizes of their stamps matter.
        for group in self._groups:
            self._look(group, np.flatnonzero(todo[group.members]), change)
        if sweeps is not None:
            self.light = np.maximum(light + self._shared_out(self.light - light, sweeps), 0.0)
        changed = self._noticeable(old, light)
        for group in self._groups:
            self._redraw(group, np.flatnonzero(changed[group.members]))
        if len(self._bad):
            self.residual.reshape(-1)[self._bad] = 0.0
        i, j = self._pairs
        self._stale = changed.copy()
        self._stale[i[changed[j]]] = True

    def _look(self, group: _Group, rows: np.ndarray, change: Callable[[np.ndarray, Stamps, np.ndarray], None]) -> None:
        """Alter the state of some rows of a group."""
        if not len(rows):
            return
        whole = len(rows) == len(group.members)
        stamps = group.stamps if whole else group.stamps.take(rows)
        members, models = group.members[rows], group.models if whole else group.models[rows]
        inner = stamps.cropped(group.core)
        change(inner.gather(self.residual) + self._inner(group, models), inner, members)

    def _redraw(self, group: _Group, rows: np.ndarray) -> None:
        """Replace the models of some rows of a group by those of their present state."""
        if not len(rows):
            return
        drawn, stamps = group.members[rows], group.stamps.take(rows)
        local = self.shapes.take(drawn).shifted(-stamps.x0, -stamps.y0)
        new = render(local, self.light[drawn], self.beta[drawn], stamps.size)
        stamps.add(self.residual, group.models[rows] - new)
        group.models[rows] = new

    def _noticeable(self, old: Shapes, light: np.ndarray) -> np.ndarray:
        """Which sources changed enough to be redrawn."""
        new = self.shapes
        size = old.xx + old.yy
        shape = np.abs(new.xx - old.xx) + 2 * np.abs(new.xy - old.xy) + np.abs(new.yy - old.yy)
        error = self._noise * np.sqrt(4 * np.pi * np.maximum(new.area, 0.1))
        moved = np.hypot(new.x - old.x, new.y - old.y) > _SHIFT
        moved |= shape > _CHANGE * size
        moved |= np.abs(self.light - light) > np.maximum(_CHANGE * light, _LIGHT_NOISE * error)
        return moved

    def measure_light(self) -> None:
        """One round on the light alone."""

        def change(alone: np.ndarray, stamps: Stamps, members: np.ndarray) -> None:
            """Give sources the light in their cores."""
            now = self.shapes.take(members).shifted(-stamps.x0, -stamps.y0)
            now = adapt(alone, now, iterations=1, fixed_centre=True, fixed_shape=True)
            self._ask(members, now.core)

        self.update(change, sweeps=_SWEEPS)

    def measure_shapes(
        self,
        *,
        largest: np.ndarray,
        origin: Shapes,
        leash: np.ndarray | None = None,
        prior_snr: float = 0.0,
        iterations: int = 4,
        everywhere: bool = False,
        held: np.ndarray | None = None,
        kept: np.ndarray | bool = False,
    ) -> None:
        """One round on centres, shapes and light.

        Parameters
        ----------
        largest : ndarray, shape (n,)
            Largest semi-axes, pixels.
        origin : Shapes
            First guess.
        leash : ndarray, shape (n,), optional
            How far a centre may be from its first guess, pixels; None holds all centres.
        prior_snr : float, optional
            Signal to noise at which a shape is the mean of the first guess and of what is measured.
        iterations : int, optional
            Steps of the moments in this round.
        everywhere : bool, optional
            Take all sources; see `update`.
        held : ndarray of bool, shape (n,), optional
            Sources whose centre stays.
        kept : bool or ndarray of bool, shape (n,), optional
            Sources whose shape stays.
        """
        fixed = np.full(len(self.shapes), leash is None) if held is None else held
        stiff = np.broadcast_to(kept, len(self.shapes))

        def change(alone: np.ndarray, stamps: Stamps, members: np.ndarray) -> None:
            """Give sources new shapes, within their limits."""
            now = self.shapes.take(members).shifted(-stamps.x0, -stamps.y0)
            settings = {"fixed_centre": fixed[members], "fixed_shape": stiff[members], "largest": largest[members]}
            now = adapt(alone, now, iterations=iterations, **settings)
            now = now.shifted(stamps.x0, stamps.y0)
            first = origin.take(members)
            if leash is not None:
                _leash(now, first, leash[members])
            if prior_snr > 0:
                _draw_towards(now, first, self._noise[members], prior_snr)
            self.shapes.put(members, now)
            self._ask(members, now.core)

        # While shapes are on their way, the light takes the shortest step.
        self.update(change, everywhere=everywhere, sweeps=0)

    def _ask(self, members: np.ndarray, core: np.ndarray) -> None:
        """Ask for the total light that the core light shows."""
        self.light[members] = np.maximum(core, 0.0) / Moffat(self.beta[members]).core

    def _shared_out(self, asked: np.ndarray, sweeps: int) -> np.ndarray:
        """Changes of the light that together give each source the change that it asks for while the others stand still.

        A source that gains light takes some of it out of the cores of its neighbours, which had asked for it too. The
        linear equations are solved by damped steps; the first, which is all without `sweeps`, divides what is asked
        for among those who ask: by 1 where a source is alone, by 2 on an exact double.
        """
        (i, j), seen = self._pairs, self._seen()
        close = seen > _UNSEEN
        i, j, seen = i[close], j[close], seen[close]

        def taken(step: np.ndarray) -> np.ndarray:
            """Light that neighbours take out of each core."""
            return np.bincount(i, weights=seen * step[j], minlength=len(step))

        damping = 1.0 / (1.0 + taken(np.ones(len(asked))))
        step = damping * asked
        for _ in range(sweeps):
            step += damping * (asked - step - taken(step))
        return step

    def _seen(self) -> np.ndarray:
        """Part of the light of j that source i takes for its own, for all pairs (i, j), as for Gaussian profiles."""
        (i, j), shapes, core = self._pairs, self.shapes, Moffat(self.beta).core
        xx, xy, yy = (part[i] + part[j] for part in (shapes.xx, shapes.xy, shapes.yy))
        dx, dy = shapes.x[i] - shapes.x[j], shapes.y[i] - shapes.y[j]
        square = np.maximum(xx * yy - xy**2, 1e-6)
        distance2 = (yy * dx**2 - 2.0 * xy * dx * dy + xx * dy**2) / square
        return 2.0 * shapes.area[i] / np.sqrt(square) * np.exp(-distance2 / 2.0) * core[j] / core[i]


def _leash(now: Shapes, first: Shapes, length: np.ndarray) -> None:
    """Pull centres back to within a distance of their first guess, in place."""
    dx, dy = now.x - first.x, now.y - first.y
    short = np.minimum(length / np.maximum(np.hypot(dx, dy), 1e-9), 1.0)
    now.x, now.y = first.x + short * dx, first.y + short * dy


def _draw_towards(now: Shapes, first: Shapes, noise: np.ndarray, prior_snr: float) -> None:
    """Average shapes with their first guess, the fainter the source the more, in place."""
    snr2 = np.maximum(now.core, 0.0) ** 2 / (4 * np.pi * np.maximum(first.area, 0.1) * noise**2)
    trust = snr2 / (snr2 + prior_snr**2)
    for name in ("xx", "xy", "yy"):
        guess = getattr(first, name)
        setattr(now, name, guess + trust * (getattr(now, name) - guess))
