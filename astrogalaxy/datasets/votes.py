"""Classes from the votes of Galaxy Zoo 2 and Galaxy Zoo DECaLS.

Volunteers went down a tree of questions. The share of a class is the product of the shares on the way to it; the
question whether something is odd was asked of every galaxy, so what a merger or a disturbance takes is taken of all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrogalaxy.datasets.cutouts import LabelledCutouts
from astrogalaxy.datasets.pictures import PICTURES, PictureFiles
from astrogalaxy.errors import ImageError
from astrogalaxy.tables import numbers_of, read_table

__all__ = ["FINE", "GALAXY10", "SCHEMES", "Scheme", "read_votes", "vote_shares"]

#: How galaxies are sorted into classes; see `read_votes`.
Scheme = Literal["labels", "smooth-disk", "fine", "galaxy10"]
Votes = Mapping[str, NDArray[np.float64]]

#: The seven fine classes.
FINE = ("smooth-round", "smooth-in-between", "smooth-cigar", "edge-on", "barred-spiral", "unbarred-spiral", "merger")
#: The ten classes of Galaxy10 DECaLS, by their numbers there.
GALAXY10 = (
    "disturbed", "merging", "round-smooth", "in-between-round-smooth", "cigar-shaped-smooth", "barred-spiral",
    "unbarred-tight-spiral", "unbarred-loose-spiral", "edge-on-without-bulge", "edge-on-with-bulge",
)  # fmt: skip

# Answers by our names: the column in Galaxy Zoo 2, the pattern in Galaxy Zoo DECaLS (data releases put their name in).
_GZ2 = {
    "smooth": "t01_smooth_or_features_a01_smooth",
    "disk": "t01_smooth_or_features_a02_features_or_disk",
    "edge_on": "t02_edgeon_a04_yes",
    "face_on": "t02_edgeon_a05_no",
    "bar": "t03_bar_a06_bar",
    "no_bar": "t03_bar_a07_no_bar",
    "odd": "t06_odd_a14_yes",
    "disturbed": "t08_odd_feature_a21_disturbed",
    "merging": "t08_odd_feature_a24_merger",
    "round": "t07_rounded_a16_completely_round",
    "in_between": "t07_rounded_a17_in_between",
    "cigar": "t07_rounded_a18_cigar_shaped",
    "no_bulge": "t09_bulge_shape_a27_no_bulge",
    "tight": "t10_arms_winding_a28_tight",
    "medium": "t10_arms_winding_a29_medium",
    "loose": "t10_arms_winding_a30_loose",
}
_DECALS = {
    "smooth": "smooth-or-featured_smooth",
    "disk": "smooth-or-featured_featured-or-disk",
    "edge_on": "disk-edge-on_yes",
    "face_on": "disk-edge-on_no",
    "bar": "bar_(strong|yes)",
    "weak_bar": "bar_weak",
    "no_bar": "bar_no",
    "disturbed": "merging_(major|minor)-disturbance",
    "merging": "merging_merger",
    "round": "how-rounded_round",
    "in_between": "how-rounded_in-between",
    "cigar": "how-rounded_cigar-shaped",
    "no_bulge": "edge-on-bulge_none",
    "tight": "spiral-winding_tight",
    "medium": "spiral-winding_medium",
    "loose": "spiral-winding_loose",
}
_SUFFIX = "_weighted_fraction"
# Columns with the name of a galaxy, and of Galaxy Zoo 2 with that of its image: the first that is there.
_DECALS_IDS, _GZ2_IDS, _GZ2_FILES = ("id_str", "iauname"), ("objid", "dr7objid"), ("asset_id", "objid")
_TEXTS = {*_DECALS_IDS, *_GZ2_IDS, *_GZ2_FILES, "derived_label"}


def read_votes(folder: str | Path, *, classes: Scheme = "fine", soft: bool = True) -> LabelledCutouts:
    r"""Read a sample of Galaxy Zoo 2 or Galaxy Zoo DECaLS: ``labels.csv`` with the votes, and ``images/``.

    Parameters
    ----------
    folder : path
        Of the sample.
    classes : {'labels', 'smooth-disk', 'fine', 'galaxy10'}
        ``labels`` are those of the column ``derived_label``, without the galaxies that have none; the others come from
        the votes. With ``smooth-disk`` galaxies that are labelled as mergers are left out.
    soft : bool
        Give the shares of the votes; else 1 to the class with most.

    Returns
    -------
    LabelledCutouts
        The galaxies that have votes and an image, with the shares of the classes.

    Raises
    ------
    ImageError
        If the table, a column that the classes need, or all images are missing.

    Examples
    --------
    >>> from pathlib import Path
    >>> from PIL import Image as Picture
    >>> from astrogalaxy.datasets.votes import read_votes
    >>> columns = "smooth-or-featured_smooth_fraction,smooth-or-featured_featured-or-disk_fraction"
    >>> Path("sample", "images").mkdir(parents=True)
    >>> _ = Path("sample", "labels.csv").write_text(f"iauname,{columns}\nJ1,0.2,0.6\n", encoding="utf-8")
    >>> Picture.new("RGB", (64, 64)).save("sample/images/J1.jpg")
    >>> cutouts = read_votes("sample", classes="smooth-disk")
    >>> cutouts.classes, cutouts.shares.round(2).tolist()
    (('smooth', 'disk'), [[0.25, 0.75]])
    """
    path, table = read_vote_table(folder)
    if classes == "labels":
        names, shares = _labels(table, path)
    else:
        names, shares = vote_shares(table, classes, source=str(path))
    known = np.isfinite(shares).all(axis=1)
    if classes == "smooth-disk":
        known &= ~mergers(table)
    ids, files = galaxies(table, path)
    known &= np.array([file.is_file() for file in files], dtype=bool)
    if not known.any():
        msg = f"{path}: no galaxy of it has votes and an image in {path.parent}"
        raise ImageError(msg)
    if not soft:
        shares = np.eye(len(names))[np.nan_to_num(shares).argmax(axis=1)]
    which = "DECaLS (Walmsley et al. 2022)" if of_decals(table) else "2 (Willett et al. 2013, Hart et al. 2016)"
    rows = np.flatnonzero(known)
    pictures = PictureFiles([files[i] for i in rows])
    return LabelledCutouts(
        [ids[i] for i in rows],
        names,
        shares[rows].astype(np.float32),
        pictures,
        f"{len(rows)} cutouts of Galaxy Zoo {which}",
        files=pictures.paths,
    )


def read_vote_table(folder: str | Path) -> tuple[Path, Table]:
    """Path and content of the vote table of a sample, or raise ImageError."""
    path = Path(folder) / "labels.csv"
    if not path.is_file():
        msg = f"{path}: no such file; expected the vote table of Galaxy Zoo 2 or Galaxy Zoo DECaLS there"
        raise ImageError(msg)
    return path, read_table(path, text=_TEXTS, error=ImageError)


def of_decals(table: Table) -> bool:
    """Whether a vote table is of Galaxy Zoo DECaLS, or else of Galaxy Zoo 2."""
    return any(name.startswith("smooth-or-featured") for name in table.colnames)


def mergers(table: Table) -> NDArray[np.bool_]:
    """Galaxies that are labelled as mergers, which are neither smooth nor disk; none where there are no labels."""
    labels = table["derived_label"] if "derived_label" in table.colnames else [""] * len(table)
    return np.array([str(label) == "merger" for label in labels], dtype=bool)


def galaxies(table: Table, path: Path) -> tuple[list[str], list[Path]]:
    """Name of each galaxy and its image: in ``images`` or else anywhere below; where it should be, if there is none."""
    decals = of_decals(table)
    columns = _DECALS_IDS if decals else _GZ2_IDS
    name = next((c for c in columns if c in table.colnames), None)
    file = name if decals else next((c for c in _GZ2_FILES if c in table.colnames), None)
    if name is None or file is None:
        msg = f"{path}: no column {' or '.join(columns)}"
        raise ImageError(msg)
    stems = [str(value) for value in table[file]]
    images = [path.parent / "images" / f"{stem}.jpg" for stem in stems]
    there = [image.is_file() for image in images]
    if not all(there):
        found = {p.stem: p for p in sorted(path.parent.rglob("*")) if p.suffix.lower() in PICTURES}
        rows = zip(there, images, stems, strict=True)
        images = [image if known else found.get(stem, image) for known, image, stem in rows]
    return [str(value) for value in table[name]], images


def _labels(table: Table, path: Path) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    if "derived_label" not in table.colnames:
        msg = f"{path}: no column 'derived_label'; choose classes from the votes: smooth-disk, fine or galaxy10"
        raise ImageError(msg)
    column = table["derived_label"]
    given = np.array(["" if label is np.ma.masked else str(label).strip() for label in column], dtype=str)
    names = tuple(sorted(set(given.tolist()) - {""}))
    if not names:
        msg = f"{path}: no galaxy of it has a label in the column 'derived_label'"
        raise ImageError(msg)
    shares = np.asarray(given[:, None] == np.array(names, dtype=str)[None], float)
    shares[given == ""] = np.nan
    return names, shares


def vote_shares(table: Table, classes: Scheme, *, source: str = "votes") -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Shares of classes from the columns of a vote table.

    Parameters
    ----------
    table : Table
        Of Galaxy Zoo 2 (weighted fractions) or Galaxy Zoo DECaLS (fractions). Questions that nobody was asked count
        as if the answers were even; without a column for smooth galaxies all votes of Galaxy Zoo DECaLS that are not
        for a disk are for these.
    classes : {'smooth-disk', 'fine', 'galaxy10'}
        See `FINE` and `GALAXY10`.
    source : str
        For messages.

    Returns
    -------
    names : tuple of str
        The classes.
    shares : ndarray
        ``(n, n_classes)``; NaN where the first question has no votes.

    Raises
    ------
    ImageError
        If a column is missing, or does not hold numbers.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from astrogalaxy.datasets.votes import vote_shares
    >>> question = "smooth-or-featured"
    >>> votes = {f"{question}_smooth_fraction": [0.2], f"{question}_featured-or-disk_fraction": [0.6]}
    >>> names, shares = vote_shares(Table(votes), "smooth-disk")
    >>> names, shares.round(2).tolist()
    (('smooth', 'disk'), [[0.25, 0.75]])
    """
    votes = _answers(table, needed=_NEEDED[classes], source=source)
    names, shares = SCHEMES[classes](votes)
    total = shares.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return names, np.where(total > 0, shares / total, np.nan)


