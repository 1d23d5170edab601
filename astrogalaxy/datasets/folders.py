"""A folder of class folders with cutouts, and catalogues of classified sources with their images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrogalaxy.config import SurveyConfig
from astrogalaxy.datasets.cutouts import LabelledCutouts
from astrogalaxy.datasets.pictures import PICTURES, PictureFiles
from astrogalaxy.detection.inputs import map_bands
from astrogalaxy.errors import AstrogalaxyError, ImageError
from astrogalaxy.images import Image, Section
from astrogalaxy.images.fields import find_fields, open_field
from astrogalaxy.morphology.pictures import FIELD_OF_VIEW, colour_picture, cut

__all__ = ["read_catalog", "read_folders"]

_FITS = (".fits", ".fit", ".fz")
# Side of a cutout in pixels where the catalogue gives no radius, the smallest one, and the side it is brought to.
_PLAIN_SIDE, _SMALLEST_SIDE, _PIXELS = 96.0, 24.0, 256
_LABELS = ("class", "label", "morphology")


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
    found = {
        kind.name: [p for p in sorted(kind.rglob("*")) if p.suffix.lower() in (*PICTURES, *_FITS)] for kind in kinds
    }
    found = {name: files for name, files in found.items() if files}
    if len(found) < 2:
        msg = f"{folder}: expected at least two folders, named like classes, with JPEG, PNG or FITS images"
        raise ImageError(msg)
    paths = [path for files in found.values() for path in files]
    labels = np.repeat(np.arange(len(found)), [len(files) for files in found.values()])
    shares = np.eye(len(found), dtype=np.float32)[labels]
    names = [path.stem for path in paths]
    return LabelledCutouts(
        names, tuple(found), shares, PictureFiles(paths), f"{len(paths)} cutouts of the folder {folder.name}"
    )


@dataclass
class _Positions:
    """Reads cutouts out of the images of a survey, by position; keeps one field open."""

    config: SurveyConfig
    fields: list[str]
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

    def _image(self, name: str) -> Image:
        if name not in self._open:
            self._open.clear()
            there = {f.name: f for f in find_fields(self.config.images)}
            found = there.get(name) or (next(iter(there.values())) if len(there) == 1 else None)
            if found is None:
                msg = f"{self.config.name}: the survey has no field {name!r}"
                raise ImageError(msg)
            self._open[name] = open_field(found, self.config.images)
        return self._open[name]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": {}}


def read_catalog(path: str | Path, survey: str | Path) -> LabelledCutouts:
    """Read a table of classified sources of a survey; cutouts are made at their positions.

    Parameters
    ----------
    path : path
        A catalogue that astrogalaxy wrote, or any table with ``x`` and ``y`` (0-based pixels of the reference band) and
        one of ``class``, ``label`` and ``morphology``; the last of them that tells sources apart is used. ``field`` and
        ``half_light_radius`` (arcsec) are used where they are there; ``unsure`` and empty labels are left out.
    survey : path
        The survey.yml of its images.

    Returns
    -------
    LabelledCutouts
        Pictures are made of the survey's images when they are asked for.

    Raises
    ------
    ImageError
        If the table cannot be read, or lacks a column.
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
    try:
        table = Table.read(path, **({"format": "ascii.csv"} if str(path).endswith(".csv") else {}))
    except Exception as error:  # astropy's readers raise many kinds
        msg = f"{path}: cannot be read as a table: {error}"
        raise ImageError(msg) from error
    column = next((c for c in reversed(_LABELS) if c in table.colnames and len(set(_known(table[c]))) > 1), None)
    missing = {"x", "y"} - set(table.colnames)
    if missing or column is None:
        msg = f"{path}: no column {min(missing) if missing else ' or '.join(_LABELS) + ' with two classes or more'}"
        raise ImageError(msg)
    labels = np.array([str(value).strip() for value in table[column]])
    rows = np.flatnonzero(~np.isin(labels, ("", "unsure", "--")))
    names = tuple(sorted(set(labels[rows].tolist())))
    # sources of images without WCS all have the same id, and would all be in one part
    known = "source_id" in table.colnames and len(set(table["source_id"].tolist())) == len(table)
    ids = table["source_id"] if known else range(len(table))
    fields = [str(value) for value in table["field"]] if "field" in table.colnames else [""] * len(table)
    reader = _Positions(
        config,
        [fields[i] for i in rows],
        np.asarray(table["x"], float)[rows],
        np.asarray(table["y"], float)[rows],
        _sides(table, config)[rows],
    )
    shares = (labels[rows][:, None] == np.array(names)[None]).astype(np.float32)
    source = f"{len(rows)} cutouts of the catalogue {Path(path).name}"
    return LabelledCutouts([str(ids[i]) for i in rows], names, shares, reader, source)


def _known(labels: object) -> list[str]:
    return [text for value in labels if (text := str(value).strip()) not in {"", "unsure", "--"}]  # type: ignore[attr-defined]


def _sides(table: Table, config: SurveyConfig) -> NDArray[np.float64]:
    """Side of each cutout in pixels of the reference band."""
    if "half_light_radius" not in table.colnames:
        return np.full(len(table), _PLAIN_SIDE)
    scale = _pixel_scale(config)
    radius = np.ma.filled(np.ma.asarray(table["half_light_radius"], dtype=float), np.nan) / scale
    return np.where(np.isfinite(radius), np.maximum(FIELD_OF_VIEW * radius, _SMALLEST_SIDE), _PLAIN_SIDE)


def _pixel_scale(config: SurveyConfig) -> float:
    try:
        scale = open_field(find_fields(config.images)[0], config.images).pixel_scale
    except AstrogalaxyError:
        return 1.0
    return scale if np.isfinite(scale) else 1.0
