"""One small simulated survey in both formats."""

from pathlib import Path

import pytest

from discovery.simulation import SurveyPlan, write_survey

PLAN = SurveyPlan(galaxies=48, seed=11)


@pytest.fixture(scope="session")
def stamp_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The survey as an HDF5 file, drawn by two worker processes."""
    (path,) = write_survey(tmp_path_factory.mktemp("hdf5"), PLAN, processes=2, progress=False)
    return path


@pytest.fixture(scope="session")
def brick_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same survey as bricks, drawn in this process."""
    folder = tmp_path_factory.mktemp("bricks")
    write_survey(folder, PLAN, survey_format="bricks", processes=1, progress=False)
    return folder
