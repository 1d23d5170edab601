"""Fetch the images of positions: what is there already stays, what fails is told, the rest goes on."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from astrogalaxy.errors import ArchiveError, ConfigError
from astrogalaxy.extras import not_installed
from astrogalaxy.files import atomic_path, write_text
from astrogalaxy.folders import locked
from astrogalaxy.images.archives.archive import Archive, NoImageError, Remote, UnreachableError
from astrogalaxy.images.archives.download import cache_folder, download, made_folder, retried
from astrogalaxy.images.archives.registry import get_archive
from astrogalaxy.images.archives.targets import Target, targets_of

if TYPE_CHECKING:
    from astrogalaxy.config.images import ImagesSection

__all__ = ["FetchSummary", "Loss", "fetch", "fetch_survey"]

logger = logging.getLogger(__name__)

#: Name of the file, beside the images, that says what they are and where they came from.
RECORD = "fetched.json"
# Held while the record is read and written again: several fetches may bring images into one folder at once.
_LOCK = ".fetched.lock"

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Loss:
    """What did not come.

    Attributes
    ----------
    what : str
        A position, or an image's file name.
    reason : str
        One sentence.
    band : str
        Where it concerns one.

    Examples
    --------
    >>> from astrogalaxy.images.archives import Loss
    >>> print(Loss("10.5+41.2", "the archive has no image there"))
    10.5+41.2: the archive has no image there
    """

    what: str
    reason: str
    band: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


@dataclass
class FetchSummary:
    """What was fetched.

    Attributes
    ----------
    archive : Archive
        From where.
    folder : Path
        To where.
    bands : tuple of str
        What was asked for, shortest wavelength first.
    files : list of Path
        Images that are there now, whether they came just now or before.
    fetched : int
        How many of them came from the archive just now.
    losses : list of Loss
        What did not come.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.images.archives import FetchSummary, Loss, get_archive
    >>> summary = FetchSummary(get_archive("sdss"), Path("sdss"), ("g", "r"))
    >>> summary.losses.append(Loss("m31", "the archive has no image there"))
    >>> summary.exit_code
    1
    """

    archive: Archive
    folder: Path
    bands: tuple[str, ...]
    files: list[Path] = field(default_factory=list)
    fetched: int = 0
    losses: list[Loss] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0: all there; 1: nothing; 3: some of it."""
        return (3 if self.files else 1) if self.losses else 0 if self.files else 1


def fetch(
    archive: str,
    positions: str | Path | Target | Iterable[str | Path | Target],
    *,
    size: Any,
    bands: Sequence[str] | None = None,
    folder: str | Path = "images",
    cache: str | Path | None = None,
    retries: int = 3,
    backoff: float = 2.0,
    progress: Progress | None = None,
) -> FetchSummary:
    """Fetch the images of one or more positions.

    Parameters
    ----------
    archive : str
        ``sdss``, ``panstarrs``, ``skyview`` or ``hips2fits``.
    positions : str, Path, Target, or iterable of these
        Degrees, sexagesimal, names of objects, or paths of tables; see `parse_position` and `read_positions`.
    size : Quantity or number
        Side of the square around each position: an angle, or a number of arcmin.
    bands : sequence of str, optional
        The archive's default bands, if not given.
    folder : path, optional
        Where the images are put; made if need be. Images that are there from an earlier call stay.
    cache : path, optional
        Folder that keeps the archive's answers; by default ``archives`` in ``$ASTROGALAXY_CACHE``, or in
        ``astrogalaxy`` in the user's cache folder.
        Answers that are no whole image are not kept.
    retries, backoff : optional
        How often a failed request is sent again, and the wait (s) before the first time; it doubles.
    progress : callable, optional
        Called with (images done, images in all, what happens now).

    Returns
    -------
    FetchSummary
        Also of what failed. What came is kept in any case; the same call again asks for the rest only.

    Raises
    ------
    ConfigError
        An argument is wrong.
    ArchiveError
        astroquery is not installed; a name cannot be resolved; or the archive cannot be reached and nothing is
        there from before.

    Examples
    --------
    >>> summary = fetch("sdss", "179.68 -0.45", size=5, bands="gri")  # doctest: +SKIP
    """
    source = get_archive(archive)
    problem = not_installed("fetching from archives", ["astroquery"], "archives")
    if problem:
        raise ArchiveError(problem)
    wanted = source.check_bands(bands)
    arcsec = _arcsec(size, source)
    several = [positions] if isinstance(positions, (str, Path, Target)) else positions
    work = _Work(source, Path(folder), wanted, Path(cache) if cache else cache_folder(), retries, backoff, progress)
    return work.do(targets_of(several), arcsec)


