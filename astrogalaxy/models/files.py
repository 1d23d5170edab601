"""Weight files: safetensors with the network's tensors, its graph and its card.

One file serves every runtime. The tensors are those of the torch network; the graph is
an ONNX model without weights, whose convolutions take the tensors with their batch
normalisation folded in (`astrogalaxy.models.folded`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Generic, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypeVar

from astrogalaxy.errors import WeightsError
from astrogalaxy.files import atomic_path
from astrogalaxy.models.card import Card, WeightCard
from astrogalaxy.models.classifier_card import ClassifierCard

__all__ = [
    "WeightFile",
    "Weights",
    "bundled",
    "card_of",
    "file_of",
    "load_classifier",
    "load_weights",
    "open_weights",
    "save_weights",
]

_GRAPH = "onnx.graph"
_BUNDLED = Path(__file__).resolve().parent / "weights"
_ALIASES = {"default": "astroyolo-nano"}

Tensors = Mapping[str, NDArray[np.generic]]
CardT = TypeVar("CardT", bound=Card, default=WeightCard)


@dataclass(frozen=True)
class Weights(Generic[CardT]):
    """An opened weight file: the card at once, the tensors when asked for.

    Attributes
    ----------
    path : Path
        The file.
    card : WeightCard or ClassifierCard
        Its metadata.

    Examples
    --------
    >>> from astrogalaxy.models import load_weights
    >>> weights = load_weights("default")
    >>> weights.path.name, len(weights.tensors) > 100
    ('astroyolo-nano.safetensors', True)
    """

    path: Path
    card: CardT = field(compare=False)

    @cached_property
    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """The network's tensors, checked against the card's hash.

        Raises
        ------
        WeightsError
            If the file is not what the card says.
        """
        return {name: value for name, value in self._stored.items() if name != _GRAPH}

    @property
    def graph(self) -> bytes:
        """The ONNX graph, without weights, checked against the card's hash.

        Raises
        ------
        WeightsError
            If the file is not what the card says, or has no graph.
        """
        if _GRAPH not in self._stored:
            again = "set output: {graph: true} in its recipe and train it again, which does not repeat what is trained"
            hint = again if self.card.task == "morphology" else "it was not written by astrogalaxy"
            msg = f"{self.path}: the file has no graph, by which it could run; {hint}"
            raise WeightsError(msg)
        return self._stored[_GRAPH].tobytes()

    def verified(self) -> Self:
        """Read the whole file, and check it against the card's hash.

        Returns
        -------
        Weights
            These.

        Raises
        ------
        WeightsError
            If the file is not what the card says.
        """
        _ = self._stored
        return self

    @cached_property
    def _stored(self) -> dict[str, NDArray[np.generic]]:
        """All that the file holds, read once."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            stored = load_file(self.path)
        # a type that numpy lacks is a KeyError
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            msg = f"{self.path}: cannot be read as a safetensors file: {error}"
            raise WeightsError(msg) from None
        if digest_of(self.card, stored) != self.card.sha256:
            msg = (
                f"{self.path}: its tensors, its graph or the settings in its card do not match the card's SHA-256: the "
                "file was changed or damaged after it was written; get it again"
            )
            raise WeightsError(msg)
        return stored


def bundled() -> dict[str, Path]:
    """Weights that come with astrogalaxy.

    Returns
    -------
    dict of str to pathlib.Path
        Files by name.

    Examples
    --------
    >>> from astrogalaxy.models import bundled
    >>> bundled()["astroyolo-nano"].name
    'astroyolo-nano.safetensors'
    """
    return {path.stem: path for path in sorted(_BUNDLED.glob("*.safetensors"))}


class WeightFile(NamedTuple):
    """A weight file as it lies on the disk now: another one for what is written to the same path later.

    Examples
    --------
    >>> from astrogalaxy.models.files import WeightFile, file_of
    >>> file_of("default") == WeightFile(*file_of("astroyolo-nano"))
    True
    """

    path: Path
    written: int
    size: int

    def is_still_there(self) -> bool:
        """Whether nobody has removed it, or written to its path, since it was looked at."""
        try:
            return self == file_of(self.path)
        except (WeightsError, OSError):
            return False


def file_of(name: str | Path) -> WeightFile:
    """Find weights by name or path; what is kept of them is kept under this.

    Parameters
    ----------
    name : str or path
        See `load_weights`.

    Returns
    -------
    WeightFile
        Its whole path, when it was written (ns), and its size in bytes.

    Raises
    ------
    WeightsError
        If there are no such weights.

    Examples
    --------
    >>> from astrogalaxy.models.files import file_of
    >>> file_of("default").path.name
    'astroyolo-nano.safetensors'
    """
    path = _find(name)
    state = path.stat()
    return WeightFile(path.resolve(), state.st_mtime_ns, state.st_size)


def load_weights(name: str | Path = "default") -> Weights:
    """Open a detector's weights by name or path.

    Parameters
    ----------
    name : str or path
        ``default``, the name of bundled weights, or the path of a ``.safetensors`` file.

    Returns
    -------
    Weights
        With the card; tensors are read and checked when they are asked for.

    Raises
    ------
    WeightsError
        If there are no such weights, they are of a classifier, or the file has no valid card.

    Examples
    --------
    >>> from astrogalaxy.models import load_weights
    >>> load_weights("default").card.name
    'astroyolo-nano'
    """
    return _load(name, WeightCard)


