"""
With photutils and SEP
======================

A catalogue of astrogalaxy is an astropy table, and the pixels of its images are plain arrays. You can therefore combine
astrogalaxy with the tools that you already use. This tutorial measures its sources with photutils, compares them with
those of SEP, and measures the sources of SEP with astrogalaxy.
"""

# %%
# Detect sources in one band
# --------------------------
# A ``CCDData`` is read with its mask, uncertainty and WCS.
import matplotlib.pyplot as plt
import numpy as np
import sep
from astropy.nddata import CCDData
from astropy.table import Table
from photutils.aperture import CircularAperture, aperture_photometry
from photutils.background import Background2D

import astrogalaxy as ag
from astrogalaxy.config import pipelines_folder

folder = pipelines_folder() / "quickstart"
ccd = CCDData.read(folder / "quickstart-r.fits", hdu=1, unit="adu")
image = ag.Image.read({"r": ccd}, zeropoint=22.5)
catalog = ag.detect(image)

# %%
# Compare the noise
# -----------------
# photutils and astrogalaxy each measure the sky background and its noise on a mesh. Both count pixels from 0.
from astrogalaxy.images import Section

ours = image.bands["r"].pixels(Section.whole(image.shape))
theirs = Background2D(ccd.data, 64)
print(
    f"noise: {np.median(ours.noise):.4f} astrogalaxy, {theirs.background_rms_median:.4f} photutils"
)

# %%
# Measure the sources with photutils
# ----------------------------------
# ``x`` and ``y`` are pixel coordinates as photutils uses them. The fixed aperture of the catalogue has a diameter of
# 3 arcsec, unless you choose another one.
radius = 1.5 / image.pixel_scale
positions = np.column_stack([catalog["x"], catalog["y"]])
good = np.isfinite(positions).all(axis=1)
table = aperture_photometry(
    np.where(ours.bad, 0, ours.data), CircularAperture(positions[good], radius)
)
flux = np.asarray(table["aperture_sum"]) * 10 ** (0.4 * (31.4 - 22.5))  # nJy

# %%
# Compare with the sources of SEP
# -------------------------------
# Match the sources on the sky, within 1 arcsec:
data = np.ascontiguousarray(ours.data)
objects = sep.extract(data, 1.5, err=ours.noise, mask=ours.bad)
print(
    f"{len(catalog)} sources of astrogalaxy, {len(objects)} of SEP at 1.5 sigma in one band"
)

sky = image.wcs.pixel_to_world(objects["x"], objects["y"])
index, apart, _ = catalog.coords.match_to_catalog_sky(sky)
both = apart.arcsec < 1.0
print(f"{both.sum()} in both")

# %%
# On the left are the aperture fluxes of photutils and astrogalaxy. The histogram on the right shows which sources of
# astrogalaxy SEP also finds:
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
ours_flux = np.asarray(
    catalog[next(n for n in catalog.colnames if n.startswith("flux_aper"))]
)[good]
left.loglog(flux, ours_flux, ".")
left.axline((1e3, 1e3), (1e6, 1e6), color="grey", lw=0.8)
left.set(
    xlabel="photutils (nJy)", ylabel="astrogalaxy (nJy)", title="the same aperture"
)
right.hist(
    [catalog["snr"][both], catalog["snr"][~both]],
    bins=np.geomspace(3, 300, 25),
    label=["also found by SEP", "only astrogalaxy"],
)
right.set(xscale="log", xlabel="signal to noise", ylabel="sources")
_ = right.legend()

# %%
# Measure the sources of SEP with astrogalaxy
# -------------------------------------------
# `measure <astrogalaxy.measurement.measure>` measures sources at any positions, here those of SEP:
from astrogalaxy.measurement import Sources, measure

some = objects[:200]
sides = 6 * np.clip(some["a"], 1, 10)
columns = measure(
    image,
    Sources.around(some["x"], some["y"], side=sides),
    pixel_scale=image.pixel_scale,
)
Table(
    {
        name: columns[name]
        for name in ("x", "y", "flux_r", "flux_r_err", "half_light_radius")
    }
)[:3]