def _answers(table: Table, *, needed: tuple[str, ...], source: str) -> dict[str, NDArray[np.float64]]:
    votes: dict[str, NDArray[np.float64]] = {}
    for answer in needed:
        columns = _columns(table, answer)
        given = [numbers_of(table, column, source=source, error=ImageError) for column in columns]
        if answer == "smooth" and not columns and of_decals(table):
            # some tables have only this one, and the third answer, a star or an artefact, is rare
            given = [1 - share for share in _answers(table, needed=("disk",), source=source).values()]
        elif not columns and answer not in {"weak_bar", "odd"}:
            name = f"{_DECALS[answer]}_fraction" if of_decals(table) else f"{_GZ2[answer]}{_SUFFIX}"
            msg = f"{source}: no column with the votes for {answer.replace('_', ' ')} ({name})"
            raise ImageError(msg)
        votes[answer] = _sum(given) if given else np.zeros(len(table))
    return votes


def _sum(given: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Sum of what is known, for a table may hold several releases, and each row be of one; NaN where nothing is."""
    return np.where(np.isnan(given).all(axis=0), np.nan, np.nansum(given, axis=0))


def _columns(table: Table, answer: str) -> list[str]:
    """Columns with the votes for an answer: one, or several of which the answer is the sum."""
    galaxy_zoo2 = _GZ2.get(answer, "") + _SUFFIX
    if galaxy_zoo2 in table.colnames:
        return [galaxy_zoo2]
    question, _, reply = _DECALS.get(answer, "_").partition("_")
    pattern = rf"{question}(-dr\d+)?_{reply}_fraction" if question else r"(?!)"
    return [name for name in table.colnames if re.fullmatch(pattern, name)]


def _split(votes: Votes, *answers: str) -> list[NDArray[np.float64]]:
    """Shares of the answers to one question among each other; even where nobody answered."""
    given = np.stack([np.nan_to_num(votes[answer]) for answer in answers])
    total = given.sum(axis=0)
    return [*np.where(total > 0, given / np.maximum(total, 1e-12), 1 / len(answers))]


def _smooth_disk(votes: Votes) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    return ("smooth", "disk"), np.column_stack([votes["smooth"], votes["disk"]])


def _odd(votes: Votes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of a merger and of a disturbance; in Galaxy Zoo DECaLS that is a question of its own."""
    share = np.where(votes["odd"] > 0, votes["odd"], 0.0) if votes["odd"].any() else 1.0
    return share * np.nan_to_num(votes["merging"]), share * np.nan_to_num(votes["disturbed"])


def _fine(votes: Votes) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    smooth, disk = votes["smooth"], votes["disk"]
    first = smooth + disk
    with np.errstate(invalid="ignore", divide="ignore"):
        smooth, disk = smooth / first, disk / first
    merger = np.clip(sum(_odd(votes)), 0, 1)
    edge, face = _split(votes, "edge_on", "face_on")
    bar, plain = _bars(votes)
    shapes = [smooth * share for share in _split(votes, "round", "in_between", "cigar")]
    kinds = [*shapes, disk * edge, disk * face * bar, disk * face * plain]
    return FINE, np.column_stack([*(kind * (1 - merger) for kind in kinds), merger])


def _bars(votes: Votes) -> list[NDArray[np.float64]]:
    bar = np.nan_to_num(votes["bar"]) + np.nan_to_num(votes["weak_bar"])
    return _split({"bar": bar, "no_bar": votes["no_bar"]}, "bar", "no_bar")


def _galaxy10(votes: Votes) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    _, fine = _fine(votes)
    merging, disturbed = _odd(votes)
    both = np.maximum(merging + disturbed, 1e-12)
    tight, medium, loose = _split(votes, "tight", "medium", "loose")
    flat = np.nan_to_num(votes["no_bulge"])
    parts = [
        fine[:, 6] * disturbed / both, fine[:, 6] * merging / both, fine[:, 0], fine[:, 1], fine[:, 2], fine[:, 4],
        fine[:, 5] * (tight + medium / 2), fine[:, 5] * (loose + medium / 2),
        fine[:, 3] * flat, fine[:, 3] * (1 - flat),
    ]  # fmt: skip
    return GALAXY10, np.column_stack(parts)


_TREE = (
    "smooth", "disk", "edge_on", "face_on", "bar", "weak_bar", "no_bar", "odd", "disturbed", "merging", "round",
    "in_between", "cigar",
)  # fmt: skip
_NEEDED: dict[str, tuple[str, ...]] = {
    "smooth-disk": ("smooth", "disk"),
    "fine": _TREE,
    "galaxy10": (*_TREE, "no_bulge", "tight", "medium", "loose"),
}

#: From votes to classes and their shares, by the name of the scheme.
SCHEMES: dict[str, Callable[[Votes], tuple[tuple[str, ...], NDArray[np.float64]]]] = {
    "smooth-disk": _smooth_disk,
    "fine": _fine,
    "galaxy10": _galaxy10,
}
