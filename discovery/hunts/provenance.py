"""What an export states of itself, so that the selection can be published and repeated."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from discovery import __version__
from discovery.hunts.audits.audit import report
from discovery.hunts.log.store import now
from discovery.hunts.models.ranking import Ranking
from discovery.hunts.rounds.play import present_versions
from discovery.storage.provenance import git_commit
from discovery.tables.writer import Fact

if TYPE_CHECKING:
    from discovery.hunts.bound_hunt import BoundHunt
    from discovery.hunts.state import HuntState
    from discovery.search.known_objects import KnownRows


def provenance(
    hunt: BoundHunt,
    ranking: Ranking,
    *,
    selection: Mapping[str, Any],
    known: KnownRows | None = None,
    state: HuntState | None = None,
) -> list[Fact]:
    """Return the provenance of an export: release, encoder, labels, rounds, strategy, consensus, audit, versions.

    Parameters
    ----------
    ranking : Ranking
        That the export's scores and ranks come from.
    selection : mapping
        What of the release the export was to hold: top, min_score, unfiltered, new_only.
    known : KnownRows, optional
        The known objects that the export flags.
    state : HuntState, optional
        What the hunt held when the ranking was made; what it holds now by default.
    """
    state = state or hunt.state()
    info = state.info(hunt.path)
    people = Counter(label.who for label in state.verdicts)
    started = f"{info.created} by {info.who}"
    return [
        Fact(name="creator", keyword="CREATOR", value=f"discovery {__version__}", description="program that wrote this"),
        Fact(name="date", keyword="DATE", value=now()[:19], description="UTC"),
        Fact(name="hunt", keyword="HUNT", value=info.name, description="hunt that the selection comes from"),
        Fact(name="hunt_started", keyword="HUNTBEG", value=started, description="when and by whom"),
        Fact(name="release", keyword="RELEASE", value=info.release_name, description="release that was searched"),
        Fact(name="release_objects", keyword="NRELEASE", value=info.count, description="rows of the release"),
        Fact(name="encoder_checksum", keyword="ENCODER", value=info.encoder_checksum, description="of the embeddings"),
        Fact(name="filter", keyword="FILTER", value=_filter(state), description="what the hunt may show"),
        *_query(info.query),
        Fact(name="ranked", keyword="NRANKED", value=int(hunt.allowed.sum()), description="objects that fulfil it"),
        Fact(name="selection", keyword="SELECT", value=dict(selection), description="what this export was to hold"),
        Fact(name="examples_positive", keyword="NEXAPOS", value=info.examples_positive, description="to start from"),
        Fact(name="examples_negative", keyword="NEXANEG", value=info.examples_negative, description="to start from"),
        Fact(name="labels", keyword="NLABEL", value=info.counts.total, description="objects with a label"),
        Fact(name="labels_positive", keyword="NPOS", value=info.counts.positive, description="of them"),
        Fact(name="labels_negative", keyword="NNEG", value=info.counts.negative, description="of them"),
        Fact(name="labels_unsure", keyword="NUNSURE", value=info.counts.unsure, description="of them"),
        Fact(name="labels_skipped", keyword="NSKIPPED", value=info.counts.skipped, description="of them"),
        Fact(name="negative_classes", keyword="NEGCLASS", value=info.negative_classes, description="negatives by class"),
        Fact(name="labelled_by", keyword="LABELBY", value=dict(people.most_common()), description="objects by person"),
        Fact(name="consensus", keyword="CONSENS", value=info.consensus, description="rule between people"),
        Fact(name="rounds", keyword="NROUNDS", value=info.rounds, description="rounds played"),
        Fact(name="strategy", keyword="STRATEGY", value=info.strategy, description="of the rounds to come"),
        Fact(name="strategies", keyword="STRATS", value=_strategies(state), description="rounds by strategy and parts"),
        Fact(name="model", keyword="MODEL", value=ranking.model, description="that made the scores"),
        Fact(name="scores_sha256", keyword="SCORESUM", value=ranking.digest, description="of the scores of all rows"),
        *_audit(hunt, state, ranking),
        *_known(known),
        Fact(name="software", keyword="SOFTWARE", value=_software(), description="versions"),
    ]


def _filter(state: HuntState) -> str:
    settings = state.settings
    parts = ["each object once", *([] if settings.flagged else ["no stars, no flags"])]
    cone = [] if settings.cone is None else [f"cone {settings.cone}"]
    return "; ".join([*parts, *cone, *([] if settings.where is None else [settings.where])])


def _query(query: dict[str, Any] | None) -> list[Fact]:
    """The query that the hunt was started from; nothing for a hunt without one."""
    return [] if query is None else [Fact(name="query", keyword="QUERY", value=query, description="the hunt was started from")]


def _strategies(state: HuntState) -> list[dict[str, Any]]:
    """The strategies that rounds were played by, with their parts, and in which rounds."""
    played: list[dict[str, Any]] = []
    for one in state.rounds:
        parts = {
            "strategy": one.parts.get("strategy", "alpha"),
            "model": one.parts.get("ranker", {}).get("name"),
            "chooser": one.parts.get("chooser"),
            "candidates": _candidates(one.parts.get("candidates", {})),
        }
        if played and {key: value for key, value in played[-1].items() if key != "rounds"} == parts:
            played[-1]["rounds"][1] = one.number
        else:
            played.append({**parts, "rounds": [one.number, one.number]})
    return played


def _candidates(recorded: dict[str, Any]) -> dict[str, Any]:
    """What is the same from round to round: neither rows nor how many came from where."""
    kept = {key: value for key, value in recorded.items() if key not in ("without_rows", "without_packed")}
    if "source" in kept:
        kept["source"] = {key: kept["source"].get(key) for key in ("name", "count")}
    return kept


def _audit(hunt: BoundHunt, state: HuntState, ranking: Ranking) -> list[Fact]:
    """What the audits show of the list, with 95 % intervals; nothing without an audit."""
    if not state.current_audits:
        return []
    made = report(hunt, ranking=ranking)
    curve = [asdict(cut) for cut in made.curve]
    judged = f"{made.progress.judged} of {made.progress.drawn} drawn stamps"
    bound = "lower bound only" if made.lower_bound_only else "95 % interval"
    return [
        Fact(name="audit", keyword="AUDIT", value=judged, description="judged in audits"),
        Fact(name="audit_targets", keyword="AUDTARG", value=asdict(made.targets), description="in all that is ranked"),
        Fact(name="audit_known", keyword="AUDKNOWN", value=made.known, description="targets among the labelled"),
        Fact(name="audit_completeness", keyword="AUDCOMPL", value=asdict(made.completeness), description=bound),
        Fact(name="audit_curve", keyword="AUDCURVE", value=curve, description="purity, completeness by score cut"),
    ]


def _known(known: KnownRows | None) -> list[Fact]:
    if known is None:
        return []
    files = dict(zip(known.files, known.sha256, strict=True))
    return [
        Fact(name="known_files", keyword="KNOWN", value=files, description="tables of known objects, sha256"),
        Fact(name="known_radius_arcsec", keyword="KNOWNRAD", value=known.radius_arcsec, description="match radius"),
    ]


def _software() -> dict[str, str]:
    """Versions of what the selection was made with."""
    commit = git_commit()
    return {
        **present_versions(),
        **({} if commit is None else {"commit": commit}),
        "system": f"{platform.system()} {platform.release()}",
    }
