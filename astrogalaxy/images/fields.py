"""Which files make up the fields of a survey."""

from __future__ import annotations

import dataclasses
import errno
import glob
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from astrogalaxy.errors import ImageError
from astrogalaxy.images.band import Band
from astrogalaxy.images.extensions import is_pattern, list_hdus
from astrogalaxy.images.image import Image
from astrogalaxy.images.psffile import list_psfs
from astrogalaxy.images.settings import BandSettings

if TYPE_CHECKING:
    from astrogalaxy.config.images import ImagesSection

__all__ = ["Field", "closed_folders", "find_fields", "missing_maps", "open_field", "unread_parts"]

Kind = Literal["path", "psf", "mask", "weight"]

# File systems have one that is root's alone; no images are in it.
_LOST_AND_FOUND = "lost+found"
# Keys of a survey that are settings of a band, and the roles of files whose extensions some of them name.
_SETTINGS = [setting.name for setting in fields(BandSettings) if setting.name not in ("psf", "mask", "weight", "box")]
_HDUS = {"hdu": "paths", "psf_hdu": "psfs", "mask_hdu": "masks", "weight_hdu": "weights"}


@dataclass(frozen=True)
class Field:
    """One patch of sky: a file per band.

    Attributes
    ----------
    name : str
        What ``{field}`` stands for, and the extension's name where several are fields; empty where there is neither.
    paths, masks, weights, psfs : dict of str to Path
        Per band. A band without a file is missing from ``paths``.
    extension : str
        Name of the extension that is a field of its own, with which ``name`` ends; else empty.
    hdus : dict of str to dict
        Its HDUs by the roles of files and by band, where they are not those of the survey's settings.
    """

    name: str
    paths: dict[str, Path]
    masks: dict[str, Path] = dataclasses.field(default_factory=dict)
    weights: dict[str, Path] = dataclasses.field(default_factory=dict)
    psfs: dict[str, Path] = dataclasses.field(default_factory=dict)
    extension: str = ""
    hdus: dict[str, dict[str, int | str]] = dataclasses.field(default_factory=dict)

    @property
    def stem(self) -> str:
        """What ``{field}`` stands for: the name without that of the extension."""
        return self.name.removesuffix(self.extension).removesuffix("-") if self.extension else self.name

    @property
    def label(self) -> str:
        """What it is called in catalogues and messages: its name, or ``field`` where there is none."""
        return self.name or "field"

    @property
    def files(self) -> list[Path]:
        """Every file of the field, images first."""
        return [path for by_band in self.roles.values() for path in by_band.values()]

    @property
    def roles(self) -> dict[str, dict[str, Path]]:
        """Its files by what they are for, and by band."""
        return {"paths": self.paths, "masks": self.masks, "weights": self.weights, "psfs": self.psfs}


def find_fields(images: ImagesSection, *, without: Collection[Path] = ()) -> list[Field]:
    """List the fields that a survey's patterns match on disk, sorted by name.

    Parameters
    ----------
    images : ImagesSection
        The ``images`` section of a survey.yml.
    without : collection of Path, optional
        Files that are no images whatever their names, such as a run's own catalogues.

    Returns
    -------
    list of Field
        One or more.

    Raises
    ------
    ImageError
        If no file matches, or one field of a band matches several files; where a folder could not be looked into, it
        names that.
    """
    left_out = {os.path.realpath(path) for path in without}
    by_band = {band: _matches(images.patterns(band), band, left_out) for band in images.bands}
    if not any(by_band.values()):
        fetch = "; 'astrogalaxy fetch' with this survey.yml brings them" if images.archive else ""
        raise _unmatched(images, "no image matches images.path", f"{images.patterns(images.bands[0])[0]}{fetch}")
    maps = [_maps(images, kind, left_out) for kind in ("mask", "weight", "psf")]
    by_band = _without_maps(by_band, maps)
    names = sorted(set().union(*by_band.values()))
    found = [Field(name, *(_of(files, name) for files in (by_band, *maps))) for name in names]
    return [part for whole in found for part in _parts(whole, images)]


def closed_folders(images: ImagesSection) -> list[str]:
    """Say which folders that a survey's patterns lead through could not be looked into: what is in them is no field.

    Parameters
    ----------
    images : ImagesSection
        The ``images`` section of a survey.yml.

    Returns
    -------
    list of str
        A sentence each, with the folder's name.
    """
    kinds: tuple[Kind, ...] = ("path", "psf", "mask", "weight")
    patterns = {
        text.replace("{field}", "*") for k in kinds for b in images.bands for text in images.patterns(b, kind=k)
    }
    folders = {(head, glob.has_magic(tail)) for head, tail in map(os.path.split, patterns)}
    closed = dict.fromkeys(found for head, listed in sorted(folders) for found in _closed(head, listed=listed))
    return [f"{folder}: cannot be looked into ({why}); what is in it is missing" for folder, why in closed]


