"""Pictures of some rows of a release in a folder, for people to look at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from discovery.errors import QueryError
from discovery.release.release import Release
from discovery.stamps.render import contact_sheet, stamp_png, upright
from discovery.stamps.stamp import Stamp

PICTURE_PIXELS = 256
MOST_IN_SHEET = 400
SHEET_FILE = "contact_sheet.png"


def write_stamp_folder(
    release: Release,
    rows: Sequence[int] | np.ndarray,
    titles: Sequence[str],
    folder: Path | str,
    *,
    flags: Sequence[str] = (),
) -> None:
    """Write the stamps of some rows as ``000001_OBJECT.png`` ... and as one ``contact_sheet.png``.

    Parameters
    ----------
    rows : sequence of int
        (n,) rows, in the order of the file names.
    titles : sequence of str
        (n,) what stands under each stamp of the contact sheet, which holds the first 400.
    flags : sequence of str, optional
        (n,) a second line under each.

    Raises
    ------
    QueryError
        If the folder cannot be written.
    ReleaseError
        If a stamp cannot be read again.
    """
    folder = Path(folder)
    stamps: list[Stamp] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, row in enumerate(tqdm(np.asarray(rows).tolist(), desc="stamps", unit="stamp", disable=None), 1):
            stamp = release.stamp(row)
            name = f"{number:06d}_{re.sub(r'[^A-Za-z0-9._+-]', '_', stamp.object_id)[:80]}.png"
            (folder / name).write_bytes(stamp_png(upright(stamp), size_pixels=PICTURE_PIXELS, scale_bar=True))
            if len(stamps) < MOST_IN_SHEET:
                stamps.append(stamp)
        if stamps:
            shown = slice(len(stamps))
            contact_sheet(stamps, titles[shown], folder / SHEET_FILE, flags=flags[shown])
    except OSError as problem:
        raise QueryError(f"{folder} cannot be written: {problem.strerror or problem}.") from problem
