"""A FITS image in, a FITS image out: restored, or with its missing parts mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from discovery import __version__
from discovery.errors import ConfigError, StampError
from discovery.restoration.flux import conserve_flux
from discovery.restoration.inpaint import fill, mend
from discovery.restoration.masks import Selection, selected
from discovery.restoration.mosaic import Mosaic, Written, check_out, open_mosaic, write_like
from discovery.restoration.network import ImageNetwork
from discovery.restoration.stretch import stretch, unstretch
from discovery.restoration.tiles import apply_tiles, cover
from discovery.stamps.imaging_surveys import SURVEYS, SurveyStyle

FIELD_PIXELS = 1024
"""Images are worked on in fields of this side, so that memory does not grow with the image."""
FIELD_OVERLAP_PIXELS = 192
SHOWN = (-0.2, 1.0)
"""Range of the stretched image that the restoring network sees: colours, and noise below the sky."""
FADE = 0.25
MOST_MASKED = 0.9


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was done.

    Attributes
    ----------
    out : str
        The file.
    height, width : int
        Of the image.
    bands : str
        In the order of the file.
    masked : int
        Pixels that were mended.
    left : int
        Pixels without a measurement, which stayed as they were.
    checksum : str
        SHA-256 of the network's weights.
    """

    out: str
    height: int
    width: int
    bands: str
    masked: int
    left: int
    checksum: str

    def plain(self) -> dict[str, Any]:
        """Return it as a JSON-able object."""
        return asdict(self)


def restore_image(
    image: Path, out: Path, network: ImageNetwork, *, survey: str = "legacy", overwrite: bool = False
) -> Outcome:
    """Return the outcome of sharpening and denoising an image of three bands.

    Flux in apertures of at least 8 pixels' radius is kept, see `discovery.restoration.flux`. Pixels that are not finite,
    or exactly 0 (not observed), in some band stay as they are; the network sees their surroundings continued there.

    Parameters
    ----------
    image : Path
        FITS, (3, H, W) nanomaggies per pixel, bands as the BANDS card says, else g r z.
    out : Path
        Written with the input's header and number type; extension RESIDUAL holds output minus input.
    survey : str
        Key of `discovery.stamps.imaging_surveys.SURVEYS`: whose stretch is used.

    Raises
    ------
    StampError
        If the image cannot be used, or the output not be written.
    ConfigError
        For an unknown survey.
    """
    style = _style(survey)
    check_out(out, overwrite)
    with open_mosaic(image) as mosaic:
        broken, empty = mosaic.unseen()
        left = broken | empty

        def change(flux: np.ndarray, missing: np.ndarray) -> np.ndarray:
            return restored_change(flux, missing, network, style)

        history = _history("restore", network, style, image)
        with write_like(mosaic, out, history, overwrite=overwrite, masked=False) as written:
            _work(mosaic, written, left, change, everywhere=True)
            _finish(mosaic, written, ~left)
        return _outcome(mosaic, out, network, left=int(left.sum()))


def reconstruct_image(
    image: Path,
    out: Path,
    network: ImageNetwork,
    selection: Selection,
    *,
    survey: str = "legacy",
    overwrite: bool = False,
) -> Outcome:
    """Return the outcome of mending the selected pixels of an image, and those that are not finite; all others are kept bit for bit.

    Parameters
    ----------
    image, out, survey
        As in `restore_image`; extension MASK says which pixels were mended.
    selection : Selection
        What is to be mended.

    Raises
    ------
    StampError
        As in `restore_image`, and if nothing or everything is to be mended.
    """
    style = _style(survey)
    check_out(out, overwrite)
    with open_mosaic(image) as mosaic:
        broken, empty = mosaic.unseen()
        mask = broken | selected(selection, mosaic)
        if selection.zeros:
            mask |= empty
        if not mask.any():
            raise StampError(f"{image.name}: nothing to mend: give --mask, --region, --circle or --box")
        if mask.mean() > MOST_MASKED:
            raise StampError(f"{image.name}: {100 * mask.mean():.0f} % is masked, too much to mend; mask at most {100 * MOST_MASKED:.0f} %")

        def change(flux: np.ndarray, missing: np.ndarray) -> np.ndarray:
            return mended(flux, missing, network, style)

        history = _history("reconstruct", network, style, image)
        with write_like(mosaic, out, history, overwrite=overwrite, masked=True) as written:
            assert written.mask is not None
            written.mask[:] = mask
            _work(mosaic, written, mask, change, everywhere=False)
            _finish(mosaic, written, mask)
        return _outcome(mosaic, out, network, masked=int(mask.sum()))


