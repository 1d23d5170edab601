"""
Beside photutils and SEP
========================

A catalogue of astrogalaxy is an astropy table of positions, and its images give up their pixels: both go into the tools that
you use already, and theirs come back.
"""

# %%
# One field, one band
# -------------------
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
image = ag.Image.read(
    {"r": ccd}, zeropoint=22.5
)  # a CCDData is read as it is, with mask, uncertainty and WCS
catalog = ag.detect(image)

# %%
# The sky
# -------
# photutils measures a background; so does astrogalaxy, on a mesh of its own (pixels 0-based, as in both).
from astrogalaxy.images import Section

ours = image.bands["r"].pixels(Section.whole(image.shape))
theirs = Background2D(ccd.data, 64)
print(
    f"noise: {np.median(ours.noise):.4f} here, {theirs.background_rms_median:.4f} photutils"
)

# %%
# photutils at our positions
# --------------------------
# ``x`` and ``y`` are photutils' pixels. The fixed aperture of the catalogue is 3 arcsec wide unless survey.yml says otherwise.
radius = 1.5 / image.pixel_scale
positions = np.column_stack([catalog["x"], catalog["y"]])
good = np.isfinite(positions).all(axis=1)
table = aperture_photometry(
    np.where(ours.bad, 0, ours.data), CircularAperture(positions[good], radius)
)
flux = np.asarray(table["aperture_sum"]) * 10 ** (0.4 * (31.4 - 22.5))  # nJy

# %%
# SEP finds, we compare
# ---------------------
data = np.ascontiguousarray(ours.data)
objects = sep.extract(data, 1.5, err=ours.noise, mask=ours.bad)
print(
    f"{len(catalog)} sources here, {len(objects)} of SEP at 1.5 sigma in one band"
)

sky = image.wcs.pixel_to_world(objects["x"], objects["y"])
index, apart, _ = catalog.coords.match_to_catalog_sky(sky)
both = apart.arcsec < 1.0
print(f"{both.sum()} in both")

# %%
# Colours tell what only one of them has:
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
    label=["also SEP", "only here"],
)
right.set(xscale="log", xlabel="signal to noise", ylabel="sources")
_ = right.legend()

# %%
# The other way round
# -------------------
# `measure <astrogalaxy.measurement.measure>` takes anyone's positions: here SEP's sources are measured by our means.
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
