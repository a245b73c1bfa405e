"""Make the old files that test_old_files.py opens: run once, at commit 9b510ca, before the reorganisation.

    git checkout 9b510ca -- . && python PATH/make_data.py PATH/data

The names used here are those of that commit and may be gone since; the files are the record, and this script says how they came about.
``old_files.tar.xz`` holds the folder ``old`` with a survey of two years, its releases ``dr9`` (plain) and ``dr10`` (grown from it by
``--add``), the hunts and a table of known objects; ``manifest-1.json`` is the manifest of ``dr9`` as version 1 wrote it.
``expected.json`` holds what the commands of that commit answered on them, ``expected_next.json`` what came of playing on.
"""

# ruff: noqa: I001 -- names that moved are no files any more
from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from discovery.cli import main
from discovery.encoder import Encoder, make_encoder
from discovery.lvm import LVM, LVMConfig
from discovery.preprocess import CropConfig
from discovery.prompts import prompt_from_stamp, resolve_prompt
from discovery.release import open_release
from discovery.search import search

COMMIT = "9b510ca"
SIDE, COUNT, KNOWN_AGAIN, NEW, DAMAGED = 20, 110, 20, 30, 77
KINDS = ("smooth", "ring", "pair", "edge")
PASSING = ("path", "release_path", "relative_path", "seconds")
COLUMNS = "row,object_id,ra,dec,mag_r,truth_class"

SEARCHES: tuple[tuple[str, ...], ...] = (
    ("search", "releases/dr9", "--like", "3", "-k", "8", "--clean", "--json"),
    ("search", "releases/dr9", "--like", "3", "--like", "7", "--unlike", "4", "-k", "6", "--clean", "--json"),
    ("search", "releases/dr9", "--like", "11", "-k", "5", "--where", "mag_r < 20.5 and truth_class = 'ring'", "--clean", "--json"),
    ("search", "releases/dr9", "--like", "11", "-k", "5", "--engine", "exact", "--min-similarity", "0.9", "--columns", "mag_r,truth_class", "--clean", "--json"),
    ("search", "releases/dr9", "--like", "150.34581,2.34089", "--cone", "150.34581,2.34089,2400", "-k", "5", "--clean", "--json"),
    ("search", "releases/dr9", "--like", "10h02m09.284s +02d30m45.89s", "-k", "3", "--clean", "--json"),
    ("search", "releases/dr9", "--like-table", "known.csv", "-k", "5", "--clean", "--json"),
    ("search", "releases/dr10", "--like", "3@dr10", "--like", "120", "-k", "9", "--clean", "--json"),
    ("catalogue", "releases/dr9", "--where", "truth_class = 'pair' and dec > 2", "--columns", COLUMNS, "--clean", "--json"),
    ("catalogue", "releases/dr10", "--where", "row >= 108", "--columns", COLUMNS, "-k", "6", "--clean", "--json"),
    ("catalogue", "releases/dr10", "--clean", "-k", "5", "--json"),
    ("outliers", "releases/dr9", "-k", "6", "--no-flagged", "--json"),
    ("index", "drift", "releases/dr9", "releases/dr10", "--json"),
    ("index", "repair", "releases/dr10", "--json"),
    ("hunt", "list", "hunts", "--json"),
    ("hunt", "apply", "hunts/rings.hunt", "releases/dr10", "--top", "8", "--out", "exports/next.csv", "--json"),
)
HUNTS = ("mergers", "rings", "pool", "early", "carried")
ABOUT_A_HUNT: tuple[tuple[str, ...], ...] = (
    ("hunt", "show", "hunts/NAME.hunt", "--log", "--json"),
    ("hunt", "show", "hunts/NAME.hunt", "--known", "known.csv", "--json"),
    ("hunt", "history", "hunts/NAME.hunt", "--json"),
    ("hunt", "disagreements", "hunts/NAME.hunt", "--json"),
    ("hunt", "replay", "hunts/NAME.hunt", "--json"),
    ("hunt", "audit", "hunts/NAME.hunt", "--json"),
    ("hunt", "export", "hunts/NAME.hunt", "exports/NAME.csv", "--top", "10", "--known", "known.csv", "--json"),
)
PLAYING_ON: tuple[tuple[str, ...], ...] = (
    ("hunt", "next", "hunts/NAME.hunt", "--who", "cat", "--page-size", "5", "--json"),
    ("hunt", "label", "hunts/NAME.hunt", "--rest", "negative", "--negative-class", "late", "--who", "cat", "--json"),
    ("hunt", "label", "hunts/NAME.hunt", "--undo", "--who", "cat", "--json"),
    ("hunt", "next", "hunts/NAME.hunt", "--who", "dan", "--known", "known.csv", "--new-only", "--page-size", "5", "--json"),
    ("hunt", "replay", "hunts/NAME.hunt", "--json"),
    ("hunt", "audit", "hunts/NAME.hunt", "--draw", "12", "--seed", "5", "--who", "cat", "--json"),
    ("hunt", "move", "hunts/NAME.hunt", "releases/dr10", "hunts/NAME-on.hunt", "--who", "cat", "--json"),
    ("hunt", "next", "hunts/NAME-on.hunt", "--who", "cat", "--json"),
    ("hunt", "show", "hunts/NAME.hunt", "--json"),
)


