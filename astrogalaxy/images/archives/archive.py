"""What an archive is: its bands, what its images mean, and how they are found."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from astrogalaxy.errors import ArchiveError, ConfigError

if TYPE_CHECKING:
    from astrogalaxy.images.archives.targets import Target

__all__ = ["RESAMPLED", "Archive", "BusyError", "NoImageError", "Remote", "UnreachableError", "asked", "words_of"]

#: What follows from it that a service has resampled its images, for their notes.
RESAMPLED = (
    "so that the noise of neighbouring pixels is correlated and no zero point is known: fluxes are in image units. For "
    "photometry fetch from sdss or panstarrs."
)


class UnreachableError(ArchiveError):
    """There is no way to the archive at the moment: no network, or it is down."""


class NoImageError(ArchiveError):
    """The archive answered, and has nothing there; asking again will not help."""


class BusyError(ArchiveError):
    """The archive has no time at the moment, and may have said when to ask again.

    Attributes
    ----------
    wait : float
        Seconds; 0 where it has not said.
    """

    def __init__(self, message: str, *, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class Remote:
    """One image that an archive has.

    Attributes
    ----------
    band : str
        Our name of the band.
    field : str
        What ``{field}`` stands for in the names of files.
    url : str
        Where it is.
    key : str
        What tells this image from all others, now and later: addresses may be temporary.
    target : Target
        For whom it was found.
    size : float
        Side of what is wanted of it, arcsec.

    Examples
    --------
    >>> from astrogalaxy.images.archives import Remote, get_archive, parse_position
    >>> m31 = parse_position("10.6847 41.269")
    >>> remote = Remote("r", "m31", "https://example.org/r.fits", "r-m31", m31, 60.0)
    >>> get_archive("hips2fits").file_name(remote)
    'hips-m31-r.fits'
    """

    band: str
    field: str
    url: str
    key: str
    target: Target
    size: float


class Archive(ABC):
    """An archive of images; subclasses say how it is asked.

    Attributes
    ----------
    name, title : str
        What it is called on the command line, and in words.
    bands : mapping of str to str
        Bands that it has, shortest wavelength first: our name, and the archive's.
    default_bands : tuple of str
        Bands that are fetched if none are named.
    pattern : str
        Name of its files, with ``{band}`` and ``{field}``.
    zeropoint : float, str or None
        For ``images.zeropoint``; None where the archive's pixels have no common one.
    hdu : int or str
        For ``images.hdu``.
    largest : float
        Largest side that may be asked for, arcsec.
    note : str
        What a user must know of its images, for the head of a survey.yml.
    docs : str
        The archive's own page.

    Examples
    --------
    >>> from astrogalaxy.images.archives import get_archive
    >>> sdss = get_archive("sdss")
    >>> sdss.check_bands(["r", "g"]), sdss.zeropoint
    (('g', 'r'), 22.5)
    """

    name: ClassVar[str]
    title: ClassVar[str]
    bands: ClassVar[Mapping[str, str]]
    default_bands: ClassVar[tuple[str, ...]]
    pattern: ClassVar[str]
    zeropoint: ClassVar[float | str | None] = None
    hdu: ClassVar[int | str] = "auto"
    largest: ClassVar[float] = 3600.0 * 2
    note: ClassVar[str] = ""
    docs: ClassVar[str] = ""

    @abstractmethod
    def find(self, target: Target, size: float, bands: Sequence[str]) -> list[Remote]:
        """Images that show a square of the sky.

        Parameters
        ----------
        target : Target
            Its centre.
        size : float
            Its side, arcsec.
        bands : sequence of str
            Our names.

        Returns
        -------
        list of Remote
            None where the archive has no image there.

        Raises
        ------
        UnreachableError
            There is no way to the archive.
        ArchiveError
            It did not answer as it should.
        """

    def finish(self, raw: Path, remote: Remote) -> Any:  # noqa: ARG002 (most keep what came)
        """Turn an answer into what is kept: HDUs to be written, or None where it is kept as it came.

        Parameters
        ----------
        raw : Path
            The answer, already known to be a FITS image.
        remote : Remote
            What it is.

        Returns
        -------
        astropy.io.fits.HDUList or None
            None keeps the answer's own bytes.
        """
        return None

    def kept_key(self, remote: Remote) -> str:
        """What tells the file that is kept from all others; more than that of the answer where `finish` cuts it."""
        return remote.key

    def file_name(self, remote: Remote) -> str:
        """Name of the file that keeps an image."""
        return self.pattern.replace("{band}", remote.band).replace("{field}", remote.field)

    def check_bands(self, bands: Sequence[str] | None) -> tuple[str, ...]:
        """The bands that are wanted, shortest wavelength first.

        Raises
        ------
        ConfigError
            The archive has no such band.
        """
        wanted = self.default_bands if bands is None else tuple(bands)
        unknown = [band for band in wanted if band not in self.bands]
        if unknown or not wanted:
            msg = f"{self.name} has no band {', '.join(map(repr, unknown))}; it has {', '.join(self.bands)}"
            raise ConfigError(msg)
        return tuple(band for band in self.bands if band in wanted)


@contextmanager
def asked(archive: str) -> Iterator[None]:
    """Turn what goes wrong while an archive is asked into one sentence.

    Parameters
    ----------
    archive : str
        Its title.

    Yields
    ------
    None

    Raises
    ------
    UnreachableError
        Where the network is at fault.
    ArchiveError
        Where the answer is.
    """
    import warnings

    import requests

    try:
        with warnings.catch_warnings(action="ignore"):  # astroquery warns of empty answers
            yield
    except ArchiveError:
        raise
    except requests.HTTPError as error:
        response = error.response
        status = "an error" if response is None else f"status {response.status_code} ({response.reason})"
        raise ArchiveError(f"{archive} answered with {status}") from error
    except (requests.RequestException, TimeoutError, ConnectionError) as error:
        raise UnreachableError(f"{archive} cannot be reached ({type(error).__name__}); is there a network?") from error
    except Exception as error:
        raise ArchiveError(f"{archive} did not answer as it should: {words_of(str(error))}") from error


def words_of(text: str) -> str:
    """What an answer, or a message with an answer in it, says: of a page its title."""
    title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    is_page = title or re.search(r"<(html|body|!doctype)", text, re.IGNORECASE)
    plain = " ".join((title[1] if title else re.sub(r"<[^>]*>", " ", text)).split())
    plain = "".join(c for c in plain if c.isprintable())[:120]
    return f"a page: {plain}" if is_page else plain or "nothing"
