"""A folder of class folders with cutouts, and catalogues of classified sources with their images."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrogalaxy.config import SurveyConfig
from astrogalaxy.datasets.cutouts import LabelledCutouts
from astrogalaxy.datasets.pictures import CUTOUTS, PictureFiles
from astrogalaxy.detection.inputs import map_bands
from astrogalaxy.errors import ImageError
from astrogalaxy.images import Image, Section
from astrogalaxy.images.fields import Field, find_fields, open_field
from astrogalaxy.images.sky import to_pixel
from astrogalaxy.morphology.pictures import FIELD_OF_VIEW, SIDES, colour_picture, cut
from astrogalaxy.tables import numbers_of, read_table

__all__ = ["read_catalog", "read_folders"]

logger = logging.getLogger(__name__)

# Side of a cutout in pixels where the catalogue gives no radius, and the side it is brought to.
_PLAIN_SIDE, _PIXELS = 96.0, 256
_LABELS = ("class", "label", "morphology")
_PIXEL, _SKY = ("x", "y"), ("ra", "dec")
# Labels of no class; a masked one is read as dashes.
_UNKNOWN = ("", "unsure", "--")


def read_folders(folder: str | Path) -> LabelledCutouts:
    """Read a folder whose folders are classes with cutouts in them (JPEG, PNG or FITS).

    Parameters
    ----------
    folder : path
        Its folders are named like the classes.

    Returns
    -------
    LabelledCutouts
        Classes in alphabetical order.

    Raises
    ------
    ImageError
        If there are fewer than two folders with images.

    Examples
    --------
    >>> from pathlib import Path
    >>> from PIL import Image as Picture
    >>> from astrogalaxy.datasets.folders import read_folders
    >>> for name in ("spiral", "elliptical"):
    ...     Path("galaxies", name).mkdir(parents=True)
    ...     Picture.new("RGB", (64, 64)).save(f"galaxies/{name}/{name}1.png")
    >>> cutouts = read_folders("galaxies")
    >>> cutouts.names, cutouts.classes
    (['elliptical1', 'spiral1'], ('elliptical', 'spiral'))
    """
    folder = Path(folder)
    kinds = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    files = {kind.name: [p for p in sorted(kind.rglob("*")) if p.is_file()] for kind in kinds}
    _warn_of_ignored(folder, (path for paths in files.values() for path in paths))
    found = {name: [p for p in paths if p.suffix.lower() in CUTOUTS] for name, paths in files.items()}
    found = {name: paths for name, paths in found.items() if paths}
    if len(found) < 2:
        msg = f"{folder}: expected at least two folders, named like classes, with JPEG, PNG or FITS images"
        raise ImageError(msg)
    paths = [path for some in found.values() for path in some]
    labels = np.repeat(np.arange(len(found)), [len(some) for some in found.values()])
    shares = np.eye(len(found), dtype=np.float32)[labels]
    names = [path.stem for path in paths]
    source = f"{len(paths)} cutouts of the folder {folder.name}"
    return LabelledCutouts(names, tuple(found), shares, PictureFiles(paths), source, files=paths, width=np.nan)


def _warn_of_ignored(folder: Path, paths: Iterable[Path]) -> None:
    """Warn of files that are no cutouts, with their endings."""
    endings = Counter(p.suffix.lower() for p in paths if p.suffix.lower() not in CUTOUTS and p.name[0] != ".")
    if endings:
        kinds = ", ".join(f"{n} {ending or 'without an ending'}" for ending, n in sorted(endings.items()))
        logger.warning("%s: files that are no cutouts are left out: %s", folder, kinds)


@dataclass
class _Positions:
    """Reads cutouts out of the images of a survey, by position; keeps one field open."""

    config: SurveyConfig
    fields: list[Field]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    side: NDArray[np.float64]
    _open: dict[str, Image] = field(default_factory=dict, repr=False)

    def __call__(self, index: int) -> NDArray[np.uint8]:
        image = self._image(self.fields[index])
        ny, nx = image.shape
        x, y, half = self.x[index], self.y[index], self.side[index] / 2 + 3
        x0, y0 = max(int(x - half), 0), max(int(y - half), 0)
        section = Section(x0, min(int(x + half) + 1, nx), y0, min(int(y + half) + 1, ny))
        snr = map_bands(image.aligned(section).snr, 3)
        return colour_picture(cut(snr, [x - x0], [y - y0], [self.side[index]], pixels=_PIXELS)[0])

    def _image(self, place: Field) -> Image:
        if place.name not in self._open:
            self._open.clear()
            image = open_field(place, self.config.images)
            # as a run does: what is classified must look like what was learned from
            image.register()
            self._open[place.name] = image
        return self._open[place.name]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": {}}


def read_catalog(
    path: str | Path, survey: str | Path, *, centre: float = 1.0, width: float = FIELD_OF_VIEW
) -> LabelledCutouts:
    """Read a table of classified sources of a survey; cutouts are made at their positions.

    Parameters
    ----------
    path : path
        A catalogue that astrogalaxy wrote, or any table with ``x`` and ``y`` (0-based pixels of the reference band), or
        else ``ra`` and ``dec`` (ICRS, degrees), and one of ``class``, ``label`` and ``morphology``; the last of them
        with more than one class is used. ``field`` is needed where the survey has several. A cutout is scaled by
        ``half_light_radius`` (arcsec); where there is none, it is 96 pixels wide, which is warned of. Rows are left out
        that are labelled ``unsure`` or not at all, or have no position on their image.
    survey : path
        The survey.yml of its images.
    centre : float
        Side of the middle that the network will see, in sides of the cutout; the middle is as large as in a run.
    width : float
        Of the cutouts, in half-light radii of their galaxies.

    Returns
    -------
    LabelledCutouts
        Pictures are made of the survey's images when they are asked for.

    Raises
    ------
    ImageError
        If the table cannot be read, lacks a column, or names a field that the survey has not, or if it has positions
        on the sky, and an image none.
    ConfigError
        If the survey.yml is wrong.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from astrogalaxy.config import pipelines_folder
    >>> from astrogalaxy.datasets.folders import read_catalog
    >>> Table({"x": [60.0, 200.0], "y": [80.0, 150.0], "label": ["disk", "smooth"]}).write("labels.csv")
    >>> cutouts = read_catalog("labels.csv", pipelines_folder() / "quickstart.yml")
    >>> cutouts.classes, cutouts.labels.tolist(), cutouts.read(0).shape
    (('disk', 'smooth'), [0, 1], (256, 256, 3))
    """
    config = SurveyConfig.read(survey)
    table = read_table(path, text=("source_id", "field", *_LABELS), error=ImageError)
    names = next((pair for pair in (_PIXEL, _SKY) if set(pair) <= set(table.colnames)), None)
    if names is None:
        msg = f"{path}: no columns x and y (0-based pixels), nor ra and dec (degrees)"
        raise ImageError(msg)
    # sources of images without WCS all have the same id, and would all be in one part
    unique = "source_id" in table.colnames and len(set(table["source_id"].tolist())) == len(table)
    table["name"] = [str(value) for value in (table["source_id"] if unique else range(len(table)))]
    table = table[~np.isin(_texts(table, _label_column(table, path)), _UNKNOWN)]
    fields = {place.label: place for place in find_fields(config.images)}
    where = _field_names(table, fields, path)
    x, y, radius = (_numbers(table, name, path) for name in (*names, "half_light_radius"))
    inside, side = np.zeros(len(table), dtype=bool), np.empty(len(table))
    for name in sorted(set(where)):
        image, here = open_field(fields[name], config.images), where == name
        if names == _SKY:
            if image.wcs is None:
                msg = f"{path}: has ra and dec, and the field {name} has no WCS; give x and y"
                raise ImageError(msg)
            if (np.abs(y[here]) > 90).any():
                msg = f"{path}: column dec must hold degrees between -90 and 90"
                raise ImageError(msg)
            x[here], y[here] = to_pixel(image.wcs, x[here], y[here])
        inside[here] = Section.whole(image.shape).contains(x[here], y[here])
        side[here] = _sides(radius[here], image.pixel_scale, centre, width)
    _warn_of_outside(path, x, y, inside)
    plain = ~np.isfinite(radius[inside])
    if plain.any():
        words = (
            "%s: %d of %d rows have no half_light_radius: their cutouts are %.0f pixels wide, however large the galaxy"
        )
        logger.warning(words, path, plain.sum(), plain.size, _PLAIN_SIDE)
    labels = np.array(_texts(table, _label_column(table[inside], path)))[inside]
    classes = tuple(sorted(set(labels.tolist())))
    chosen = [fields[name] for name in where[inside]]
    return LabelledCutouts(
        table["name"][inside].tolist(),
        classes,
        (labels[:, None] == np.array(classes)[None]).astype(np.float32),
        _Positions(config, chosen, x[inside], y[inside], side[inside]),
        f"{len(labels)} cutouts of the catalogue {Path(path).name}",
        files=[Path(path), Path(survey), *(file for name in sorted(set(where)) for file in fields[name].files)],
        width=width if plain.mean() < 0.5 else np.nan,
    )


def _texts(table: Table, column: str) -> list[str]:
    return [str(value).strip() for value in table[column]]


def _label_column(table: Table, path: str | Path) -> str:
    """The last column of labels in which there are two classes or more."""
    for column in reversed(_LABELS):
        if column in table.colnames and len(set(_texts(table, column)) - set(_UNKNOWN)) > 1:
            return column
    msg = f"{path}: no column {' or '.join(_LABELS)} with two classes or more"
    raise ImageError(msg)


def _field_names(table: Table, fields: Mapping[str, Field], path: str | Path) -> NDArray[np.str_]:
    """Field of each row; it may be left out where the survey has only one."""
    only = next(iter(fields)) if len(fields) == 1 else ""
    given = _texts(table, "field") if "field" in table.colnames else [""] * len(table)
    names = np.array([only if name in _UNKNOWN else name for name in given], dtype=str)
    unknown = sorted(set(names.tolist()) - set(fields))
    if unknown:
        some = ", ".join(list(fields)[:5]) + (", ..." if len(fields) > 5 else "")
        msg = f"{path}: column 'field' has {unknown[0] or 'nothing'!r}, and the survey has the fields {some}"
        raise ImageError(msg)
    return names


def _numbers(table: Table, name: str, path: str | Path) -> NDArray[np.float64]:
    """A column as plain floats, NaN where it is masked or not there."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    return numbers_of(table, name, source=path, error=ImageError)


def _warn_of_outside(
    path: str | Path, x: NDArray[np.float64], y: NDArray[np.float64], inside: NDArray[np.bool_]
) -> None:
    """Warn of rows that are left out because they have no position on their image."""
    known = np.isfinite(x) & np.isfinite(y)
    if not inside.all():
        words = "%s: %d of %d labelled rows are left out: %d without a position, %d off their image"
        logger.warning(words, path, (~inside).sum(), len(inside), (~known).sum(), (known & ~inside).sum())


def _sides(radius: NDArray[np.float64], scale: float, centre: float, width: float) -> NDArray[np.float64]:
    """Side of each cutout in pixels of the reference band: its middle is what a run would cut."""
    pixels = radius / (scale if np.isfinite(scale) else 1.0)
    seen = np.clip(width * centre * pixels, *SIDES)
    return np.where(np.isfinite(pixels), seen / centre, _PLAIN_SIDE)