def missing_maps(field: Field, images: ImagesSection, band: str) -> list[str]:
    """Say which of the maps that are asked for a band has not; it is used without them."""
    said = []
    for kind, files in (("mask", field.masks), ("weight", field.weights), ("psf", field.psfs)):
        tried = images.patterns(band, kind=kind)  # type: ignore[arg-type]
        if tried and band not in files:
            missing = tried[0].replace("{field}", field.stem)
            said.append(f"{field.paths[band]}: used without a {kind}; no file matches {missing}")
    return said


def unread_parts(band: Band, images: ImagesSection) -> list[str]:
    """Say that a band's file shows other parts of the sky in extensions that nobody has asked for."""
    if _of_band(images.hdu, band.name) != "auto" or images.plane is not None:
        return []
    found = band.elsewhere
    if found is None:
        return []
    other, each = found
    said = f"{band.origin}: is read alone, though extension {other} of the file shows another part of the sky"
    return [f"{said}; set images.hdu to {each!r} for each to be a field, or to the name of the one that is meant"]


def open_field(field: Field, images: ImagesSection, *, bands: Iterable[str] | None = None) -> Image:
    """Open the bands of a field that have files.

    Parameters
    ----------
    field : Field
        What to open.
    images : ImagesSection
        How to read it.
    bands : iterable of str, optional
        Only these bands.

    Returns
    -------
    Image
        With the field's name.
    """
    wanted = [b for b in (images.bands if bands is None else bands) if b in field.paths]
    opened = {band: Band(_settings(field, images, band).open(band, field.paths[band])) for band in wanted}
    return Image(opened, reference=images.reference, name=field.name)


def _settings(field: Field, images: ImagesSection, band: str) -> BandSettings:
    """What a survey says of a band, with the maps that the field has and the extensions that it is."""
    own = {key: _of_band(getattr(images, key), band) for key in _SETTINGS}
    own |= {key: by_band[band] for key, role in _HDUS.items() if band in (by_band := field.hdus.get(role, {}))}
    maps = {"psf": field.psfs.get(band), "mask": field.masks.get(band), "weight": field.weights.get(band)}
    return BandSettings(**maps, **own)


def _of_band(setting: Any, band: str) -> Any:
    """A setting that is for all bands, or by band; None where it is not for this one."""
    return setting.get(band) if isinstance(setting, Mapping) else setting


def _parts(whole: Field, images: ImagesSection) -> list[Field]:
    """Every extension that ``images.hdu`` matches as a field of its own, where it is a pattern."""
    patterns = {band: _of_band(images.hdu, band) for band in whole.paths}
    patterns = {band: pattern for band, pattern in patterns.items() if is_pattern(pattern)}
    if not patterns:
        return [whole]
    paths = {band: _listed(whole.paths[band], pattern, images, band) for band, pattern in patterns.items()}
    # what cannot be read or has none will be said when it is opened
    names = list(dict.fromkeys(name for listed in paths.values() for name in listed))
    if not names:
        return [whole]
    maps = {
        role: {band: _maps_of(files[band], setting, band, patterns, paths[band]) for band in paths if band in files}
        for role, files, setting in (
            ("masks", whole.masks, images.mask_hdu),
            ("weights", whole.weights, images.weight_hdu),
        )
    }
    maps["psfs"] = {b: _psfs_of(whole.psfs[b], images.psf_hdu, b, paths[b]) for b in paths if b in whole.psfs}
    # one that is not there is asked for by its name, and the error gives it
    roles = {
        "paths": {band: {name: listed.get(name, name) for name in names} for band, listed in paths.items()},
        **maps,
    }
    return [
        replace(
            whole,
            name=f"{whole.name}-{name}" if whole.name else name,
            extension=name,
            hdus={role: {b: of[name] for b, of in by_band.items() if name in of} for role, by_band in roles.items()},
        )
        for name in names
    ]


def _listed(path: Path, pattern: str, images: ImagesSection | None, band: str) -> dict[str, int]:
    try:
        return list_hdus(path, pattern, layer=None if images is None else _of_band(images.plane, band))
    except ImageError:
        return {}


def _maps_of(
    path: Path, setting: Any, band: str, patterns: Mapping[str, str], images: Mapping[str, int]
) -> dict[str, int | str]:
    """Extension of a map for each of the image: that of the same name, or by their order where it has a pattern too."""
    wanted = _of_band(setting, band)
    if is_pattern(wanted):
        return dict(zip(images, _listed(path, wanted, None, band).values(), strict=False))
    if wanted not in ("auto", None):
        return {}
    listed = _listed(path, patterns[band], None, band)
    return {name: listed.get(name, name) for name in images}


