"""Options that the verbs of ``discovery train`` share."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document instead of text; progress goes to standard error.")]
"""``json_output: Json = False``."""
