"""Send files to TOPCAT, Aladin, DS9 and others that are running, over SAMP."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import url2pathname
from xml.parsers.expat import ExpatError
from xmlrpc.client import Fault, ProtocolError, ServerProxy

from astrogalaxy.errors import CatalogError
from astrogalaxy.formats import format_of

__all__ = ["Delivery", "send_image", "send_table"]

_MESSAGES = {"fits": "table.load.fits", "votable": "table.load.votable"}


@dataclass(frozen=True)
class Delivery:
    """Whether a program took the file that was sent to it.

    Attributes
    ----------
    program : str
        Its name.
    path : Path
        The file.
    problem : str
        What the program said against it; empty where it took the file.
    """

    program: str
    path: Path
    problem: str = ""


def send_table(path: str | os.PathLike[str], *, name: str = "", timeout: float = 60) -> list[Delivery]:
    """Send a catalogue to every program that takes tables.

    Parameters
    ----------
    path : path-like
        A FITS or VOTable file; the programs read it where it lies.
    name : str, optional
        What they call it; default: the file's name.
    timeout : float, optional
        Seconds to wait for each program.

    Returns
    -------
    list of Delivery
        One for each program.

    Raises
    ------
    CatalogError
        If the file is missing or of another format, no hub is running, or no program takes tables.
    """
    form = format_of(path)
    if form is None or form.name not in _MESSAGES:
        known = " or ".join(_MESSAGES)
        msg = f"{os.fspath(path)}: programs take {known} over SAMP; write the catalogue in one of these formats too"
        raise CatalogError(msg)
    return _send(_MESSAGES[form.name], path, "table", name=name, timeout=timeout)


def send_image(path: str | os.PathLike[str], *, name: str = "", timeout: float = 60) -> list[Delivery]:
    """Send a FITS image to every program that takes images; else as `send_table`."""
    return _send("image.load.fits", path, "image", name=name, timeout=timeout)


def _send(message: str, path: str | os.PathLike[str], what: str, *, name: str, timeout: float) -> list[Delivery]:
    file = Path(path).resolve()
    if not file.is_file():
        msg = f"{os.fspath(path)}: no such file to send"
        raise CatalogError(msg)
    # The same file has the same identifier, so that it takes the place of the one that was sent before.
    content = {"url": file.as_uri(), f"{what}-id": file.as_uri(), "name": name or file.name}
    request = {"samp.mtype": message, "samp.params": content}
    try:
        with _Hub() as hub:
            others = hub.ask("getSubscribedClients", message)
            if not others:
                msg = f"no running program takes a {what} over SAMP; start TOPCAT or Aladin first"
                raise CatalogError(msg)
            return [_deliver(hub, other, request, file, timeout) for other in others]
    except (OSError, Fault, ProtocolError, ExpatError) as error:
        msg = f"the SAMP hub does not answer ({error}); start TOPCAT or Aladin again"
        raise CatalogError(msg) from error


class _Hub:
    """The hub that is running, while we are registered with it (SAMP 1.3, standard profile)."""

    def __init__(self) -> None:
        lock = _lock_file()
        try:
            text = lock.read_text(encoding="utf-8")
        except OSError as error:
            msg = "no SAMP hub is running; start TOPCAT or Aladin first, which bring one"
            raise CatalogError(msg) from error
        entries = dict(line.partition("=")[::2] for line in text.splitlines() if not line.startswith("#"))
        try:
            self._server = ServerProxy(entries["samp.hub.xmlrpc.url"].strip())
            self._secret = entries["samp.secret"].strip()
        except (KeyError, OSError) as error:
            msg = f"{lock}: not the file of a SAMP hub; remove it, and start TOPCAT or Aladin again"
            raise CatalogError(msg) from error

    def __enter__(self) -> Self:
        self._key = self._call("register", self._secret)["samp.private-key"]
        self.ask("declareMetadata", {"samp.name": "astrogalaxy"})
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError, Fault, ProtocolError, ExpatError):
            self.ask("unregister")
        self._server("close")()

    def ask(self, what: str, *arguments: Any) -> Any:
        """Call one of the hub's methods in our name."""
        return self._call(what, self._key, *arguments)

    def _call(self, what: str, *arguments: Any) -> Any:
        return getattr(self._server, f"samp.hub.{what}")(*arguments)


def _lock_file() -> Path:
    """Where a hub says how it is reached."""
    setting = os.environ.get("SAMP_HUB", "")
    if not setting:
        return Path.home() / ".samp"
    kind, _, url = setting.partition(":")
    if kind != "std-lockurl" or not url.startswith("file:"):
        msg = f"SAMP_HUB is {setting!r}, but only files are understood: std-lockurl:file:///..."
        raise CatalogError(msg)
    return Path(url2pathname(urlsplit(url).path))


def _deliver(hub: _Hub, other: str, request: dict[str, Any], file: Path, timeout: float) -> Delivery:
    program = str(hub.ask("getMetadata", other).get("samp.name", other))
    try:
        answer = hub.ask("callAndWait", other, request, str(max(round(timeout), 1)))
    except Fault as error:
        return Delivery(program, file, error.faultString)
    if answer.get("samp.status") == "samp.ok":
        return Delivery(program, file)
    return Delivery(program, file, str(answer.get("samp.error", {}).get("samp.errortxt", "refused")))
