"""A simulated survey: galaxies, lenses, mergers, stars and artefacts in Legacy Survey formats."""

from discovery.simulation.config import CLASSES, SurveyPlan
from discovery.simulation.survey import write_survey

__all__ = ["CLASSES", "SurveyPlan", "write_survey"]
