"""Rounds of injections on disk, so that an interrupted evaluation goes on where it stopped."""

from __future__ import annotations

import warnings
from pathlib import Path

from astropy.table import Table

from astrogalaxy.evaluation.injection import Round
from astrogalaxy.files import atomic_path

__all__ = ["read_round", "write_round"]

_KEY, _NEAR = "content_key", "near"


def write_round(folder: Path, key: str, made: Round) -> None:
    """Write one round, whole or not at all.

    Parameters
    ----------
    folder : Path
        Of the field's rounds; made if need be.
    key : str
        Content key: of the images, settings and weights that the round was made with.
    made : Round
        What came of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    extra, injected = made.extra.copy(), made.injected.copy()
    injected.meta |= {_KEY: key, _NEAR: float(made.near)}
    # the extra sources first: the round is there as soon as the table of what was injected is
    for table, path in zip((extra, injected), reversed(_paths(folder, made.number)), strict=True):
        with atomic_path(path) as temporary:
            table.write(temporary, format="ascii.ecsv", overwrite=True)


def read_round(folder: Path, key: str, number: int) -> Round | None:
    """Read a round that was made with the same content; None if there is none.

    Parameters
    ----------
    folder : Path
        See `write_round`.
    key : str
        Content key that it must have.
    number : int
        Of the round.

    Returns
    -------
    Round or None
        None also if it was made with other content, or is damaged.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            injected, extra = (Table.read(path, format="ascii.ecsv") for path in _paths(folder, number))
        near = float(injected.meta.pop(_NEAR))
    except Exception:  # noqa: BLE001 (there is none, or whatever is wrong with it, it must be made again)
        return None
    return Round(number, injected, extra, near) if injected.meta.pop(_KEY, None) == key else None


def _paths(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"{number:04d}-injected.ecsv", folder / f"{number:04d}-extra.ecsv"