def _arcsec(size: Any, source: Archive) -> float:
    """A size as arcsec, if the archive gives so much."""
    arcsec = float(size.to_value("arcsec")) if hasattr(size, "unit") else float(size) * 60
    if not 0 < arcsec <= source.largest:
        msg = f"{source.name} gives images of up to {source.largest / 60:g} arcmin, not of {arcsec / 60:g}"
        raise ConfigError(msg)
    return arcsec


@dataclass
class _Work:
    """One call of `fetch`."""

    source: Archive
    folder: Path
    bands: tuple[str, ...]
    cache: Path
    retries: int
    backoff: float
    progress: Progress | None

    def do(self, targets: Sequence[Target], size: float) -> FetchSummary:
        """Ask for all positions, and fetch what they have."""
        summary = FetchSummary(self.source, self.folder, self.bands)
        made_folder(self.folder, "give another folder")
        record = _read_record(self.folder)
        new: dict[str, dict[str, Any]] = {"files": {}, "positions": {}}
        # what is new goes into the first of them
        known: MutableMapping[str, Any] = ChainMap(new["files"], record["files"])
        asked: MutableMapping[str, dict[str, str]] = ChainMap(new["positions"], record["positions"])
        unreachable: UnreachableError | None = None
        remotes: dict[str, Remote] = {}
        try:
            for number, target in enumerate(targets):
                self._tell(number, len(targets), f"asking {self.source.title}")
                place = f"{self.source.name} {target.ra:.6f} {target.dec:.6f} {size:g} {','.join(self.bands)}"
                names = asked.get(place)
                if isinstance(names, dict) and names and all(self._is_there(*one, known) for one in names.items()):
                    summary.files += [self.folder / name for name in names]
                    summary.losses += self._without(target, {known[name]["band"] for name in names})
                    continue
                if unreachable is not None:
                    summary.losses.append(Loss(target.name, str(unreachable)))
                    continue
                try:
                    found = self._find(target, size)
                except ArchiveError as error:
                    unreachable = error if isinstance(error, UnreachableError) else None
                    summary.losses.append(Loss(target.name, str(error)))
                    continue
                if not found:
                    reason = f"{self.source.title} has no image at {target.ra:.5f} {target.dec:.5f}"
                    summary.losses.append(Loss(target.name, reason))
                else:
                    summary.losses += self._without(target, {one.band for one in found})
                asked[place] = {self.source.file_name(one): self.source.kept_key(one) for one in found}
                remotes |= {self.source.file_name(one): one for one in found}
            self._download(remotes, known, summary)
        finally:
            _add_to_record(self.folder, new)
        summary.files = sorted(dict.fromkeys(summary.files))
        if unreachable is not None and not summary.files:
            raise unreachable
        return summary

    def _find(self, target: Target, size: float) -> list[Remote]:
        return retried(
            lambda: self.source.find(target, size, self.bands),
            retries=self.retries, backoff=self.backoff, what=f"{self.source.title}, {target.name}",
        )  # fmt: skip

    def _without(self, target: Target, found: set[str]) -> list[Loss]:
        """Bands that the archive does not have of a target of which it has others."""
        lost = [band for band in self.bands if band not in found]
        return [Loss(target.name, f"{self.source.title} has no image in {band}", band) for band in lost]

    def _is_there(self, name: str, key: str, known: Mapping[str, Any]) -> bool:
        """Whether a file is there, and still of that content: another size may have taken its place."""
        return known.get(name, {}).get("key") == key and (self.folder / name).is_file()

    def _download(self, remotes: dict[str, Remote], known: MutableMapping[str, Any], summary: FetchSummary) -> None:
        """Bring what is not there, a few files at a time."""
        todo = {}
        for name, remote in remotes.items():
            if self._is_there(name, self.source.kept_key(remote), known):
                summary.files.append(self.folder / name)
            else:
                todo[name] = remote
        total, done, stop = len(remotes), len(remotes) - len(todo), Event()
        self._tell(done, total, "")
        # Four at a time: kind to the archives, and enough to fill a line.
        with ThreadPoolExecutor(4) as pool:
            futures = {pool.submit(self._bring, name, remote, stop): name for name, remote in todo.items()}
            try:
                for future in as_completed(futures):
                    name, done = futures[future], done + 1
                    self._note(name, todo[name], future.result, known, summary)
                    self._tell(done, total, name)
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _bring(self, name: str, remote: Remote, stop: Event) -> bool:
        """Get one image and put it into the folder; whether it came just now."""
        if stop.is_set():
            raise UnreachableError("not tried, since the archive cannot be reached")
        try:
            raw, fetched = download(
                remote, cache=self.cache, title=self.source.title, retries=self.retries, backoff=self.backoff
            )
        except UnreachableError:
            stop.set()
            raise
        try:
            made = self.source.finish(raw, remote)
        except (KeyError, ValueError, StopIteration) as error:
            raw.unlink(missing_ok=True)
            raise ArchiveError(f"{self.source.title} sent an image that is not as expected: {error!r}") from error
        with atomic_path(self.folder / name) as path:
            if made is not None:
                made.writeto(path, overwrite=True)
            else:
                # no hard link: whoever edits the image in place would change the cache
                shutil.copyfile(raw, path)
        return fetched

    def _note(
        self,
        name: str,
        remote: Remote,
        result: Callable[[], bool],
        known: MutableMapping[str, Any],
        summary: FetchSummary,
    ) -> None:
        try:
            fetched = result()
        except ArchiveError as error:
            lasting = "" if isinstance(error, NoImageError) else "; the same command tries again"
            summary.losses.append(Loss(name, f"{error}{lasting}", remote.band))
            logger.warning("%s: %s", name, error)
            return
        summary.files.append(self.folder / name)
        summary.fetched += fetched
        key = self.source.kept_key(remote)
        known[name] = {"url": remote.url, "key": key, "band": remote.band, "field": remote.field}
        logger.info("%s from %s", name, remote.url if fetched else "the cache")

    def _tell(self, done: int, total: int, what: str) -> None:
        if self.progress is not None:
            self.progress(done, total, what)


