"""A simulated survey: galaxies, lenses, mergers, stars and artefacts in Legacy Survey formats."""

from discovery.simulation.config import CLASSES, SurveyPlan, Visit
from discovery.simulation.survey import write_survey

__all__ = ["CLASSES", "SurveyPlan", "Visit", "write_survey"]
