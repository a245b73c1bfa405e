"""Every error that discovery raises on purpose.

::

    DiscoveryError
    ├── ConfigError          a setting, option or configuration file is wrong
    │   └── TrainingError    a training run cannot go on
    ├── SurveyError          a file or folder is no survey that can be read
    │   └── StampError       one stamp cannot be used (recorded, never fatal to a survey)
    ├── EncoderError         weights, a card or a convention do not fit
    │   └── EncoderMismatch  a prompt or release belongs to another encoder
    ├── ReleaseError         a release folder is missing, damaged or of an unknown version
    ├── QueryError           a prompt, filter, cone or column cannot be understood or found
    │   └── ObjectNotFound   a release has no object of that name, or none at that position
    ├── HuntError            a hunt file or an action on it is not valid
    └── LostWorker           a process or machine that worked for this one is gone

A message says what is wrong, which thing it is, and what to do. The command line prints it as one
line and exits with 1; the web app shows ``str(error)`` on a page, so that no message may hold a secret.
"""


class DiscoveryError(Exception):
    """Base of all expected errors."""


class ConfigError(DiscoveryError):
    """A setting, option or configuration file is wrong."""


class TrainingError(ConfigError):
    """A training run cannot go on, such as when its loss is not finite."""


class SurveyError(DiscoveryError):
    """A file or folder is no survey that can be read."""


class StampError(SurveyError):
    """One stamp cannot be used; the message is the reason that the report records."""


class EncoderError(DiscoveryError):
    """Weights, a card or an input convention do not fit."""


class EncoderMismatch(EncoderError):
    """A prompt or a release belongs to another encoder."""


class ReleaseError(DiscoveryError):
    """A release folder is missing, damaged or of an unknown version."""


class QueryError(DiscoveryError):
    """A prompt, filter, cone or column cannot be understood or found."""


class ObjectNotFound(QueryError):
    """A release has no object of that name, or none at that position."""


class HuntError(DiscoveryError):
    """A hunt file, or an action on it, is not valid."""


class LostWorker(DiscoveryError):
    """A process or machine that worked for this one is gone."""