def make(data: Path) -> None:
    """Write all files into a folder."""
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        shutil.rmtree("old", ignore_errors=True)
        Path("old").mkdir()
        os.chdir("old")
        make_releases()
        make_hunts()
        os.chdir("..")
        with tarfile.open(data / "old_files.tar.xz", "w:xz", preset=9) as archive:
            archive.add("old", filter=nobody)
        manifest = json.loads(Path("old/releases/dr9/manifest.json").read_text())
        (data / "manifest-1.json").write_text(json.dumps(as_version_1(manifest), indent=1) + "\n")
        os.chdir("old")
        Path("exports").mkdir()
        head = {"commit": COMMIT, "versions": run("hunt", "replay", "hunts/rings.hunt", "--json")["versions"], "facts": facts()}
        write(data / "expected.json", head, commands())
        write(data / "expected_next.json", {"commit": COMMIT}, playing_on())
        os.chdir("/")


def write(path: Path, head: dict[str, Any], given: list[tuple[str, ...]]) -> None:
    """Run commands and write what they answered, one to a line."""
    answers = ",\n".join(json.dumps(answered(command), ensure_ascii=False) for command in given)
    path.write_text(f'{json.dumps(head)[:-1]},\n"answers": [\n{answers}\n]}}\n', "utf-8")


def commands() -> list[tuple[str, ...]]:
    """Return the commands that look at releases and hunts and change nothing."""
    return [*SEARCHES, *(named(command, hunt) for hunt in HUNTS for command in ABOUT_A_HUNT)]


def playing_on() -> list[tuple[str, ...]]:
    """Return the commands that go on with every hunt, in their order."""
    return [named(command, hunt) for hunt in HUNTS for command in PLAYING_ON]


def named(command: tuple[str, ...], hunt: str) -> tuple[str, ...]:
    """Put a hunt's name into a command."""
    return tuple(part.replace("NAME", hunt) for part in command)


def run(*command: str) -> Any:
    """Run a command of discovery in this process; its JSON document, if it prints one."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = main(command)
    if status != 0:
        raise SystemExit(f"{' '.join(command)} ended with {status}")
    return json.loads(printed.getvalue()) if "--json" in command else None


def answered(command: tuple[str, ...]) -> dict[str, Any]:
    """Run a command and return it with its status and its JSON document."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = main(command)
    document = lasting(json.loads(printed.getvalue())) if printed.getvalue() else None
    return {"command": list(command), "status": status, "answer": document}


