"""The building blocks of YOLOX, also on servers without the system libraries of windows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from astrogalaxy.errors import brought_by

__all__ = ["BaseConv", "CspDarknet", "DWConv", "Focus", "YoloPafpn"]


@contextmanager
def _without_opencv() -> Iterator[None]:
    """Let ``yolox`` be imported where OpenCV, with which it reads and draws photographs, cannot be.

    The wheel of OpenCV needs libraries such as libGL and libxcb, which servers and containers seldom have.
    """
    path = list(sys.path)
    try:
        import cv2  # noqa: F401
    except ImportError:
        sys.path[:] = path  # it leaves a folder there that hides the standard library's typing from other processes
        sys.modules["cv2"] = ModuleType("cv2")
        try:
            yield
        finally:
            del sys.modules["cv2"]
    else:
        yield


with brought_by("train"), _without_opencv():
    from yolox.models.darknet import CspDarknet
    from yolox.models.network_blocks import BaseConv, DWConv, Focus
    from yolox.models.yolo_pafpn import YoloPafpn
