"""Tensors of a weight file in torch's networks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["load_tensors"]


def load_tensors(network: torch.nn.Module, tensors: Mapping[str, NDArray[np.generic]]) -> str | None:
    """Load tensors into a network and set it to inference; give the first name that does not fit, if there is one."""
    state = {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}
    missing, unexpected = network.load_state_dict(state, strict=False)
    network.eval()
    # the counters of training are not in a weight file
    wrong = [*unexpected, *(name for name in missing if not name.endswith("num_batches_tracked"))]
    return wrong[0] if wrong else None
