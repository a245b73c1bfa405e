"""Paths that were given: are they there?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from discovery.errors import SurveyError


def check_paths_exist(paths: Sequence[Path | str]) -> None:
    """Return when every file or folder of a survey is there.

    Raises
    ------
    SurveyError
        Names the first that is not.
    """
    for path in paths:
        if not Path(path).expanduser().exists():
            raise SurveyError(f"{path} does not exist")