def load_classifier(name: str | Path) -> Weights[ClassifierCard]:
    """Open a classifier's weights by name or path.

    Parameters
    ----------
    name : str or path
        The name of bundled weights, or the path of a ``.safetensors`` file.

    Returns
    -------
    Weights
        With the card; tensors are read and checked when they are asked for.

    Raises
    ------
    WeightsError
        If there are no such weights, they are of a detector, or the file has no valid card.

    Examples
    --------
    >>> from astrogalaxy.models import load_classifier
    >>> load_classifier("galaxyzoo-fine").card.task
    'morphology'
    """
    return _load(name, ClassifierCard)


def open_weights(name: str | Path = "default") -> Weights[Card]:
    """Open weights by name or path, whatever their network does.

    Parameters
    ----------
    name : str or path
        See `load_weights`.

    Returns
    -------
    Weights
        With the card; tensors are read and checked when they are asked for.

    Raises
    ------
    WeightsError
        If there are no such weights, or the file has no valid card.

    Examples
    --------
    >>> from astrogalaxy.models import open_weights
    >>> open_weights("galaxyzoo-fine").card.task
    'morphology'
    """
    return _load(name, Card)


def card_of(path: Path) -> Card:
    """Card of a weight file, whatever its network does.

    Parameters
    ----------
    path : pathlib.Path
        The file; of its tensors nothing is read.

    Returns
    -------
    WeightCard or ClassifierCard
        As the file's own header has it.

    Raises
    ------
    WeightsError
        If the file is missing, or has no valid card.

    Examples
    --------
    >>> from astrogalaxy.models import bundled, card_of
    >>> card_of(bundled()["galaxyzoo-fine"]).task
    'morphology'
    """
    text = _card_text(path)
    kind: type[Card] = ClassifierCard if _task(text) == "morphology" else WeightCard
    return kind.from_json(text, source=str(path))


def _load(name: str | Path, kind: type[CardT]) -> Weights[CardT]:
    path = _find(name)
    card = card_of(path)
    if not isinstance(card, kind):
        wanted = kind.model_fields["task"].default
        msg = f"{name}: these weights are for {card.task}; what is asked for is weights for {wanted}"
        raise WeightsError(msg)
    return Weights(path, card)


def _find(name: str | Path) -> Path:
    known = bundled()
    path = known.get(_ALIASES.get(str(name), str(name)), Path(name))
    if not path.is_file():
        names = ", ".join(known) or "none"
        msg = f"{name}: no such weights; known are {names}, or give the path of a .safetensors file"
        raise WeightsError(msg)
    return path


def _task(text: str) -> str:
    """Task of a card's text, of which nothing has been checked yet."""
    try:
        return str(json.loads(text).get("task"))
    except (ValueError, AttributeError):
        return ""


def _card_text(path: Path) -> str:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        msg = f"{path}: cannot be read as a safetensors file: {error}"
        raise WeightsError(msg) from None
    if "card" not in metadata:
        msg = f"{path}: the file has no weight card; it was not written by astrogalaxy"
        raise WeightsError(msg)
    return str(metadata["card"])


def save_weights(path: str | Path, card: CardT, tensors: Tensors, graph: bytes) -> Weights[CardT]:
    """Write a weight file: whole, or not at all.

    Parameters
    ----------
    path : path-like
        The ``.safetensors`` file; an existing one is replaced.
    card : WeightCard or ClassifierCard
        Its hash is set from all that the file holds.
    tensors : mapping of str to ndarray
        The network's.
    graph : bytes
        Its ONNX graph without weights; an empty one is left out.

    Returns
    -------
    Weights
        The file as it is now.

    Raises
    ------
    RunError
        If the folder or the disk does not take the file.

    Examples
    --------
    >>> from astrogalaxy.models import load_weights, save_weights
    >>> weights = load_weights("default")
    >>> card = weights.card.model_copy(update={"name": "mine"})
    >>> saved = save_weights("mine.safetensors", card, weights.tensors, weights.graph)
    >>> load_weights("mine.safetensors").card.name, saved.card.sha256 == weights.card.sha256
    ('mine', True)
    """
    from safetensors.numpy import save

    path = Path(path)
    stored = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    if graph:
        stored[_GRAPH] = np.frombuffer(graph, dtype=np.uint8)
    card = card.model_copy(update={"sha256": digest_of(card, stored)})
    with atomic_path(path) as temporary:
        # not save_file: it makes files that only their owner may read
        temporary.write_bytes(save(stored, metadata={"card": card.model_dump_json()}))
    return Weights(path, card)


def digest_of(card: Card, stored: Tensors) -> str:
    """SHA-256 over names, shapes, types and values in order of names, then over the card's settings."""
    digest = hashlib.sha256()
    for name in sorted(stored):
        value = np.ascontiguousarray(stored[name])
        digest.update(f"{name}:{value.dtype.str}:{value.shape};".encode())
        digest.update(value.tobytes())
    digest.update(card.settings().encode())
    return digest.hexdigest()
