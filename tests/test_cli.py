"""The command line as a whole: quick help, and errors of one line."""

import subprocess
import sys

import pytest

from discovery.cli import VERBS, main

HEAVY = ("torch", "faiss", "astropy", "duckdb", "cv2", "litestar")


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys, discovery, discovery.cli\n"
        "assert discovery.cli.main(['--help']) == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(verb in done.stdout for verb in VERBS)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", [*VERBS, "hunt new", "hunt next", "hunt label", "hunt show", "hunt export", "hunt list"])
def test_every_verb_has_help(verb, capsys):
    assert main([*verb.split(), "--help"]) == 0
    assert "Usage: discovery " + verb in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["serach"], "serach"),
        (["index", "no-such-survey", "--name", "x", "--out", "OUT"], "no-such-survey"),
        (["search", "no-such-release", "--like", "a"], "no-such-release"),
        (["hunt", "show", "no-such-hunt"], "no-such-hunt"),
        (["simulate-survey", "OUT", "--galaxies", "3"], "3"),
        (["train", "pretrain", "debug", "--out", "OUT"], "survey"),
        (["train", "evaluate", "knn", "no-such-survey@label"], "no-such-survey"),
        (["restore", "no-such.fits", "-o", "OUT.fits"], "no-such.fits"),
        (["outliers", "no-such-release"], "no-such-release"),
        (["hunt", "simulate", "no-such-release", "--truth", "truth_class=merger"], "no-such-release"),
        (["hunt", "bench", "no-such-file.toml", "--out", "OUT"], "no-such-file"),
        (["demo", "--galaxies", "many"], "many"),
        (["search"], "release"),
    ],
)
def test_errors_are_one_line_and_exit_one(arguments, match, capsys, tmp_path):
    arguments = [str(tmp_path / "out") if word == "OUT" else word for word in arguments]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("discovery: error: ")]
    assert out == "" and len(lines) == 1 and match.lower() in lines[0].lower()