def _psfs_of(path: Path, setting: Any, band: str, images: Mapping[str, int]) -> dict[str, int | str]:
    """Point spread for each extension of the image, by their order, where a file has as many and none is named."""
    try:
        found = list_psfs(path) if _of_band(setting, band) in ("auto", None) else []
    except ImageError:
        return {}
    return dict(zip(images, found, strict=True)) if len(found) == len(images) else {}


def _maps(
    images: ImagesSection, kind: Literal["mask", "weight", "psf"], left_out: Collection[str]
) -> dict[str, dict[str, Path]]:
    """Files of one kind by band and field; some, where any are asked for."""
    found = {band: _matches(images.patterns(band, kind=kind), band, left_out) for band in images.bands}
    tried = [pattern for band in images.bands for pattern in images.patterns(band, kind=kind)]
    if tried and not any(found.values()):
        raise _unmatched(images, f"no file matches images.{kind}", tried[0])
    return found


def _without_maps(
    by_band: dict[str, dict[str, Path]], maps: Iterable[dict[str, dict[str, Path]]]
) -> dict[str, dict[str, Path]]:
    """Images that are no map of another one: a pattern such as {field}.fits matches a.mask.fits, too."""
    images = {name: {found.get(name) for found in by_band.values()} for found in by_band.values() for name in found}
    others = {
        path
        for by_kind in maps
        for found in by_kind.values()
        for name, path in found.items()
        if name in images and path not in images[name]
    }
    return {band: {n: path for n, path in found.items() if path not in others} for band, found in by_band.items()}


def _unmatched(images: ImagesSection, what: str, tried: str) -> ImageError:
    """What to raise where no file matches, with what keeps them away."""
    closed = closed_folders(images)
    return ImageError(f"{what}: {closed[0]}" if closed else f"{what}, for instance {tried}")


def _of(by_band: dict[str, dict[str, Path]], name: str) -> dict[str, Path]:
    # a mask or weight without {field} in its pattern serves every field
    return {
        band: found.get(name, found.get(""))  # type: ignore[misc]
        for band, found in by_band.items()
        if name in found or "" in found
    }


def _matches(patterns: tuple[str, ...], band: str, left_out: Collection[str]) -> dict[str, Path]:
    """Files of a band, by the field's name."""
    found: dict[str, Path] = {}
    for pattern in patterns:
        expression = _expression(pattern)
        for text in sorted(glob.glob(pattern.replace("{field}", "*"), recursive=True)):
            match = expression.fullmatch(text)
            if match is None or (left_out and os.path.realpath(text) in left_out):
                continue
            name = match.groupdict().get("field") or ""
            if name in found and found[name] != Path(text):
                which = f"field {name!r}" if name else "the field"
                msg = f"{text}: {which} has a second file in band {band}: {found[name]}; narrow images.path"
                raise ImageError(msg)
            found[name] = Path(text)
    return found


def _closed(pattern: str, *, listed: bool) -> Iterator[tuple[str, str]]:
    """Folders of a pattern that cannot be listed, or have no file that could be opened, and why; `glob` tells none."""
    folders = [pattern]
    if glob.has_magic(pattern):
        head, tail = os.path.split(pattern)
        yield from _closed(head, listed=glob.has_magic(tail))
        # of all that is below a folder, which may be many files, the folders alone
        folders = glob.glob(os.path.join(pattern, "") if tail == "**" else pattern, recursive=True)
    for folder in folders:
        try:
            os.lstat(os.path.join(folder, "."))
            if listed:
                os.scandir(folder).close()
        except (FileNotFoundError, NotADirectoryError):
            if os.path.islink(folder) and not os.path.exists(folder):
                yield folder, "a link to what is not there"
        except OSError as error:
            if os.path.basename(os.path.normpath(folder)) != _LOST_AND_FOUND:
                yield os.path.normpath(folder), os.strerror(error.errno or errno.EIO)


def _expression(pattern: str) -> re.Pattern[str]:
    """The glob pattern as a regular expression whose group ``field`` is the field's name."""
    parts: list[str] = []
    seen = False
    # the first ] of a set is one of its letters
    for piece in re.split(r"(\{field\}|\*\*/?|\*|\?|\[!?\]?[^\]]*\])", pattern):
        letters = piece[1:-1].removeprefix("!") if piece.startswith("[") and piece.endswith("]") else ""
        if piece == "{field}":
            parts.append("(?P=field)" if seen else r"(?P<field>[^/]+?)")
            seen = True
        elif piece.startswith("**"):
            parts.append(".*")
        elif piece == "*":
            parts.append("[^/]*")
        elif piece == "?":
            parts.append("[^/]")
        elif letters:
            # what only regular expressions know stands for itself
            parts.append("[" + "^" * (piece[1] == "!") + re.sub(r"([\\\[\]&~|^])", r"\\\1", letters) + "]")
        else:
            parts.append(re.escape(piece))
    return re.compile("".join(parts))