def restored_change(flux: np.ndarray, missing: np.ndarray, network: ImageNetwork, style: SurveyStyle) -> np.ndarray:
    """Return what restoring adds to an image: (3, H, W) nanomaggies, 0 where pixels are missing.

    The network sees the stretched image clipped to -0.2..1, what it was trained on; the *difference* that it makes is
    added to the stretched image as it is. So nothing outside that range is lost, and a network that does nothing
    changes no pixel. Of a core brighter than 1 the network sees a plateau, and cannot know how it should change: there
    the difference fades, to none at 1.25.

    Parameters
    ----------
    flux : numpy.ndarray
        (3, H, W) nanomaggies, bands g r z.
    missing : numpy.ndarray
        (H, W) bool.
    """
    filled = fill(flux, missing)
    stretched = stretch(filled, style)

    def difference(tiles: np.ndarray) -> np.ndarray:
        shown = np.clip(tiles, *SHOWN)
        return (network.restore(shown) - shown) * np.clip(1 - (tiles - SHOWN[1]) / FADE, 0, 1)

    made = apply_tiles(difference, stretched, network.side, network.side // 2)
    change = unstretch(stretched + made, style) - unstretch(stretched, style)
    return conserve_flux(np.where(missing, 0, change), filled)


def mended(flux: np.ndarray, missing: np.ndarray, network: ImageNetwork, style: SurveyStyle) -> np.ndarray:
    """Return the fluxes (3, H, W) that belong at missing pixels; of no meaning elsewhere.

    See `discovery.restoration.inpaint.mend`. What lies deeper in a hole than a quarter of the network's side is mended
    first, in the image at half the resolution (and so on), where the hole is small enough to be seen whole.
    """
    if missing.all():
        return np.zeros(flux.shape)
    deep = ndimage.distance_transform_edt(missing) > network.side / 4
    if deep.any():
        flux = np.where(deep, _mended_at_half(flux, missing, network, style), flux)
    return np.where(deep, flux, mend(flux, missing & ~deep, ~missing, network, style))


def _mended_at_half(flux: np.ndarray, missing: np.ndarray, network: ImageNetwork, style: SurveyStyle) -> np.ndarray:
    """Return what `mended` gives for means of 2 x 2 known pixels, at full size again."""
    height, width = missing.shape
    even = [(0, height % 2), (0, width % 2)]
    known = np.pad(~missing, even, mode="edge").reshape(-(-height // 2), 2, -1, 2)
    values = np.pad(np.where(missing, 0, flux), [(0, 0), *even], mode="edge").reshape(3, *known.shape)
    number = known.sum(axis=(1, 3))
    means = values.sum(axis=(2, 4)) / np.maximum(number, 1)
    filled = np.where(number == 0, mended(means, number == 0, network, style), means)
    return np.stack([ndimage.zoom(plane, 2, order=1, mode="nearest", grid_mode=True) for plane in filled])[:, :height, :width]


def _work(
    mosaic: Mosaic,
    written: Written,
    missing: np.ndarray,
    change: Callable[[np.ndarray, np.ndarray], np.ndarray],
    *,
    everywhere: bool,
) -> None:
    """Add up what each field gives, weighted, in the residual's place."""
    fields = cover(*mosaic.shape, FIELD_PIXELS, FIELD_OVERLAP_PIXELS)
    fields = [field for field in fields if everywhere or missing[field.rows, field.columns].any()]
    for field in tqdm(fields, desc="fields", unit="field", disable=None if len(fields) > 1 else True):
        part = change(mosaic.read(field.rows, field.columns), missing[field.rows, field.columns])
        for plane, values in zip(mosaic.planes, part, strict=True):
            written.residual[plane, field.rows, field.columns] += field.weight * values


def _finish(mosaic: Mosaic, written: Written, touched: np.ndarray) -> None:
    """Make output and residual of what `_work` added up.

    Restoring adds a change to the pixels; mending (a mask is written) replaces them. Other pixels are copied.
    """
    for rows in mosaic.row_parts():
        before = mosaic.read(rows, slice(None))
        for plane, values in zip(mosaic.planes, before, strict=True):
            made = written.residual[plane, rows].astype(mosaic.dtype)
            new = np.where(touched[rows], made if written.mask is not None else values + made, values)
            written.image[plane, rows] = new
            written.residual[plane, rows] = np.where(touched[rows], new - values, 0)


def _style(survey: str) -> SurveyStyle:
    if survey not in SURVEYS:
        raise ConfigError(f"There is no survey '{survey}'; known are {', '.join(SURVEYS)}.")
    return SURVEYS[survey]


def _history(verb: str, network: ImageNetwork, style: SurveyStyle, image: Path) -> list[str]:
    return [
        f"discovery {__version__} {verb} of {image.name.encode('ascii', 'replace').decode()}",
        f"network sha256 {network.checksum[:32]}",
        f"asinh stretch of survey {style.name}; extension RESIDUAL is this minus input",
    ]


def _outcome(mosaic: Mosaic, out: Path, network: ImageNetwork, *, masked: int = 0, left: int = 0) -> Outcome:
    in_file = sorted(zip(mosaic.planes, mosaic.bands, strict=True))
    return Outcome(
        out=str(out),
        height=mosaic.shape[0],
        width=mosaic.shape[1],
        bands="".join(band for _, band in in_file),
        masked=masked,
        left=left,
        checksum=network.checksum,
    )
