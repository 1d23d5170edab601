"""Run a trained classifier from its weight file: by onnxruntime or OpenVINO on the CPU, by torch on a GPU."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from astrogalaxy.devices import Device, Precision, choose_placement
from astrogalaxy.models import ClassifierCard, Weights, load_classifier
from astrogalaxy.models.files import WeightFile, file_of
from astrogalaxy.models.graph import Run, open_graph
from astrogalaxy.morphology.pictures import checked_pictures, network_input, views

__all__ = ["Classifier", "open_classifier", "probabilities"]

# Pictures that go through the network at once.
_BATCH = 64


class Classifier:
    """A classifier of galaxy cutouts.

    Parameters
    ----------
    weights : Weights
        The weight file.
    device : {'auto', 'cpu', 'openvino', 'cuda'}
        ``auto`` is the CPU also where there is a GPU: for such small networks it is as quick.
    precision : {'auto', 'float32', 'float16', 'bfloat16'}
        ``auto`` is float32 on a CPU and float16 on a GPU.
    threads : int
        CPU threads; 0 for all.

    Raises
    ------
    WeightsError
        If the file has no graph and is to run on the CPU, or what is asked for is not there.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.models import load_classifier
    >>> from astrogalaxy.morphology import Classifier
    >>> classifier = Classifier(load_classifier("galaxyzoo-fine"))
    >>> side = classifier.card.side
    >>> classifier(np.zeros((2, side, side, 3), np.uint8)).sum(axis=1).round(3).tolist()
    [1.0, 1.0]
    """

    def __init__(
        self,
        weights: Weights[ClassifierCard],
        *,
        device: Device = "auto",
        precision: Precision = "auto",
        threads: int = 0,
    ) -> None:
        self.weights, self.card = weights, weights.card
        placement = choose_placement("cpu" if device == "auto" else device, precision)
        if placement.device == "cuda":
            self._forward: Run = _on_gpu(weights, placement.precision)
        else:
            self._forward = open_graph(weights, weights.tensors, threads=threads, placement=placement)

    @property
    def classes(self) -> tuple[str, ...]:
        """What it tells apart."""
        return self.card.classes

    def __call__(self, pictures: ArrayLike) -> NDArray[np.float64]:
        """Classify pictures.

        Parameters
        ----------
        pictures : array-like
            ``(n, side, side, 3)`` uint8 of the card's ``side``: an array, a tensor, or a list of pictures.

        Returns
        -------
        ndarray
            ``(n, n_classes)`` calibrated probabilities; each row sums to 1.

        Raises
        ------
        ImageError
            If they are of another shape or type.
        """
        pictures = checked_pictures(pictures, self.card.side)
        total = np.zeros((len(pictures), len(self.classes)))
        for turned in views(pictures, self.card.views):
            for start in range(0, len(pictures), _BATCH):
                part = network_input(turned[start : start + _BATCH], self.card.normalise)
                total[start : start + _BATCH] += probabilities(self._forward(part)[0], self.card.temperature)
        return total / self.card.views


def probabilities(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Softmax of logits ``(n, n_classes)`` over a temperature.

    Examples
    --------
    >>> probabilities(np.array([[0.0, np.log(3)]])).round(2)
    array([[0.25, 0.75]])
    """
    return np.asarray(softmax(np.asarray(logits, float) / temperature, axis=-1))


def open_classifier(
    name: str | Path, device: Device = "auto", threads: int = 0, precision: Precision = "auto"
) -> Classifier:
    """Open a classifier, once per process for each set of arguments; a file that is written anew is opened anew.

    Parameters
    ----------
    name : str or path
        See `~astrogalaxy.models.load_classifier`.
    device : {'auto', 'cpu', 'openvino', 'cuda'}
        See `Classifier`.
    threads : int
        CPU threads; 0 for all.
    precision : {'auto', 'float32', 'float16', 'bfloat16'}
        See `Classifier`.

    Returns
    -------
    Classifier
        The same one for the same arguments.

    Raises
    ------
    WeightsError
        If there are no such weights, or they cannot be run there.

    Examples
    --------
    >>> from astrogalaxy.morphology import open_classifier
    >>> open_classifier("galaxyzoo-fine").classes[:2]
    ('smooth-round', 'smooth-in-between')
    """
    return _opened(file_of(name), device, threads, precision)


@lru_cache(maxsize=2)
def _opened(file: WeightFile, device: Device, threads: int, precision: Precision) -> Classifier:
    return Classifier(load_classifier(file.path), device=device, precision=precision, threads=threads)


def _on_gpu(weights: Weights[ClassifierCard], precision: Precision) -> Run:
    from astrogalaxy.models.gpu import open_network
    from astrogalaxy.morphology.export import network_of

    return open_network(network_of(weights), precision)
