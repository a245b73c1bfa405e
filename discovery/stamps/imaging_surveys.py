"""Imaging surveys: pixel scale, stretch of the colour rendering, layer of the Legacy viewer.

The numbers are those of the Legacy Survey viewer's ``dr2_rgb`` (formats.md of the project, from the
viewer's source): the picture of band b is ``image_b * scale_b + m``, compressed by arcsinh with Q.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SurveyStyle:
    """How the stamps of one survey are shown.

    Attributes
    ----------
    name : str
        Key in `SURVEYS`.
    pixel_scale_arcsec : float or None
        Usual size of a pixel of the survey's stamps.
    scales : tuple of float
        Factors of the bands g, r and z (or i) in nanomaggies.
    m, Q : float
        Offset and softening of the arcsinh stretch.
    viewer_layer : str or None
        Layer of the Legacy viewer that shows the survey.
    """

    name: str
    pixel_scale_arcsec: float | None
    scales: tuple[float, float, float]
    m: float = 0.03
    Q: float = 20.0
    viewer_layer: str | None = None


SURVEYS: dict[str, SurveyStyle] = {
    style.name: style
    for style in (
        SurveyStyle(name="legacy", pixel_scale_arcsec=0.262, scales=(6.0, 3.4, 2.2), viewer_layer="ls-dr9"),
        SurveyStyle(
            name="legacy-dr10", pixel_scale_arcsec=0.262, scales=(9.0, 5.1, 3.3), viewer_layer="ls-dr10"
        ),
        SurveyStyle(
            name="sdss", pixel_scale_arcsec=0.396, scales=(2.5, 1.5, 1.0), m=0.02, viewer_layer="sdss"
        ),
    )
}
