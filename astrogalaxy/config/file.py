"""Whole configuration files: read, written, hashed, and found where they come with astrogalaxy."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import PrivateAttr, ValidationInfo, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler

from astrogalaxy.config.checking import Origin, checked
from astrogalaxy.config.problems import Loc, fail, show
from astrogalaxy.config.schema import Section
from astrogalaxy.config.yaml import YamlDocument, dump_yaml, parse_yaml, read_text
from astrogalaxy.errors import ConfigError

__all__ = ["File", "locate", "pipelines_folder", "sha256"]


class File(Section):
    """A whole configuration file: read, written and hashed in one way."""

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read and check a file.

        Parameters
        ----------
        path : str or `~pathlib.Path`
            The file; ``pipelines/...`` also finds the files that come with astrogalaxy.

        Returns
        -------
        model
            Checked, and with absolute paths.

        Raises
        ------
        ConfigError
            Anything is wrong: one line ``file:line: key: what is wrong`` for each problem.

        Notes
        -----
        Input paths are relative to the file's folder. So is the output folder, except for the files that come
        with astrogalaxy: their folder may be read-only, and they write into the working directory.
        """
        if not isinstance(path, str | os.PathLike):
            msg = (
                f"a {type(path).__name__} is no configuration file; give its path, or {cls.__name__}.from_dict(mapping)"
            )
            raise ConfigError(msg)
        found = locate(Path(path))
        document = parse_yaml(read_text(found), source=str(path))
        shipped = _is_shipped(found)
        return cls._of(document, found.parent, Path() if shipped else found.parent)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any], *, source: str = "configuration", folder: str | Path = ".") -> Self:
        """Check a mapping with the keys and values of a file.

        Parameters
        ----------
        mapping : mapping
            Nested mappings, as YAML would give them; lengths may be `~astropy.units.Quantity`.
        source : str, optional
            What errors call it.
        folder : str or `~pathlib.Path`, optional
            Relative paths are relative to it; the working directory by default.

        Returns
        -------
        model
            Checked, and with absolute paths.

        Raises
        ------
        ConfigError
            As `read`, without line numbers.
        """
        if not isinstance(mapping, Mapping):
            raise ConfigError(f"{source}: must be a mapping of keys to values, not {show(mapping)}")
        document = YamlDocument(dict(mapping), source=source)
        return cls._of(document, folder, folder)

    @classmethod
    def _of(cls, document: YamlDocument, inputs: str | Path, outputs: str | Path) -> Self:
        folders = {"folder": os.path.abspath(inputs), "output_folder": os.path.abspath(outputs)}
        model = cls.model_validate(document.data, context={"document": document, **folders})
        # the values are in the model; of the document only their lines are still needed
        model._origin = Origin(replace(document, data={}))  # noqa: SLF001 (of the same class)
        return model

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        """Say in plain sentences what is wrong with a file, a mapping, or the arguments of the constructor."""

        def validate() -> Self:
            """Check each key, and then all of them together."""
            model = handler(data)
            fail(list(model._conflicts()))  # noqa: SLF001 (of the same class)
            return model

        return checked((info.context or {}).get("document", YamlDocument({})), cls, validate)

    def _conflicts(self) -> Iterator[tuple[Loc, str]]:
        """Keys that are right by themselves but do not go with others, and what is wrong about them."""
        yield from ()

    def wrong(self, *loc: str | int, reason: str) -> ConfigError:
        """Return the error for a key whose value turns out to be wrong where it is used.

        Parameters
        ----------
        *loc : str or int
            Path of the key: names, and positions in lists.
        reason : str
            What is wrong, and what to do.

        Returns
        -------
        ConfigError
            ``file:line: key: reason``, as `read` says it.

        Examples
        --------
        >>> from astrogalaxy.config import SurveyConfig
        >>> config = SurveyConfig.from_dict({"name": "m31", "images": {"path": "m31-{band}.fits", "bands": ["g"]}})
        >>> print(config.wrong("images", "bands", reason="no such filter"))
        configuration: images.bands: no such filter
        """
        return self._origin.error(loc, reason)

    def replaced(self, *, source: str = "configuration", **sections: Mapping[str, Any]) -> Self:
        """A copy with other values of some keys, which are checked as those of a file are.

        Parameters
        ----------
        source : str, optional
            What errors call the new values.
        **sections : mapping
            By section, the keys that change. Other sections are not checked again, except for what they say together.

        Returns
        -------
        model
            Checked; relative paths among the new values are relative to the working directory.

        Raises
        ------
        ConfigError
            As `from_dict`.

        Examples
        --------
        >>> from astrogalaxy.config import SurveyConfig
        >>> config = SurveyConfig.from_dict({"name": "m31", "images": {"path": "m31-{band}.fits", "bands": ["g"]}})
        >>> config.replaced(compute={"workers": 2}, output={"keep_tiles": False}).compute.workers
        2
        """
        data = {name: getattr(self, name) for name in type(self).model_fields}
        for name, values in sections.items():
            data[name] = {**data[name].model_dump(mode="json"), **values}
        model = type(self).model_validate(data, context={"document": YamlDocument({}, source=source)})
        model._origin = self._origin  # noqa: SLF001 (of the same class)
        return model

    def to_yaml(self) -> str:
        """YAML text of every key, with absolute paths: it reads back equal to this, from any folder.

        Not so where a folder is itself called with ``$`` or braces: they are read as variables and placeholders.
        """
        return dump_yaml(self.model_dump(mode="json"))

    def digest(self) -> str:
        """SHA-256 (hex) of the whole configuration."""
        return sha256(self.model_dump(mode="json"))


def pipelines_folder() -> Path:
    """Folder of the pipelines that come with astrogalaxy: in the installed package, or in its checkout.

    Returns
    -------
    pathlib.Path
        It holds ``quickstart.yml`` with its images, ``surveys`` and ``recipes``.

    Examples
    --------
    >>> from astrogalaxy.config import pipelines_folder
    >>> (pipelines_folder() / "quickstart.yml").is_file()
    True
    """
    package = Path(__file__).resolve().parents[1]
    installed = package / "_pipelines"
    return installed if installed.is_dir() else package.parent / "pipelines"


def locate(path: Path) -> Path:
    """`path`, or the file that comes with astrogalaxy where `path` is ``pipelines/...`` and not there."""
    if path.parts[:1] != ("pipelines",) or path.exists():
        return path
    shipped = pipelines_folder().joinpath(*path.parts[1:])
    return shipped if shipped.is_file() else path


def _is_shipped(path: Path) -> bool:
    """Whether a file came with astrogalaxy: from the installed package, or from a checkout that has the same file."""
    folder = pipelines_folder()
    if folder in path.resolve().parents:
        return True
    twins = (folder / "/".join(path.resolve().parts[-depth:]) for depth in (1, 2))
    return any(twin.is_file() and twin.read_bytes() == path.read_bytes() for twin in twins)


def sha256(data: Any) -> str:
    """SHA-256 (hex) of plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
