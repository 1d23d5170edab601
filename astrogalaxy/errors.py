"""The errors that astrogalaxy raises on purpose: one clear sentence each, naming the file, key or value."""

from __future__ import annotations

from typing import ClassVar

__all__ = ["ArchiveError", "AstrogalaxyError", "ConfigError", "ImageError", "RunError", "WeightsError"]


class AstrogalaxyError(Exception):
    """Base of every error whose message is meant for the user.

    Attributes
    ----------
    page : str
        Page of the documentation that explains what the error is about, such as ``reference/config``.
    """

    page: ClassVar[str] = ""


class ConfigError(AstrogalaxyError):
    """A configuration file or a command's option is wrong; the message names file, line and key."""

    page = "reference/config"


class ImageError(AstrogalaxyError):
    """An input image cannot be used; the message names the file and what to do."""

    page = "user_guide/survey"


class ArchiveError(AstrogalaxyError):
    """An archive cannot be reached, or did not answer with what was asked for."""

    page = "howto/archives"


class WeightsError(AstrogalaxyError):
    """A weight file is missing, damaged, or cannot serve the data at hand."""

    page = "reference/weights"


class RunError(AstrogalaxyError):
    """A run cannot start or go on: its directory is in use, not writable, or of another run."""

    page = "user_guide/run"
