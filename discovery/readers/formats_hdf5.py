"""HDF5 files sorted by layout: one survey for each layout among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from discovery.errors import SurveyError
from discovery.readers.galaxy10 import Galaxy10
from discovery.readers.hdf5 import Hdf5Survey, StampFile, inspect_file, label_files
from discovery.readers.ssl_legacysurvey import SslLegacySurvey
from discovery.readers.stamps_hdf5 import StampsHdf5
from discovery.stamps import Survey

LAYOUTS: tuple[type[Hdf5Survey], ...] = (SslLegacySurvey, Galaxy10, StampsHdf5)


def open_hdf5_files(
    paths: Sequence[Path],
    given: Sequence[Path],
    *,
    pixel_scale_arcsec: float | None,
    survey: str,
    key: str | None,
    ids: Mapping[str, str],
) -> list[Survey]:
    """Open HDF5 files of one or more layouts.

    A file that cannot be used takes one position of the first layout, as a `Damaged` with its reason.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    given : sequence of Path
        What was asked for: the files, or folders that hold them.
    pixel_scale_arcsec, survey, key, ids
        As in `discovery.readers.open_survey`.

    Raises
    ------
    SurveyError
        No file can be used; the reason is that of the first.
    """
    by_layout: dict[type[Hdf5Survey], list[StampFile]] = {}
    unusable: list[StampFile] = []
    for path in paths:
        try:
            layout, file = inspect_file(path, LAYOUTS)
            by_layout.setdefault(layout, []).append(file)
        except SurveyError as error:
            unusable.append(
                StampFile(
                    path=path, label=path.stem, source=path.name, rows=1, columns={}, problem=str(error)
                )
            )
    usable = {
        layout: files for layout, files in by_layout.items() if any(file.problem is None for file in files)
    }
    if not usable:
        first = next(iter(by_layout.values()))[0] if by_layout else unusable[0]
        raise SurveyError(first.problem if not by_layout else f"{first.path}: {first.problem}")
    for layout, files in by_layout.items():
        if layout not in usable:
            unusable += files
    first_layout = next(iter(usable))
    usable[first_layout] += unusable
    root = next((path.resolve() for path in given if path.is_dir()), None)
    everything = label_files([file for files in usable.values() for file in files], root)
    labelled = {file.path: file for file in everything}
    return [
        layout(
            [labelled[file.path] for file in sorted(files, key=lambda file: paths.index(file.path))],
            given,
            pixel_scale_arcsec=pixel_scale_arcsec,
            survey=survey,
            key=key,
            ids=ids.get(layout.format),
        )
        for layout, files in usable.items()
    ]
