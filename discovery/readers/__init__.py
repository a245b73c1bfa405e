"""Readers of survey files: `open_survey` for a survey, `read_stamp_file` for one stamp used as a prompt."""

from discovery.readers.formats import open_survey
from discovery.readers.prompt_stamp import read_stamp_bytes, read_stamp_file

__all__ = ["open_survey", "read_stamp_bytes", "read_stamp_file"]
