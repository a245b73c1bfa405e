"""The stamp files of the human-in-the-loop paper: ``image`` (N, 3, H, W), ``ra``, ``dec``; 0.262 arcsec."""

from __future__ import annotations

from discovery.readers.hdf5.ssl_legacysurvey import SslLegacySurvey


class StampsHdf5(SslLegacySurvey):
    """Any number of files with ``image``, ``ra`` and ``dec``."""

    format: str = "stamps-hdf5"
    images_name: str = "image"
