"""Centroids of stars that are narrow in their pixels: rms error without noise, and the stated error.

python tests/benchmarks/bench_undersampled.py
"""

from __future__ import annotations

import galsim
import numpy as np

from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.measurement.moments import Shapes, adapt, sampling_covariance


def main() -> None:
    """Print a table."""
    print("profile    FWHM on the pixels   rms error   stated")
    for name in ("Gaussian", "Moffat"):
        for fwhm in (1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.5):
            optics = np.sqrt(fwhm**2 - FWHM_PER_SIGMA**2 / 12)  # before the pixels
            star = galsim.Gaussian(fwhm=optics) if name == "Gaussian" else galsim.Moffat(beta=3.0, fwhm=optics)
            at = np.random.default_rng(1).uniform(-0.5, 0.5, (1000, 2))
            stamps = [star.drawImage(nx=25, ny=25, scale=1.0, offset=place).array for place in at]
            middle = np.full(len(at), 12.0)
            found = adapt(np.array(stamps, np.float32), Shapes.circles(middle, middle, np.ones(len(at))))
            error = np.sqrt(np.mean((found.x - 12 - at[:, 0]) ** 2))
            stated = np.sqrt(np.mean(sampling_covariance(found)[0]) + 0.002**2)
            print(f"{name:10} {fwhm:18.1f} {error:11.3f} {stated:8.3f}")


if __name__ == "__main__":
    main()
