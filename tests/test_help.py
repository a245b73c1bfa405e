"""Help of every verb, and a wrong path, answer without the heavy libraries."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm", "faiss", "sklearn", "galsim", "ray", "matplotlib")

WALK = """
import contextlib, io, json, sys
import discovery.cli

def walk(app, words):
    yield words
    for name in app:
        if not name.startswith("-"):
            yield from walk(app[name], [*words, name])

def answer(words):
    out, before = io.StringIO(), set(sys.modules)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = discovery.cli.main(words)
    return {"words": words, "code": code, "text": out.getvalue(), "heavy": [name for name in HEAVY if name in set(sys.modules) - before]}

def every_help():
    for words in list(walk(discovery.cli.app, [])):
        yield answer([*words, "--help"])
"""


def answers(code: str) -> list[dict]:
    program = f"HEAVY = {HEAVY!r}\n{WALK}\nprint(json.dumps(list({code})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_help_of_every_verb_imports_nothing_heavy():
    found = answers("every_help()")
    assert len(found) > 40
    for one in found:
        assert one["code"] == 0, one
        assert f"Usage: {' '.join(['discovery', *one['words'][:-1]])}" in one["text"]
        assert one["heavy"] == [], one["words"]


WRONG = [
    "index NONE --name x",
    "index build NONE",
    "index repair NONE",
    "index drift NONE NONE",
    "search NONE --like a",
    "catalogue NONE",
    "outliers NONE",
    "hunt show NONE",
    "hunt next NONE",
    "hunt new NEW.hunt NONE --like a",
    "hunt bench NONE.toml --out NEW",
    "hunt simulate NONE --truth a=b",
    "restore NONE.fits -o NEW.fits",
    "reconstruct NONE.fits -o NEW.fits",
    "serve NONE --config NONE.toml",
    "train pretrain debug NONE --out NEW",
    "train shards NONE NEW",
    "train multitask NONE@label --out NEW",
    "train finetune classes NONE@label --out NEW",
    "train finetune parameters NONE --target mag_r --out NEW",
    "train finetune detection NONE --out NEW",
    "train evaluate knn NONE@label",
    "train evaluate few-shot NONE@label",
    "train evaluate all NONE@label",
    "train evaluate from-examples NONE@grade>=2",
    "train evaluate patches NONE",
]


@pytest.fixture(scope="module")
def wrong_paths(tmp_path_factory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("wrong")
    words = [[part.replace("NONE", str(folder / "none")).replace("NEW", str(folder / "new")) for part in line.split()] for line in WRONG]
    return dict(zip(WRONG, answers(f"[answer(words) for words in {words!r}]"), strict=True))


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_path_is_found_before_anything_heavy_is_imported(wrong_paths, line):
    answer = wrong_paths[line]
    assert answer["code"] == 1 and answer["text"].startswith("discovery: error: ")
    assert "none" in answer["text"]
    assert answer["heavy"] == []
