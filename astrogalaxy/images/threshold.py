"""What stands above a plain threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

__all__ = ["above_threshold"]


def above_threshold(data: NDArray[np.float32], sigma: float, **settings: Any) -> Any:
    """Extract sources with SEP, however many there are: its own limits fail in the crowded cores of clusters.

    Parameters
    ----------
    data : ndarray of float32, shape (ny, nx)
        Background-subtracted light.
    sigma : float
        Threshold, in units of ``err`` if that is given.
    **settings
        Those of ``sep.extract``; of arrays, ones that cannot be written to will do.

    Returns
    -------
    structured array
        What ``sep.extract`` returns.

    Examples
    --------
    >>> import numpy as np
    >>> sky = np.zeros((20, 30), np.float32)
    >>> sky[4:7, 5:8] = 9
    >>> above_threshold(sky, 2.0, err=np.ones_like(sky), filter_kernel=None)["x"]
    array([6.])
    """
    sep.set_extract_pixstack(max(sep.get_extract_pixstack(), data.size))
    sep.set_sub_object_limit(max(sep.get_sub_object_limit(), data.size))
    for name, value in settings.items():
        if isinstance(value, np.ndarray):
            settings[name] = np.require(value, requirements=["C", "W"])
    return sep.extract(np.require(data, requirements=["C", "W"]), sigma, **settings)