def lasting(value: Any) -> Any:
    """Leave out what says where the files lay and how long something took."""
    if isinstance(value, list):
        return [lasting(one) for one in value]
    if isinstance(value, dict):
        return {name: lasting(one) for name, one in value.items() if name not in PASSING}
    return value


def nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who made a file and when."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def as_version_1(manifest: dict[str, Any]) -> dict[str, Any]:
    """Take away what version 2 added: growth, and the name of the index file."""
    old = {**manifest, "version": 1}
    for name in ("added", "grown_from"):
        old.pop(name, None)
    old["survey"] = {key: value for key, value in manifest["survey"].items() if key not in ("first_row", "suffix")}
    old["spaces"] = [
        {**space, "index": {key: value for key, value in space["index"].items() if key != "file"}} for space in manifest["spaces"]
    ]
    return old


def facts() -> dict[str, Any]:
    """Return what each release says of itself."""
    found = {}
    for name in ("dr9", "dr10"):
        release = open_release(f"releases/{name}")
        hits = search(release, like=[resolve_prompt(release, "3"), resolve_prompt(release, "150.34581,2.34089")], k=8, flagged=True)
        stamps = [release.stamp(row) for row in (0, 50, release.count - 1)]
        found[name] = {
            "name": release.name,
            "count": release.count,
            "dimension": release.dimension,
            "encoder_checksum": release.encoder_checksum,
            "primary": int(release.primary.sum()),
            "clean": int(release.clean.sum()),
            "nearest_flagged_too": {"object_ids": hits.table["object_id"].to_pylist(), "similarity": [float(one) for one in hits.similarity]},
            "columns": sorted(release.catalogue.select("row = 0").column_names),
            "embeddings": [[float(value) for value in vector] for vector in release.take(np.array([0, 50, release.count - 1]))],
            "stamps": [{"object_id": one.object_id, "sum": float(one.pixels.sum(dtype=float))} for one in stamps],
        }
    return found


# -- the survey and its releases


def make_releases() -> None:
    """Write a survey of two years; index the first, and add the second to it."""
    encoder = tiny_encoder()
    encoder.save("encoder", half=False)
    write_survey(Path("survey/dr9.h5"), np.arange(COUNT))
    write_survey(Path("survey/dr10.h5"), np.arange(COUNT - KNOWN_AGAIN, COUNT + NEW), noise_seed=1)
    run("index", "survey/dr9.h5", "--name", "dr9", "--encoder", "encoder", "--workers", "0")
    run("index", "survey/dr10.h5", "--name", "dr10", "--add", "releases/dr9", "--workers", "0")
    shutil.rmtree("encoder")
    sky = open_release("releases/dr9").catalogue.select("row in (5, 17, 40, 66)", columns=["ra", "dec"]).to_pylist()
    lines = [f"KNOWN {number},{one['ra']:.7f},{one['dec']:.7f}\n" for number, one in enumerate(sky)]
    Path("known.csv").write_text("name,ra,dec\n" + "".join(lines))


def tiny_encoder() -> Encoder:
    """Return an untrained LVM of a few thousand parameters."""
    import torch

    torch.manual_seed(7)
    config = LVMConfig(embed_dim=4, depths=(1, 1), heads=(2, 2), window=4, image_size=32, attention_scale=None)
    return make_encoder(
        LVM(config),
        name="tiny",
        architecture="lvm",
        config=dataclasses.asdict(config),
        convention="dr2_rgb",
        crop=CropConfig(),
        input_size=32,
        device="cpu",
    )


