"""What an export states of itself, read back from every format by the readers that people use."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from astropy.io import fits
from astropy.io.votable import parse
from astropy.table import Table

from discovery.errors import HuntError
from discovery.hunts import Hunt, LabelRequest, new_hunt
from discovery.hunts.audits.audit import draw_audit, report
from discovery.search.known_files import read_known
from discovery.search.known_objects import KnownRows, find_known

TOP = 30


@pytest.fixture(scope="module")
def hunt(tmp_path_factory: pytest.TempPathFactory, release: Any, prompts: Callable) -> Hunt:
    """Two rounds by two strategies, two people, a named negative, notes, and a judged audit."""
    path = tmp_path_factory.mktemp("told") / "rare-Ünïque.hunt"
    made = new_hunt(
        path, release, positives=prompts(0, 1), negatives=prompts(90), page_size=10, strategy="linear", who="ann",
        where="mag_r < 23", include_flagged=True, consensus="majority",
    )  # fmt: skip
    for person in ("ann", "bob"):
        label(made, made.next_round(person).rows.tolist(), person)
        made.set_strategy("alpha:0.9", "ann")
    draw_audit(made, 20, who="ann")
    while made.state().waiting:
        label(made, made.next_round("ann").rows.tolist(), "ann")
    made.note(5, "two cores; a tail to the north", "bob")
    made.note(5, "=SUM(A1)", "ann")
    return made


def label(hunt: Hunt, rows: list[int], who: str) -> None:
    """Label by the truth."""
    hunt.label_many(
        [
            LabelRequest(row=row, verdict="positive", reason="clear") if row < 40
            else LabelRequest(row=row, verdict="negative", negative_class="ring" if row % 2 else None)
            for row in rows
        ],
        who=who,
    )  # fmt: skip


@pytest.fixture
def known(hunt: Hunt, tmp_path: Path) -> KnownRows:
    """Row 3, a target, and row 200 are known."""
    places = hunt.release.catalogue.rows([3, 200], ["ra", "dec"]).to_pylist()
    lines = [f"K {n},{place['ra'] + 1e-4},{place['dec']}" for n, place in enumerate(places)]
    (tmp_path / "lenses.csv").write_text("\n".join(["designation,ra,dec", *lines]) + "\n")
    return find_known(hunt.release, [read_known(tmp_path / "lenses.csv")])


def told(path: Path) -> dict[str, Any]:
    """What a file says of itself, by the format's own reader; JSON where a value is JSON."""
    if path.suffix == ".csv":
        said = json.loads(path.with_suffix(".provenance.json").read_text(encoding="utf-8"))
    elif path.suffix == ".parquet":
        said = {key.decode(): value.decode() for key, value in pyarrow.parquet.read_schema(path).metadata.items()}
    elif path.suffix == ".vot":
        said = {info.name: info.value for info in parse(path).resources[0].infos}
    else:
        header = fits.getheader(path, 1)
        said = {key: header[key] for key in header if key not in ("COMMENT", "HISTORY", "")}
    return {key: parsed(value) for key, value in said.items()}


def parsed(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


KEYWORDS = {
    "release": "RELEASE", "encoder_checksum": "ENCODER", "hunt": "HUNT", "labels": "NLABEL", "labels_positive": "NPOS",
    "labelled_by": "LABELBY", "negative_classes": "NEGCLASS", "rounds": "NROUNDS", "strategy": "STRATEGY",
    "strategies": "STRATS", "consensus": "CONSENS", "model": "MODEL", "scores_sha256": "SCORESUM", "filter": "FILTER",
    "audit": "AUDIT", "audit_targets": "AUDTARG", "audit_completeness": "AUDCOMPL", "audit_curve": "AUDCURVE",
    "known_files": "KNOWN", "known_radius_arcsec": "KNOWNRAD", "selection": "SELECT", "software": "SOFTWARE", "date": "DATE",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "fits", "vot", "parquet"])
