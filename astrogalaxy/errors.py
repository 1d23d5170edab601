"""The errors that astrogalaxy raises on purpose: one clear sentence each, naming the file, key or value."""

from __future__ import annotations

__all__ = ["AstrogalaxyError", "ConfigError", "ImageError", "RunError", "WeightsError"]


class AstrogalaxyError(Exception):
    """Base of every error whose message is meant for the user."""


class ConfigError(AstrogalaxyError):
    """A configuration file or a command's option is wrong; the message names file, line and key."""


class ImageError(AstrogalaxyError):
    """An input image cannot be used; the message names the file and what to do."""


class WeightsError(AstrogalaxyError):
    """A weight file is missing, damaged, or cannot serve the data at hand."""


class RunError(AstrogalaxyError):
    """A run cannot start or go on: its directory is in use, not writable, or of another run."""
