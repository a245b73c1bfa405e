"""The invertible stretch between fluxes and what the image heads see.

It is the Legacy viewer's asinh stretch (`discovery.stamps.preprocess.dr2_rgb`, Lupton et al. 2004), in which the network was
trained, without its last step, the clipping to 0..1: that step alone loses anything. With the scales s_b, the
offset m and the softening Q of a survey's style::

    x_b = flux_b s_b + m        I = mean_b max(0, x_b)
    V = arcsinh(Q I) / sqrt(Q)  v_b = x_b V / I            (V / I = sqrt(Q) where I = 0)

Since V / I > 0, mean_b max(0, v_b) = V, and so the inverse is exact, for negative fluxes too::

    V = mean_b max(0, v_b)      I = sinh(sqrt(Q) V) / Q    x_b = v_b I / V      flux_b = (x_b - m) / s_b
"""

from __future__ import annotations

import numpy as np

from discovery.stamps.imaging_surveys import SurveyStyle

FAINTEST = 1e-9
"""Below this intensity V / I is sqrt(Q) to double precision."""
LARGEST = 8.0
"""Stretched intensities end here on the way back (fluxes of 1e13 nanomaggies), so that no number overflows."""


def stretch(flux_nmgy: np.ndarray, style: SurveyStyle) -> np.ndarray:
    """Return stretched planes.

    Parameters
    ----------
    flux_nmgy : numpy.ndarray
        (3, H, W) finite nanomaggies per pixel, bands g r z (or i).
    style : SurveyStyle
        Scales, offset and softening.

    Returns
    -------
    numpy.ndarray
        (3, H, W) float64; 0..1 is what `dr2_rgb` shows, values outside are kept.
    """
    x = np.asarray(flux_nmgy, np.float64) * _scales(style) + style.m
    intensity = np.maximum(x, 0).mean(axis=0)
    gain = np.full(intensity.shape, np.sqrt(style.Q))
    np.divide(np.arcsinh(style.Q * intensity) / np.sqrt(style.Q), intensity, out=gain, where=intensity > FAINTEST)
    return x * gain


def unstretch(stretched: np.ndarray, style: SurveyStyle) -> np.ndarray:
    """Return the fluxes (3, H, W) float64 in nanomaggies of which `stretch` gives these planes."""
    v = np.asarray(stretched, np.float64)
    shown = np.minimum(np.maximum(v, 0).mean(axis=0), LARGEST)
    gain = np.full(shown.shape, np.sqrt(style.Q))
    np.divide(shown, np.sinh(np.sqrt(style.Q) * shown) / style.Q, out=gain, where=shown > FAINTEST)
    return (v / gain - style.m) / _scales(style)


def _scales(style: SurveyStyle) -> np.ndarray:
    return np.asarray(style.scales, np.float64)[:, None, None]
