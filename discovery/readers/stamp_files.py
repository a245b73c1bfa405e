"""Any stamp file, FITS or picture, as a checked stamp."""

from __future__ import annotations

from discovery.readers.fits_cutouts import SUFFIXES as FITS_SUFFIXES
from discovery.readers.fits_cutouts import decode_cutout, position_in_name
from discovery.readers.pictures import SUFFIXES as PICTURE_SUFFIXES
from discovery.readers.pictures import decode_picture
from discovery.readers.pixel_checks import usable_pixels
from discovery.stamps.stamp import Stamp


def decode_stamp(
    data: bytes, name: str, *, object_id: str, scale: float | None = None, survey: str = "legacy"
) -> Stamp:
    """Return one checked stamp from the content of a FITS, JPEG or PNG file.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name: the suffix says the kind; it may hold a position.
    object_id : str
        Name of the stamp.
    scale : float or None
        Pixel scale (arcsec) where the file tells none.
    survey : str
        Key of `discovery.stamps.imaging_surveys.SURVEYS`.

    Raises
    ------
    StampError
        The stamp cannot be used.
    """
    position = position_in_name(name) or (None, None)
    if not is_fits(name):
        pixels = decode_picture(data)
        usable_pixels(pixels, "rgb")
        return Stamp(
            object_id=object_id, pixels=pixels, kind="rgb", pixel_scale_arcsec=scale,
            ra_deg=position[0], dec_deg=position[1], survey=survey,
        )  # fmt: skip
    seen, pixels = decode_cutout(data)
    pixels, covered = usable_pixels(pixels, "nmgy", bands=seen.bands, quantised=seen.quantised)
    if seen.ra_deg is not None:
        position = seen.ra_deg, seen.dec_deg  # type: ignore[assignment]
    return Stamp(
        object_id=object_id, pixels=pixels, kind="nmgy", pixel_scale_arcsec=seen.pixel_scale_arcsec or scale,
        ra_deg=position[0], dec_deg=position[1], survey=survey, covered_fraction=covered,
    )  # fmt: skip


def is_stamp_file(name: str) -> bool:
    """Tell whether a file's suffix is that of a FITS cutout or a picture."""
    return name.lower().endswith((*FITS_SUFFIXES, *PICTURE_SUFFIXES))


def is_fits(name: str) -> bool:
    """Tell whether a file's suffix is that of a FITS cutout."""
    return name.lower().endswith(FITS_SUFFIXES)