def write_survey(path: Path, numbers: np.ndarray, noise_seed: int = 0) -> None:
    """Write stamps in the ssl-legacysurvey layout; ids of new objects of the second year begin with 0 again for some."""
    path.parent.mkdir(exist_ok=True)
    drawn = [draw(int(number), noise_seed) for number in numbers]
    with h5py.File(path, "w") as file:
        images = np.stack([one["image"] for one in drawn]).astype(np.float32)
        images[numbers == DAMAGED, 1, 10, 10] = np.nan
        file.create_dataset("images", data=images, chunks=(len(drawn), 3, SIDE, SIDE), compression="gzip", shuffle=True)
        file["inds"] = np.array([one["number"] % COUNT if one["number"] < COUNT + 10 else one["number"] for one in drawn])
        for name in ("ra", "dec"):
            file[name] = np.array([one[name] for one in drawn])
        file["flux"] = images.sum(axis=(2, 3))
        file["psfsize"] = np.array([[1.3, 1.2, 1.1]] * len(drawn), np.float32) * (1 + 0.1 * noise_seed)
        file["ebv"] = np.array([one["ebv"] for one in drawn], np.float32)
        file["maskbits"] = np.array([one["maskbits"] for one in drawn], np.int32)
        file["source_type"] = np.array([one["source_type"] for one in drawn])
        file["z_spec"] = np.array([one["z_spec"] for one in drawn], np.float32)
        file["truth_class"] = np.array([KINDS[one["number"] % len(KINDS)].encode() for one in drawn])


def draw(number: int, noise_seed: int) -> dict[str, Any]:
    """Draw one object: its picture, rounded so that it packs well, and its table row. Object 108 is 30 once more."""
    rng = np.random.default_rng(number)
    kind = KINDS[number % len(KINDS)]
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
    size, ratio = rng.uniform(1.5, 3.5), rng.uniform(0.6, 1) if kind != "edge" else 0.25
    radius = np.hypot(x, y / ratio)
    light = {
        "smooth": np.exp(-radius / size),
        "edge": np.exp(-radius / size),
        "ring": np.exp(-(((radius - 5) / 1.5) ** 2)) + 0.5 * np.exp(-radius),
        "pair": np.exp(-np.hypot(x - 3, y) / size) + np.exp(-np.hypot(x + 3, y - 1) / size),
    }[kind]
    noise = np.random.default_rng((number, noise_seed)).normal(0, 0.003, (3, SIDE, SIDE))
    image = light * rng.uniform(0.05, 0.4, (3, 1, 1)) + noise
    ra, dec = rng.uniform(150, 151.5), rng.uniform(1, 3)
    if number == COUNT - 2:
        twin = draw(30, noise_seed)
        ra, dec = twin["ra"], twin["dec"] + 0.4 / 3600
    return {
        "number": number,
        "image": (np.round(image * 256) + 0.5) / 256,
        "ra": ra,
        "dec": dec,
        "ebv": np.round(rng.uniform(0, 0.2), 3),
        "maskbits": int(rng.choice([0, 0, 0, 1 << 1])),
        "source_type": bytes(rng.choice([b"PSF", b"SER", b"DEV", b"EXP"])),
        "z_spec": np.round(rng.uniform(0, 0.3), 4) if number % 3 else -99.0,
    }


# -- the hunts


def make_hunts() -> None:
    """Play the hunts by the commands of that time."""
    Path("hunts").mkdir()
    mergers("hunts/mergers.hunt")
    rings("hunts/rings.hunt")
    pool("hunts/pool.hunt")
    early("hunts/early.hunt")
    run("hunt", "move", "hunts/early.hunt", "releases/dr10", "hunts/carried.hunt", "--who", "ann")
    play("hunts/carried.hunt", "bob", "pair", "--page-size", "7")


def play(hunt: str, who: str, target: str, *options: str, skip: tuple[str, ...] = ()) -> list[str]:
    """Ask for a page and label it by the truth; negatives by their kind's name."""
    page = run("hunt", "next", hunt, "--who", who, "--json", *options)
    names = [one["object_id"] for one in page["candidates"]]
    release = open_release(run("hunt", "show", hunt, "--json")["hunt"]["release_path"])
    truth = dict(zip(*(release.catalogue.select(None, columns=["object_id", "truth_class"])[name].to_pylist() for name in ("object_id", "truth_class")), strict=True))
    for name in names:
        if name in skip:
            continue
        if truth[name] == target:
            run("hunt", "label", hunt, "--positive", name, "--who", who)
        else:
            run("hunt", "label", hunt, "--negative", name, "--negative-class", truth[name], "--who", who)
    return names


