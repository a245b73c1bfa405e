"""``discovery restore`` and ``discovery reconstruct``: FITS images in, FITS images out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from discovery.command_output import print_json
from discovery.errors import QueryError
from discovery.sky.places import parse_cone

if TYPE_CHECKING:
    from discovery.restoration import Outcome


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RestoreOptions:
    """Options of ``discovery restore``.

    Attributes
    ----------
    out
        FITS file to write.
    survey
        Whose stretch is used: legacy, legacy-dr10 or sdss.
    model
        "default" (the network that ships) or a folder that ``discovery train multitask`` made.
    overwrite
        Replace the output if it is there.
    json
        Print one JSON document.
    """

    out: Annotated[Path, Parameter(name=["-o", "--out"])]
    survey: str = "legacy"
    model: str = "default"
    overwrite: Annotated[bool, Parameter(negative="")] = False
    json: Annotated[bool, Parameter(negative="")] = False


def restore(image: Path, *, options: RestoreOptions) -> None:
    """Sharpen and denoise a FITS image of three bands; the flux in apertures is kept.

    The output has the input's WCS, header and number type, in nanomaggies; its extension RESIDUAL is output minus
    input. Apertures of at least 8 pixels' radius keep their flux within 2 % (or within their sky noise, where that is more). Pixels that
    are not finite, or exactly 0 (not observed), stay as they are. Other extensions of the input are not copied.

    Parameters
    ----------
    image
        FITS image of any size, three planes g r z (or g r i, as its BANDS card says), nanomaggies per pixel.
    """
    from discovery.restoration.mosaic import check_image, check_out

    check_image(image)
    check_out(options.out, options.overwrite)
    from discovery.restoration import load_network, restore_image

    outcome = restore_image(image, options.out, load_network(options.model), survey=options.survey, overwrite=options.overwrite)
    _print(outcome, f"{outcome.left} pixels without measurement left as they were", options.json)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReconstructOptions:
    """Options of ``discovery reconstruct``.

    Attributes
    ----------
    out
        FITS file to write.
    mask
        FITS image of the same height and width: what is not 0 is mended.
    keep
        Takes --mask for a segmentation map (as SExtractor makes): every segment is mended but this one (repeatable).
    region
        Circle on the sky RA,DEC,RADIUS, in arcsec unless it says arcmin or deg (150.1,2.2,4). Repeatable.
    circle
        Circle in pixels ROW,COLUMN,RADIUS, counted from 0. Repeatable.
    box
        Box in pixels ROW0,ROW1,COLUMN0,COLUMN1, counted from 0, ends exclusive. Repeatable.
    zeros
        Mend also pixels that are exactly 0 in some band (not observed).
    survey
        Whose stretch is used: legacy, legacy-dr10 or sdss.
    model
        "default" (the network that ships) or a folder that ``discovery train multitask`` made.
    overwrite
        Replace the output if it is there.
    json
        Print one JSON document.
    """

    out: Annotated[Path, Parameter(name=["-o", "--out"])]
    mask: Path | None = None
    keep: Annotated[list[int] | None, Parameter(negative="")] = None
    region: Annotated[list[str] | None, Parameter(allow_leading_hyphen=True, negative="")] = None
    circle: Annotated[list[str] | None, Parameter(allow_leading_hyphen=True, negative="")] = None
    box: Annotated[list[str] | None, Parameter(allow_leading_hyphen=True, negative="")] = None
    zeros: Annotated[bool, Parameter(negative="")] = False
    survey: str = "legacy"
    model: str = "default"
    overwrite: Annotated[bool, Parameter(negative="")] = False
    json: Annotated[bool, Parameter(negative="")] = False


def reconstruct(image: Path, *, options: ReconstructOptions) -> None:
    """Mend masked parts of a FITS image, so that a galaxy can be separated from its neighbours.

    What is mended: pixels that are not finite, and all that the options below name together. All other pixels are
    kept bit for bit. The output has the input's WCS, header and number type, in nanomaggies; its extension RESIDUAL is
    output minus input (so that a masked neighbour stands there with its sign turned), MASK says what was mended.

    Parameters
    ----------
    image
        FITS image of any size, three planes g r z (or g r i, as its BANDS card says), nanomaggies per pixel.
    """
    from discovery.restoration.mosaic import check_image, check_out

    check_image(image)
    check_out(options.out, options.overwrite)
    from discovery.restoration import load_network, reconstruct_image
    from discovery.restoration.masks import Selection

    selection = Selection(
        mask=options.mask,
        keep=tuple(options.keep or ()),
        regions=tuple(parse_cone(text) for text in options.region or ()),
        circles=tuple(_circle(text) for text in options.circle or ()),
        boxes=tuple(_box(text) for text in options.box or ()),
        zeros=options.zeros,
    )
    outcome = reconstruct_image(image, options.out, load_network(options.model), selection, survey=options.survey, overwrite=options.overwrite)
    _print(outcome, f"{outcome.masked} pixels mended", options.json)


def _circle(text: str) -> tuple[float, float, float]:
    try:
        row, column, radius = (float(part) for part in text.split(","))
    except ValueError:
        raise QueryError(f"'{text}' is no circle: give ROW,COLUMN,RADIUS in pixels, such as 120,131,8.") from None
    return row, column, radius


def _box(text: str) -> tuple[int, int, int, int]:
    try:
        row0, row1, column0, column1 = (int(part) for part in text.split(","))
    except ValueError:
        raise QueryError(f"'{text}' is no box: give ROW0,ROW1,COLUMN0,COLUMN1 in pixels, such as 100,120,90,115.") from None
    return row0, row1, column0, column1


def _print(outcome: Outcome, done: str, json: bool) -> None:
    import sys

    if json:
        print_json(outcome.plain())
    else:
        sys.stdout.write(f"{outcome.out}: {outcome.height} x {outcome.width} pixels, bands {outcome.bands}, {done}\n")
