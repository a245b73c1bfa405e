"""The command line: names every verb as a string and imports it when it is used."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from discovery import __version__
from discovery.errors import DiscoveryError

VERBS = {
    "demo": ("discovery.demo:demo", "Simulate a small survey, index it and serve it."),
    "simulate-survey": ("discovery.simulation.command:simulate_survey", "Write a simulated survey with known classes."),
    "index": ("index.cli:app", "Make a release from survey files: embed, index, catalogue."),
    "search": ("discovery.search.search_command:search", "Find objects like some examples."),
    "catalogue": ("discovery.search.catalogue_command:catalogue", "List catalogue rows of a release."),
    "hunt": ("discovery.hunts.commands.hunt:app", "Hunt for rare objects, round by round."),
    "serve": ("web.cli:app", "Serve releases and hunts to a browser."),
    "restore": ("discovery.restoration.commands:restore", "Sharpen and denoise a FITS image."),
    "reconstruct": ("discovery.restoration.commands:reconstruct", "Mend masked parts of a FITS image."),
    "outliers": ("discovery.search.outliers_command:outliers", "Rank a release by how unusual its galaxies are."),
    "train": ("training.cli:app", "Make an encoder: pretrain, finetune, evaluate, export."),
}

app = App(
    name="discovery",
    help="Find more galaxies like a few examples, in any survey.",
    version=__version__,
    help_format="plaintext",
    result_action="return_value",
)
for _name, (_target, _help) in VERBS.items():
    app.command(_target, name=_name, help=_help)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; an expected error is one line on standard error and exit status 1."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        app(sys.argv[1:] if arguments is None else list(arguments), exit_on_error=False, print_error=False)
    except (DiscoveryError, CycloptsError) as error:
        print(f"discovery: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("discovery: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
