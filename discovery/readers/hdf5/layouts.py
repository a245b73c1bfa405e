"""HDF5 files sorted by layout: one survey for each layout among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from discovery.errors import SurveyError
from discovery.readers.hdf5.files import (
    StampFile,
    describe_datasets,
    label_files,
    look_into,
    open_file,
    plain_dataset,
)
from discovery.readers.hdf5.galaxy10 import ColourPictures, Galaxy10, Galaxy10Sdss
from discovery.readers.hdf5.ssl_legacysurvey import SslLegacySurvey
from discovery.readers.hdf5.stamps import StampsHdf5
from discovery.readers.hdf5.survey import Hdf5Survey
from discovery.stamps.stamp import Survey

LAYOUTS: tuple[type[Hdf5Survey], ...] = (SslLegacySurvey, Galaxy10, Galaxy10Sdss, ColourPictures, StampsHdf5)
"""In the order in which they are tried."""


def open_hdf5_files(
    paths: Sequence[Path],
    given: Sequence[Path],
    *,
    pixel_scale_arcsec: float | None,
    survey: str,
    key: str | None,
    ids: Mapping[str, str],
) -> tuple[list[Survey], dict[Path, str]]:
    """Return one survey for each layout among HDF5 files, and the files that can be used by none.

    A file that cannot be used takes one position of the first layout, as a `Damaged` with its reason. Where none can be used there is
    no survey, and they are returned beside with their reasons.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    given : sequence of Path
        The given paths: the files, or folders that hold them.
    pixel_scale_arcsec, survey, key, ids
        As in `discovery.readers.open_survey`.
    """
    by_layout: dict[type[Hdf5Survey], list[StampFile]] = {}
    unusable: list[StampFile] = []
    for path in paths:
        try:
            layout, file = _recognise(path)
            by_layout.setdefault(layout, []).append(file)
        except SurveyError as error:
            spoiled = StampFile(
                path=path, label=path.stem, source=path.name, rows=1, columns={}, problem=str(error)
            )
            unusable.append(spoiled)
    for layout in [layout for layout, files in by_layout.items() if all(file.problem for file in files)]:
        unusable += by_layout.pop(layout)
    if not by_layout:
        return [], {file.path: _with_path(file) for file in unusable}
    next(iter(by_layout.values())).extend(unusable)
    root = next((path.resolve() for path in given if path.is_dir()), None)
    labelled = label_files([file for files in by_layout.values() for file in files], root)
    named = {file.path: file for file in labelled}
    surveys: list[Survey] = [
        layout(
            [named[file.path] for file in sorted(files, key=lambda file: paths.index(file.path))],
            given,
            pixel_scale_arcsec=pixel_scale_arcsec,
            survey=survey,
            key=key,
            ids=ids.get(layout.format),
        )
        for layout, files in by_layout.items()
    ]
    return surveys, {}


def _recognise(path: Path) -> tuple[type[Hdf5Survey], StampFile]:
    """Return the layout of a file and what it holds."""
    with open_file(path) as handle:
        for layout in LAYOUTS:
            images = plain_dataset(handle, layout.images_name, path)
            if images is not None and layout.claims(images):
                return layout, look_into(handle, images, path)
        raise SurveyError(
            f"{path} holds no stamps of a known layout (images float (N, 3, H, W), image float (N, 3, H, W) or "
            f"images uint8 (N, H, W, 3)); it has {describe_datasets(handle)}"
        )


def _with_path(file: StampFile) -> str:
    problem = file.problem or ""
    return problem if str(file.path) in problem else f"{file.path}: {problem}"