def _read_record(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = None
    known = record if isinstance(record, dict) else {}
    return {what: dict(known.get(what) or {}) for what in ("files", "positions")}


def _add_to_record(folder: Path, new: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the record with what is new, beside what other fetches may have written since it was read."""
    with locked(folder, name=_LOCK, wait=True):
        record = _read_record(folder)
        text = json.dumps({what: entries | dict(new[what]) for what, entries in record.items()}, indent=1)
        write_text(folder / RECORD, text + "\n")


def fetch_survey(images: ImagesSection, *, progress: Progress | None = None, **options: Any) -> FetchSummary | None:
    """Fetch what ``images.archive`` of a survey.yml names, into the folder of ``images.path``.

    Parameters
    ----------
    images : ImagesSection
        The section; None is returned if it names no archive.
    progress : callable, optional
        As for `fetch`.
    **options
        ``cache``, ``retries`` and ``backoff`` of `fetch`.

    Returns
    -------
    FetchSummary or None
        None where the survey names no archive.

    Raises
    ------
    ConfigError
        ``images.path`` does not fit what the archive's files are called.
    ArchiveError
        As `fetch`.

    Examples
    --------
    >>> from astrogalaxy.config import SurveyConfig
    >>> from astrogalaxy.images.archives import fetch_survey
    >>> config = SurveyConfig.read("pipelines/quickstart.yml")  # it names no archive
    >>> print(fetch_survey(config.images))
    None
    """
    section = images.archive
    if section is None:
        return None
    source = get_archive(section.name)
    folder, _, name = images.patterns(images.bands[0], filled=False)[0].rpartition("/")
    if not _fits(name, source.pattern):
        msg = f"images.path: images of {source.name} are called {source.pattern}, which {name} does not match"
        raise ConfigError(msg)
    return fetch(
        section.name, section.position, size=section.size, bands=images.bands,
        folder=re.sub(r"\[(.)\]", r"\1", folder), progress=progress, **options,
    )  # fmt: skip


def _fits(pattern: str, name: str) -> bool:
    """Whether a pattern of images.path matches what an archive calls its files."""
    parts = re.split(r"(\{band\}|\{field\}|\*|\?)", pattern)
    marks = {"{band}": r"\{band\}", "{field}": r"\{field\}", "*": ".*", "?": "."}
    return re.fullmatch("".join(marks.get(part, re.escape(part)) for part in parts), name) is not None
