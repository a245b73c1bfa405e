"""The page of one object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from discovery.errors import DiscoveryError
from discovery.release.release import Release
from discovery.search.prompts import prompt_from_row
from discovery.search.similarity import search
from discovery.sky.places import sexagesimal
from discovery.stamps.imaging_surveys import SURVEYS
from web.layout.frame import PageFrame, frame_of
from web.layout.parts import Choice, NamedValue
from web.layout.problems import without_paths
from web.layout.text_format import figure, in_degrees, unit_of
from web.objects.overlay import Overlay, make_overlay
from web.search.form import is_truth
from web.stamps.cards import Card, object_address, stamp_cards
from web.stamps.pictures import LARGE_SIZE, Band, StampPicture, Stretch, View
from web.stamps.stamps import (
    check_row,
    crop_box_of,
    release_version,
)
from web.workspace.known_tables import KnownTables
from web.workspace.workspace import Workspace

NEIGHBOURS = 12
FLAG_WORDS = {
    "flag_star": "star",
    "flag_masked": "masked",
    "flag_partial": "partly observed",
    "flag_artefact": "artefact-like",
}


@dataclass(frozen=True, kw_only=True)
class ObjectPage:
    """One object."""

    frame: PageFrame
    release: str
    row: int
    object_id: str
    position: tuple[str, str] | None
    """Degrees and sexagesimal."""
    picture: str
    overlay: Overlay | None
    views: tuple[Choice, ...]
    bands: tuple[Choice, ...]
    stretches: tuple[Choice, ...]
    flags: tuple[str, ...]
    known: str
    facts: tuple[NamedValue, ...]
    truth_switch: Choice | None
    neighbours: tuple[Card, ...]
    links: tuple[Choice, ...]
    more_like: str
    stamp_problem: str = ""


@get("/releases/{name:str}/objects/{row:int}", sync_to_thread=True, include_in_schema=False)
def object_page(
    request: Request[Any, Any, Any],
    workspace: NamedDependency[Workspace],
    name: FromPath[str],
    row: FromPath[int],
    view: FromQuery[View] = "context",
    band: FromQuery[Band] = "rgb",
    stretch: FromQuery[Stretch] = "default",
    truth: FromQuery[bool] = False,
) -> Template:
    """Show one object: its stamp, its catalogue values, what looks like it, where else to look."""
    release = workspace.release(name)
    check_row(release, row)
    record = release.catalogue.rows([row]).to_pylist()[0]
    picture = StampPicture(
        release=name, version=release_version(release), row=row, view=view, size=LARGE_SIZE, band=band, stretch=stretch
    )
    overlay, problem = _overlay_or_problem(release, row, view)
    here = _Switches(object_address(name, row), {"view": view, "band": band, "stretch": stretch, "truth": str(int(truth))})
    page = ObjectPage(
        frame=frame_of(request, title=record["object_id"], section="search", release=name),
        release=name,
        row=row,
        object_id=record["object_id"],
        position=_position(record),
        picture=picture.address,
        overlay=overlay,
        views=here.choices("view", {"context": "Context", "crop": "Crop"}),
        bands=here.choices("band", {"rgb": "Colour", "g": "g", "r": "r", "z": "z"}),
        stretches=here.choices("stretch", {"default": "Normal", "deep": "Deep"}),
        flags=tuple(word for flag, word in FLAG_WORDS.items() if record[flag])
        + (("duplicate",) if record["primary_row"] != row else ()),
        facts=_facts(record, truth),
        truth_switch=_truth_switch(here, record, truth),
        neighbours=_neighbours(name, release, row, workspace.known),
        known=workspace.known.flag(name, release, int(record["primary_row"])),
        links=_links(record, release),
        more_like=f"/releases/{name}/search?{urlencode({'like': record['object_id']})}",
        stamp_problem=problem,
    )
    return Template("objects/object.html", context={"page": page})


@dataclass(frozen=True)
class _Switches:
    """Makes addresses of this page with one value changed."""

    address: str
    values: Mapping[str, str]

    def choices(self, which: str, labels: Mapping[str, str]) -> tuple[Choice, ...]:
        """Return one switch for each value of a parameter."""
        return tuple(
            Choice(label=label, href=self.with_value(which, value), chosen=self.values[which] == value)
            for value, label in labels.items()
        )

    def with_value(self, which: str, value: str) -> str:
        """Return the address of this page with one parameter changed."""
        return f"{self.address}?{urlencode({**self.values, which: value})}"


def _overlay_or_problem(release: Release, row: int, view: View) -> tuple[Overlay | None, str]:
    try:
        stamp = release.stamp(row)
    except DiscoveryError as error:
        return None, without_paths(str(error))
    return make_overlay(stamp, crop_box_of(release, row), view, release.manifest.survey_of(row).format), ""


def _position(record: Mapping[str, Any]) -> tuple[str, str] | None:
    if record["ra"] is None or record["dec"] is None:
        return None
    return in_degrees(record["ra"], record["dec"]), sexagesimal(record["ra"], record["dec"])


def _facts(record: Mapping[str, Any], truth: bool) -> tuple[NamedValue, ...]:
    return tuple(
        NamedValue(name=name, value=figure(value), unit=unit_of(name))
        for name, value in record.items()
        if truth or not is_truth(name)
    )


def _truth_switch(here: _Switches, record: Mapping[str, Any], truth: bool) -> Choice | None:
    if not any(is_truth(name) for name in record):
        return None
    label = "hide truth" if truth else "show truth"
    return Choice(label=label, href=here.with_value("truth", str(int(not truth))), chosen=truth)


def _neighbours(name: str, release: Release, row: int, known: KnownTables) -> tuple[Card, ...]:
    found = search(release, like=[prompt_from_row(release, row)], k=NEIGHBOURS)
    return stamp_cards(name, release, found.table, known)


def _links(record: Mapping[str, Any], release: Release) -> tuple[Choice, ...]:
    ra, dec = record["ra"], record["dec"]
    if ra is None or dec is None:
        return ()
    style = SURVEYS.get(str(release.manifest.survey_of(record["row"]).options.get("survey") or "legacy"))
    layer = (style.viewer_layer if style else None) or "ls-dr10"
    viewer = urlencode({"ra": f"{ra:.6f}", "dec": f"{dec:.6f}", "layer": layer, "zoom": 16, "mark": f"{ra:.6f},{dec:.6f}"})
    simbad = urlencode({"Coord": f"{ra:.6f} {dec:+.6f}", "CooFrame": "ICRS", "Radius": 10, "Radius.unit": "arcsec"})
    ned = urlencode(
        {
            "search_type": "Near Position Search",
            "in_csys": "Equatorial",
            "in_equinox": "J2000",
            "ra": f"{ra:.6f}d",
            "dec": f"{dec:+.6f}d",
            "radius": 0.2,
        }
    )
    addresses = {
        "Legacy viewer": f"https://www.legacysurvey.org/viewer?{viewer}",
        "SIMBAD": f"https://simbad.cds.unistra.fr/simbad/sim-coo?{simbad}",
        "NED": f"https://ned.ipac.caltech.edu/conesearch?{ned}",
    }
    return tuple(Choice(label=label, href=href, chosen=False) for label, href in addresses.items())
