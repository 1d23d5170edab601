"""The errors that astrogalaxy raises on purpose: one clear sentence each, naming the file, key or value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from astrogalaxy.extras import not_installed

__all__ = [
    "ArchiveError",
    "AstrogalaxyError",
    "CatalogError",
    "ConfigError",
    "ImageError",
    "MissingExtraError",
    "OptionError",
    "RunError",
    "WeightsError",
    "brought_by",
    "need",
]


class AstrogalaxyError(Exception):
    """Base of every error whose message is meant for the user.

    Attributes
    ----------
    page : str
        Page of the documentation that explains what the error is about, such as ``reference/config``.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.errors import AstrogalaxyError
    >>> try:
    ...     ag.Image.read({"r": "nowhere.fits"})
    ... except AstrogalaxyError as error:
    ...     print(type(error).__name__, error.page)
    ImageError user_guide/survey
    """

    page: str = ""

    def __str__(self) -> str:
        """The message; what it quotes of a file cannot break its line, or move the cursor of a terminal."""
        return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in super().__str__())


class ConfigError(AstrogalaxyError):
    """A configuration file is wrong; the message names file, line and key.

    Examples
    --------
    >>> from astrogalaxy.config import SurveyConfig
    >>> from astrogalaxy.errors import ConfigError
    >>> try:
    ...     SurveyConfig.read("nowhere.yml")
    ... except ConfigError as error:
    ...     print("nowhere.yml" in str(error))
    True
    """

    page = "reference/config"


class OptionError(ConfigError):
    """A command was called wrongly; the message names the option or argument.

    Examples
    --------
    >>> from astrogalaxy.errors import ConfigError, OptionError
    >>> issubclass(OptionError, ConfigError), OptionError.page
    (True, 'reference/commands')
    """

    page = "reference/commands"


class ImageError(AstrogalaxyError):
    """An input image cannot be used; the message names the file and what to do.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.errors import ImageError
    >>> try:
    ...     ag.Image.read({"r": "nowhere.fits"})
    ... except ImageError as error:
    ...     print("nowhere.fits" in str(error))
    True
    """

    page = "user_guide/survey"


class ArchiveError(AstrogalaxyError):
    """An archive cannot be reached, or did not answer with what was asked for.

    Examples
    --------
    >>> from astrogalaxy.errors import ArchiveError
    >>> ArchiveError.page
    'howto/archives'
    """

    page = "howto/archives"


class CatalogError(AstrogalaxyError, ValueError):
    """A catalogue, or a file of one, is damaged, lacks a column, or has one that cannot be written.

    Examples
    --------
    >>> from astrogalaxy.catalog import flag_bits
    >>> from astrogalaxy.errors import CatalogError
    >>> try:
    ...     flag_bits("edges")
    ... except CatalogError as error:
    ...     print(error)
    unknown flag 'edges'; did you mean 'edge'?
    """


class WeightsError(AstrogalaxyError):
    """A weight file is missing, damaged, or cannot serve the data at hand.

    Examples
    --------
    >>> from astrogalaxy.errors import WeightsError
    >>> from astrogalaxy.models import open_weights
    >>> try:
    ...     open_weights("nowhere.safetensors")
    ... except WeightsError as error:
    ...     print("nowhere.safetensors" in str(error), error.page)
    True reference/weights
    """

    page = "reference/weights"


class RunError(AstrogalaxyError):
    """A run cannot start or go on: its directory is in use, not writable, or of another run.

    Examples
    --------
    >>> from astrogalaxy.errors import RunError
    >>> from astrogalaxy.files import atomic_path
    >>> try:
    ...     with atomic_path("nowhere/catalog.fits") as path:
    ...         path.write_bytes(b"")
    ... except RunError as error:
    ...     print("nowhere" in str(error), error.page)
    True user_guide/run
    """

    page = "user_guide/run"


class MissingExtraError(AstrogalaxyError, ModuleNotFoundError):
    """Something needs a module that does not come with the package itself; the message names the extra that brings it.

    Examples
    --------
    >>> from astrogalaxy.errors import MissingExtraError
    >>> issubclass(MissingExtraError, ImportError), MissingExtraError.page
    (True, 'install')
    """

    page = "install"


@contextmanager
def brought_by(extra: str) -> Iterator[None]:
    """Import what an extra brings.

    Parameters
    ----------
    extra : str
        The extra of astrogalaxy that installs it.

    Yields
    ------
    None
        To the imports.

    Raises
    ------
    MissingExtraError
        If it is not installed.

    Examples
    --------
    >>> from astrogalaxy.errors import brought_by
    >>> with brought_by("train"):
    ...     import torch
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name:
            need(error.name.partition(".")[0], extra)
        raise


def need(module: str, extra: str) -> None:
    """Refuse to go on without a module that an extra brings.

    Parameters
    ----------
    module : str
        Its name.
    extra : str
        The extra of astrogalaxy that installs it.

    Raises
    ------
    MissingExtraError
        If it is not installed.

    Examples
    --------
    >>> from astrogalaxy.errors import need
    >>> need("numpy", "train")
    """
    missing = not_installed("this", [module], extra)
    if missing:
        raise MissingExtraError(missing) from None