def test_every_format_states_where_it_comes_from(hunt: Hunt, known: KnownRows, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    hunt.export(path, top=TOP, known=known)
    said = told(path)
    if kind == "fits":
        said = {name: said[key] for name, key in KEYWORDS.items()}
        assert said.pop("hunt").encode().decode("unicode_escape") == "rare-Ünïque"
    else:
        assert said.pop("hunt") == "rare-Ünïque"
    counts, audited = hunt.counts(), report(hunt)
    assert said["release"] == "small" and said["encoder_checksum"] == "a" * 64
    assert (said["labels"], said["labels_positive"], said["rounds"]) == (counts.total, counts.positive, len(hunt.rounds()))
    assert sum(said["labelled_by"].values()) == counts.total and set(said["labelled_by"]) == {"ann", "bob"}
    assert said["negative_classes"] == hunt.negative_classes() and said["consensus"] == "majority"
    assert said["strategy"] == "alpha:0.9" and said["strategies"][0]["strategy"] == "linear"
    assert [one["rounds"] for one in said["strategies"]] == [[1, 1], [2, len(hunt.rounds())]]
    assert said["model"] == hunt.ranking().model and said["scores_sha256"] == hunt.ranking().digest
    assert said["filter"] == "each object once; mag_r < 23" and said["selection"]["top"] == TOP
    for name, interval in (("audit_targets", audited.targets), ("audit_completeness", audited.completeness)):
        assert said[name] == pytest.approx({"estimate": interval.estimate, "low": interval.low, "high": interval.high})
    assert said["audit"] == "20 of 20 drawn stamps" and len(said["audit_curve"]) == len(audited.curve)
    assert {"low", "high"} <= set(said["audit_curve"][0]["purity"])
    assert said["known_files"] == {"lenses.csv": known.sha256[0]} and said["known_radius_arcsec"] == 2.0
    assert said["software"]["numpy"] == np.__version__ and said["date"].startswith("20")


def test_a_csv_stays_plain(hunt: Hunt, tmp_path: Path) -> None:
    table = hunt.export(tmp_path / "x.csv", top=TOP)
    names = table["object_id"].to_pylist()
    assert Table.read(tmp_path / "x.csv", format="ascii.csv")["object_id"].tolist() == names
    with (tmp_path / "x.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["object_id"] for line in lines] == names
    assert "audit_completeness" in told(tmp_path / "x.csv") and "known_files" not in told(tmp_path / "x.csv")


def test_exports_carry_what_people_said(hunt: Hunt, known: KnownRows) -> None:
    from discovery.hunts.export import export_hunt

    lines = {line["row"]: line for line in export_hunt(hunt, None, top=10**6, known=known).to_pylist()}
    states, shown = hunt.labels(), {}
    for played in hunt.rounds():
        shown |= dict(zip(played.rows.tolist(), played.reasons, strict=True))
    for row, line in lines.items():
        state = states.get(row)
        if state is not None:
            said = (state.verdict, state.negative_class, state.who, state.when, state.reason)
            assert (line["label"], line["negative_class"], line["who"], line["when"], line["reason"]) == said
        assert line["shown_as"] == shown.get(row)
    first, second = hunt.notes(5)
    assert lines[5]["notes"] == f"bob {first.when[:10]}: {first.text} | ann {second.when[:10]}: {second.text}"
    assert {row for row, line in lines.items() if line["known_as"] is not None} == {3, 200}
    assert (lines[200]["known_as"], lines[200]["known_file"]) == ("K 1", "lenses.csv")
    assert lines[200]["known_sep_arcsec"] == pytest.approx(0.36, abs=0.01)


def test_new_only_leaves_the_known_out(hunt: Hunt, known: KnownRows, tmp_path: Path) -> None:
    from discovery.hunts.export import export_hunt

    every = export_hunt(hunt, None, top=10**6, known=known)
    new = export_hunt(hunt, tmp_path / "new.vot", top=10**6, known=known, new_only=True)
    assert set(every["row"].to_pylist()) - set(new["row"].to_pylist()) == {3, 200}
    ranks = dict(zip(every["row"].to_pylist(), every["rank"].to_pylist(), strict=True))
    assert all(ranks[row] == rank for row, rank in zip(new["row"].to_pylist(), new["rank"].to_pylist(), strict=True))
    assert told(tmp_path / "new.vot")["selection"]["new_only"] is True
    with pytest.raises(HuntError, match="known ones"):
        export_hunt(hunt, None, new_only=True)


@pytest.mark.slow
def test_known_objects_are_named_on_the_contact_sheet(hunt: Hunt, known: KnownRows, tmp_path: Path) -> None:
    hunt.export(tmp_path / "a.csv", stamps=tmp_path / "plain")
    hunt.export(tmp_path / "a.csv", stamps=tmp_path / "flagged", known=known)
    sheets = [(tmp_path / name / "contact_sheet.png").read_bytes() for name in ("plain", "flagged")]
    assert 3 in hunt.labels() and sheets[0] != sheets[1]


def test_without_an_audit_nothing_is_said_of_one(release: Any, prompts: Callable, tmp_path: Path) -> None:
    made = new_hunt(tmp_path / "n.hunt", release, positives=prompts(0), who="ann")
    made.export(tmp_path / "n.fits", top=3)
    assert not [key for key in told(tmp_path / "n.fits") if key.startswith("AUD")]
    assert told(tmp_path / "n.fits")["NROUNDS"] == 0 and told(tmp_path / "n.fits")["LABELBY"] == {}
