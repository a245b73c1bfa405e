"""The survey files that a release was made of, found again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from discovery.errors import ReleaseError, SurveyError
from discovery.release.manifest import Manifest, SurveyRecord
from discovery.stamps.stamp import Survey
from discovery.storage.provenance import contents_fingerprint


class SurveyFiles:
    """The surveys of a release, each opened once: beside the release as it was when built, or where it was built.

    Parameters
    ----------
    path : Path
        The release's folder.
    manifest : Manifest
        What it says about itself.
    roots : tuple of Path, optional
        If given, files are read only below these folders.
    """

    def __init__(self, path: Path, manifest: Manifest, roots: tuple[Path, ...] | None = None) -> None:
        self._path, self._manifest, self._roots = path, manifest, roots
        self._opened: dict[int, Survey] = {}

    def survey(self, number: int) -> Survey:
        """Return the survey of segment ``number`` of the manifest.

        Raises
        ------
        ReleaseError
            If the files are missing, changed, or outside the allowed folders.
        """
        if number not in self._opened:
            self._opened[number] = self._found(self._manifest.surveys[number])
        return self._opened[number]

    def _found(self, record: SurveyRecord) -> Survey:
        name = self._manifest.name
        beside = [self._path / path for path in record.relative_paths]
        beside_table = None if record.relative_table is None else self._path / record.relative_table
        built = [Path(path) for path in record.paths]
        built_table = None if record.table is None else Path(record.table)
        changed = False
        for paths, table in ((beside, beside_table), (built, built_table)):
            paths, table = [path.resolve() for path in paths], table and table.resolve()
            if not all(path.exists() for path in (*paths, *([table] if table else []))):
                continue
            survey = self._open(record, paths, table)
            files = [*survey.paths, *([table] if table else [])]
            if contents_fingerprint(files, follow_links=bool(record.options.get("follow_links"))) == record.fingerprint:
                return survey
            changed = True
        names = ", ".join(path.name for path in built)
        if changed:
            raise ReleaseError(f"The survey files of release {name} ({names}) changed since it was built. Build it again.")
        raise ReleaseError(
            f"The survey files of release {name} ({names}) are missing: put them back, or beside the release as they were."
        )

    def _open(self, record: SurveyRecord, paths: Sequence[Path], table: Path | None) -> Survey:
        from discovery.readers import open_survey

        name = self._manifest.name
        for path in (*paths, *([table] if table else [])):
            if self._roots is not None and not any(path.is_relative_to(root) for root in self._roots):
                raise ReleaseError(f"The survey of release {name} lies outside the folders that may be read here.")
        try:
            return open_survey(paths, table=table or "none", links_into=self._roots, **record.options)
        except SurveyError as problem:
            raise ReleaseError(f"The survey of release {name} cannot be opened again: {problem}") from problem