def mergers(hunt: str) -> None:
    """Everything that a hunt can hold: filter, two people, consensus, undo, notes, known objects, audits, other strategies."""
    run(
        "hunt", "new", hunt, "releases/dr9", "--like", "2", "--like", "6", "--unlike", "8", "--page-size", "6", "--where", "mag_r < 22",
        "--no-flagged", "--consensus", "majority", "--stopper", "dry:3", "--seed", "4", "--who", "ann",
    )  # fmt: skip
    first = play(hunt, "ann", "pair")
    run("hunt", "label", hunt, "--negative", first[0], "--who", "bob", "--reason", "two nuclei, one galaxy")
    run("hunt", "label", hunt, "--unsure", first[1], "--who", "bob")
    run("hunt", "label", hunt, "--undo", "--who", "bob")
    run("hunt", "label", hunt, "--positive", first[1], "--who", "cat")
    run("hunt", "label", hunt, "--clear", first[2], "--who", "ann")
    run("hunt", "note", hunt, first[0], "tidal tail, ask for a spectrum", "--who", "bob")
    run("hunt", "note", hunt, "50", "Größe unsicher", "--who", "ann")
    run("hunt", "audit", hunt, "--draw", "10", "--seed", "9", "--who", "ann")
    second = play(hunt, "bob", "pair", "--known", "known.csv", "--new-only")
    run("hunt", "label", hunt, "--skipped", second[-1], "--who", "ann")
    play(hunt, "ann", "pair", "--strategy", "linear+mixed", "--stopper", "hypergeometric:0.9")
    run("hunt", "label", hunt, "--undo", "--event", "3", "--who", "cat")
    page = run("hunt", "next", hunt, "--who", "cat", "--strategy", "auto", "--consensus", "arbiter:ann", "--json")
    run("hunt", "label", hunt, "--positive", page["candidates"][0]["object_id"], "--who", "cat")


def rings(hunt: str) -> None:
    """The published rule, with the MLP, and a known object labelled."""
    run("hunt", "new", hunt, "releases/dr9", "--like", "1", "--like", "5", "--like", "9", "--strategy", "alpha:0.5", "--page-size", "6", "--who", "ann")
    play(hunt, "ann", "ring")
    play(hunt, "bob", "ring", "--known", "known.csv")
    play(hunt, "ann", "ring", "--strategy", "alpha:0.9")


def pool(hunt: str) -> None:
    """Candidates from the index."""
    run("hunt", "new", hunt, "releases/dr9", "--like", "3", "--like", "7", "--strategy", "auto@pool:30", "--page-size", "5", "--who", "ann")
    for who in ("ann", "bob", "ann"):
        play(hunt, who, "edge")


def early(hunt: str) -> None:
    """To be carried to the grown release: an example from a stamp of its own, an audit on the old release."""
    from discovery.hunts import new_hunt
    from discovery.prompts import prompt_from_row

    release = open_release("releases/dr9")
    prompts = [prompt_from_row(release, 10), prompt_from_stamp(release, release.stamp(14), "mine.fits")]
    new_hunt(hunt, release, positives=prompts, page_size=6, alpha=0.6, where="z_spec is null or z_spec < 0.28", who="ann")
    play(hunt, "ann", "pair")
    play(hunt, "bob", "pair", "--alpha", "0.7")
    run("hunt", "audit", hunt, "--draw", "10", "--seed", "3", "--who", "ann")
    play(hunt, "ann", "pair", "--strategy", "gp+thompson")


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve())
