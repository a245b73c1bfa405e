"""What the crop and the stretch of an encoder's input throw away: how large the galaxy is, and how bright."""

from __future__ import annotations

import numpy as np

from discovery.errors import ConfigError
from discovery.stamps.preprocess import Prepared, cut_and_resize, to_colours
from discovery.stamps.stamp import Stamp

BANDS = ("g", "r", "z")
RADII_ARCSEC = (1.0, 2.0, 3.5, 7.0, 14.0)
"""Radii of the fixed apertures about the middle of the stamp; the first four are among Tractor's ``apflux`` radii."""
SOFTENING_NMGY = 0.1
"""Flux b at which an asinh magnitude turns from logarithmic to linear: the noise of a small aperture, AB 25."""
CROP_SIDE = "log_crop_side_arcsec"
SMALL = 8


def aperture_fluxes(pixels_nmgy: np.ndarray, pixel_scale_arcsec: float) -> np.ndarray:
    """Return the sum of light within each aperture; what lies outside the stamp is not counted.

    A pixel on the rim counts by the part of a pixel that its centre is inside by: clip(radius - distance + 1/2, 0, 1), in pixels.

    Parameters
    ----------
    pixels_nmgy : numpy.ndarray
        (3, S, S) nanomaggies per pixel, sky subtracted.

    Returns
    -------
    numpy.ndarray
        (3, R) float64 nanomaggies, one column for each of `RADII_ARCSEC`.
    """
    axis = np.arange(pixels_nmgy.shape[1]) - (pixels_nmgy.shape[1] - 1) / 2
    distance = np.hypot(axis[:, None], axis[None, :])
    radii = np.array(RADII_ARCSEC)[:, None, None] / pixel_scale_arcsec
    share = np.clip(radii - distance + 0.5, 0, 1)  # (R, S, S)
    return np.einsum("bij,rij->br", pixels_nmgy, share)


def asinh_magnitude(flux_nmgy: np.ndarray) -> np.ndarray:
    """Return magnitudes that exist for fluxes of zero and below: 22.5 - 2.5 / ln 10 (asinh(f / 2b) + ln b).

    Lupton, Gunn & Szalay (1999, AJ 118, 1406), with b = `SOFTENING_NMGY`; the ordinary AB magnitude where f >> b.
    """
    softened = np.arcsinh(np.asarray(flux_nmgy) / (2 * SOFTENING_NMGY)) + np.log(SOFTENING_NMGY)
    return 22.5 - 2.5 / np.log(10) * softened


def side_names(stamp: Stamp) -> tuple[str, ...]:
    """Return which side features stamps like this one have.

    A pixel scale gives the crop side; fluxes as well give the aperture magnitudes. Display colours without a scale
    have none.
    """
    if stamp.pixel_scale_arcsec is None:
        return ()
    if stamp.kind != "nmgy":
        return (CROP_SIDE,)
    return (CROP_SIDE, *(f"asinh_mag_{band}_{radius:g}arcsec" for band in BANDS for radius in RADII_ARCSEC))


def side_features(stamp: Stamp, prepared: Prepared, names: tuple[str, ...]) -> np.ndarray:
    """Return the side features (F,) float32 under their ``names``.

    Raises
    ------
    ConfigError
        If the stamp has others: surveys of one kind go together.
    """
    if (own := side_names(stamp)) != names:
        raise ConfigError(
            f"{stamp.object_id} gives {len(own)} side features and {len(names)} are wanted: fluxes and display colours, "
            "or stamps with and without a pixel scale, do not go together. Give --pixel-scale, or one kind of stamps."
        )
    if not names:
        return np.empty(0, np.float32)
    assert prepared.crop_side_arcsec is not None and stamp.pixel_scale_arcsec is not None
    side = [np.log10(prepared.crop_side_arcsec)]
    if stamp.kind == "nmgy":
        side += asinh_magnitude(aperture_fluxes(stamp.pixels, stamp.pixel_scale_arcsec)).ravel().tolist()
    return np.array(side, np.float32)


def mean_colours(stamp: Stamp, prepared: Prepared) -> np.ndarray:
    """Return the mean of each plane of the display colours within the crop: (3,) float32 in 0..1, g r z."""
    return cut_and_resize(to_colours(stamp), prepared.box, SMALL).mean((1, 2))
