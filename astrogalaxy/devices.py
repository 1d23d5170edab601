"""Where networks run, through what, and how exactly: one registry for configurations, runtimes and records.

It imports none of what it names, so that a ``survey.yml`` is checked without loading any of them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from astrogalaxy.errors import WeightsError
from astrogalaxy.extras import not_installed

__all__ = ["PRECISIONS", "Device", "Placement", "Precision", "choose_placement", "precision_of", "usable_cores"]

logger = logging.getLogger(__name__)

#: Where a network runs; ``auto`` is a GPU where there is one, else the processor through onnxruntime.
Device = Literal["auto", "cpu", "openvino", "cuda"]
#: Type of the numbers that it computes with; ``auto`` is the device's first in `PRECISIONS`.
Precision = Literal["auto", "float32", "float16", "bfloat16"]

#: What each device can do. Half precision must be asked for by device: what ``auto`` finds may not have it.
PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "auto": ("float32",),
    "cpu": ("float32",),
    "openvino": ("float32", "bfloat16"),
    "cuda": ("float16", "bfloat16", "float32"),
}
_ENGINES = {"cpu": ("cpu", "onnxruntime"), "openvino": ("cpu", "openvino"), "cuda": ("cuda", "torch")}


@dataclass(frozen=True)
class Placement:
    """The device and precision that a network runs with.

    Attributes
    ----------
    device : {'cpu', 'openvino', 'cuda'}
        Never ``auto``.
    precision : {'float32', 'float16', 'bfloat16'}
        Never ``auto``.

    Examples
    --------
    >>> from astrogalaxy.devices import Placement
    >>> print(Placement("openvino", "bfloat16"))
    cpu (openvino, bfloat16)
    """

    device: Device
    precision: Precision

    def __str__(self) -> str:
        where, engine = _ENGINES[self.device]
        return f"{where} ({engine}, {self.precision})"


def precision_of(device: Device, precision: Precision) -> Precision:
    """Precision that a device is to use.

    Parameters
    ----------
    device : {'auto', 'cpu', 'openvino', 'cuda'}
        As it was asked for.
    precision : {'auto', 'float32', 'float16', 'bfloat16'}
        As it was asked for.

    Returns
    -------
    {'float32', 'float16', 'bfloat16'}
        ``auto`` resolved; for the device ``auto`` as on a processor.

    Raises
    ------
    ValueError
        If there is no such device or precision, or the device cannot do it.

    Examples
    --------
    >>> from astrogalaxy.devices import precision_of
    >>> precision_of("openvino", "auto"), precision_of("cuda", "auto")
    ('float32', 'float16')
    >>> precision_of("cpu", "bfloat16")
    Traceback (most recent call last):
        ...
    ValueError: the device cpu has only float32, not bfloat16; bfloat16 needs openvino or cuda
    """
    for what, name, names in (("device", device, (*PRECISIONS,)), ("precision", precision, get_args(Precision))):
        if name not in names:
            msg = f"there is no {what} {name!r}; choose from {', '.join(names)}"
            raise ValueError(msg)
    known = PRECISIONS[device]
    if precision in ("auto", *known):
        return known[0] if precision == "auto" else precision
    others = " or ".join(name for name, able in PRECISIONS.items() if precision in able)
    msg = f"the device {device} has only {' and '.join(known)}, not {precision}; {precision} needs {others}"
    raise ValueError(msg)


def choose_placement(device: Device = "auto", precision: Precision = "auto") -> Placement:
    """Choose where networks run on this machine.

    Parameters
    ----------
    device : {'auto', 'cpu', 'openvino', 'cuda'}
        ``auto`` takes a GPU if there is one and torch sees it, else ``cpu``.
    precision : {'auto', 'float32', 'float16', 'bfloat16'}
        See `precision_of`.

    Returns
    -------
    Placement
        Neither device nor precision is ``auto``.

    Raises
    ------
    WeightsError
        If this machine does not have what was asked for; nothing else is taken in its place.

    Examples
    --------
    >>> from astrogalaxy.devices import choose_placement
    >>> choose_placement("cpu")
    Placement(device='cpu', precision='float32')
    """
    try:
        wanted = precision_of(device, precision)
    except ValueError as error:
        raise WeightsError(str(error)) from None
    if device == "openvino":
        _check_openvino(wanted)
    elif device == "cuda":
        _check_cuda()
    elif device == "auto":
        if not (_gpu_driver() and _gpu_can_be_used()):
            return Placement("cpu", wanted)
        return Placement("cuda", precision_of("cuda", precision))
    return Placement(device, wanted)


def usable_cores() -> int:
    """Count the cores that this process may use, which a batch system or a container may limit.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> from astrogalaxy.devices import usable_cores
    >>> usable_cores() >= 1
    True
    """
    from dask.system import CPU_COUNT

    return CPU_COUNT


def _check_openvino(precision: Precision) -> None:
    problem = not_installed("the device openvino", ("openvino", "onnx"), "accel")
    if problem:
        raise WeightsError(problem)
    if precision == "bfloat16" and not _cpu_has_bfloat16():
        msg = "precision bfloat16: this processor does not have it; use float32"
        raise WeightsError(msg)


def _cpu_has_bfloat16() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _check_cuda() -> None:
    problem = _lacks_for_gpu("the device cuda")
    if problem:
        raise WeightsError(problem)
    if not _torch_sees_gpu():
        msg = "the device cuda needs a GPU, and torch finds none; use auto or cpu"
        raise WeightsError(msg)


def _gpu_can_be_used() -> bool:
    """Whether networks can run on the GPU that seems to be there; say what keeps it idle if it is an extra."""
    problem = _lacks_for_gpu("the GPU of this machine")
    if problem:
        logger.warning("%s; networks run on the CPU", problem)
        return False
    return _torch_sees_gpu()


def _lacks_for_gpu(what: str) -> str | None:
    return not_installed(what, ("torch", "yolox"), "gpu")


def _torch_sees_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _gpu_driver() -> bool:
    """Whether there is an NVIDIA driver at all: asking torch costs seconds of start-up."""
    return any(Path(p).exists() for p in ("/dev/nvidia0", "/dev/dxg", "/proc/driver/nvidia/version"))
