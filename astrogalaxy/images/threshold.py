"""What stands above a plain threshold."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

__all__ = ["above_threshold"]

# Sources in one piece of the image that stands above the threshold; SEP cannot count to millions.
_MANY = 100_000
# SEP's limits are those of the whole process: two threads at once could leave them changed for good.
_LOCK = threading.Lock()


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
    for name, value in settings.items():
        if isinstance(value, np.ndarray):
            settings[name] = np.require(value, requirements=["C", "W"])
    data = np.require(data, requirements=["C", "W"])
    with _LOCK:
        usual = sep.get_extract_pixstack(), sep.get_sub_object_limit()
        # all of the stack is written to, whether it is needed or not
        larger = [pixels for pixels in (data.size // 4, 2 * data.size) if pixels > usual[0]]
        try:
            sep.set_sub_object_limit(_MANY)
            while True:
                try:
                    return sep.extract(data, sigma, **settings)
                except Exception as error:  # SEP raises no other kind
                    if "buffer full" not in str(error) or not larger:
                        raise
                    sep.set_extract_pixstack(larger.pop(0))
        finally:
            sep.set_extract_pixstack(usual[0])
            sep.set_sub_object_limit(usual[1])
