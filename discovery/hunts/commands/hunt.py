"""``discovery hunt``: the verbs, and the two that play: start a hunt, and its next round."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cyclopts import App, Parameter

from discovery.hunts.commands.answers import answer, info_document, round_document, round_text
from discovery.hunts.commands.options import Files, Json, Several, opened_hunt, person_name
from discovery.search.known_options import KnownFiles, KnownRadius, NewOnly, matched_known
from discovery.search.query import Query
from discovery.search.query_options import Cone, FormerFlagged, IncludeFlagged, SearchOptions

app = App(name="hunt", help="Label galaxies round by round until enough of a kind are found.")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class NewOptions:
    """Options of ``discovery hunt new``.

    Attributes
    ----------
    like
        Positive examples: object ids, RA,DEC positions or stamp files; at least one.
    like_table
        Tables of positive examples, by id or position.
    unlike
        Negative examples; with three the rescorer ranks from the first round on.
    unlike_table
        Tables of negative examples.
    strategy
        How rounds rank and choose: auto (the default), alpha (the published rule), top, similarity, linear, or
        MODEL+CHOOSER.
    alpha
        Plays the published rule; from 0 to 1: the highest scores are shown while positives/negatives of the latest round are at most
        alpha, else the lowest. 0.9 leads to precision, 0.1 to recall.
    page_size
        Objects a round.
    query
        File of a saved query (JSON) to start from; options given beside it replace its own.
    where
        SQL condition on the catalogue that candidates must meet, such as "mag_r < 19".
    cone
        RA,DEC,RADIUS that candidates must lie in, the radius in arcsec or with a unit (150.1,2.2,10arcmin).
    include_flagged
        Show stars and flagged objects too.
    consensus
        What holds when several people label: latest, majority or arbiter:NAME.
    stopper
        Advises to stop: never, dry:N (after N pages without a positive), or hypergeometric:R (a recall of R is likely).
    seed
        Of everything drawn at random.
    who
        Your name in the log; your login by default.
    json
        Print one JSON document.
    """

    like: Several = None
    like_table: Files = None
    unlike: Several = None
    unlike_table: Files = None
    strategy: str | None = None
    alpha: float | None = None
    page_size: int = 20
    query: Path | None = None
    where: str | None = None
    cone: Cone = None
    include_flagged: IncludeFlagged = False
    flagged: FormerFlagged = None
    consensus: str = "latest"
    stopper: str = "never"
    seed: int = 0
    who: str | None = None
    json: Json = False

    def to_query(self) -> Query:
        """Return the query that the hunt starts from."""
        return SearchOptions(
            query=self.query,
            like=[*(self.like or ()), *map(str, self.like_table or ())] or None,
            unlike=[*(self.unlike or ()), *map(str, self.unlike_table or ())] or None,
            where=self.where,
            cone=self.cone,
            include_flagged=self.include_flagged,
            flagged=self.flagged,
        ).to_query()


@app.command
def new(hunt: Path, release: Path, /, *, options: NewOptions = NewOptions()) -> None:
    """Start a hunt from examples.

    Parameters
    ----------
    hunt
        File to make, such as mergers.hunt.
    release
        Release folder to hunt in.
    """
    from discovery.hunts import new_hunt
    from discovery.release.release import open_release

    started = new_hunt(
        hunt,
        open_release(release),
        query=options.to_query(),
        strategy=options.strategy,
        alpha=options.alpha,
        page_size=options.page_size,
        seed=options.seed,
        consensus=options.consensus,
        stopper=options.stopper,
        who=person_name(options.who),
    )
    info = started.info()
    text = (
        f"{info.path}: a hunt in {info.release_name} ({info.count} objects) from {info.examples_positive} positive and"
        f" {info.examples_negative} negative examples, strategy {info.strategy}\nnext: discovery hunt next {info.path}"
    )
    answer(options.json, {"hunt": info_document(info)}, text)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class NextOptions:
    """Options of ``discovery hunt next``.

    Attributes
    ----------
    page_size
        Objects in this round; the hunt's own number by default.
    strategy
        Change the strategy from this round on, such as auto, alpha:0.9, or auto@all to rank every object of a large release.
    alpha
        Change alpha from this round on, in a hunt that plays the published rule.
    consensus
        Change what holds when several people label: latest, majority or arbiter:NAME.
    stopper
        Change what advises to stop: never, dry:N or hypergeometric:R.
    known
        Tables of known objects (csv, FITS, VOTable, Parquet; ra and dec): shown as "known as ...".
    known_radius
        Within how many arcsec an object is a known one; 2 by default.
    new_only
        Leave known objects out of this round.
    contact_sheet
        PNG file to draw the round's stamps into.
    release
        Release folder, if it is no longer where the hunt knows it.
    who
        Your name in the log; your login by default.
    json
        Print one JSON document.
    """

    page_size: int | None = None
    strategy: str | None = None
    alpha: float | None = None
    consensus: str | None = None
    stopper: str | None = None
    known: KnownFiles = None
    known_radius: KnownRadius = None
    new_only: NewOnly = False
    contact_sheet: Path | None = None
    release: Path | None = None
    who: str | None = None
    json: Json = False


@app.command(name="next")
def next_(hunt: Path, /, *, options: NextOptions = NextOptions()) -> None:
    """Rank by the labels so far and show the next objects to label, each with why it is shown.

    Parameters
    ----------
    hunt
        Hunt file.
    """
    opened, person = opened_hunt(hunt, options.release), person_name(options.who)
    rows = matched_known(opened.release, options.known, options.known_radius, options.new_only)
    if options.strategy is not None or options.alpha is not None:
        from discovery.hunts import chosen_strategy

        chosen_strategy(opened.strategy if options.strategy is None else options.strategy, options.alpha)
    opened.change(person, strategy=options.strategy, alpha=options.alpha, consensus=options.consensus, stopper=options.stopper)
    played = opened.next_round(person, options.page_size, without=rows if options.new_only else None)
    if options.contact_sheet is not None and not played.exhausted:
        from discovery.stamps.render import contact_sheet as draw

        stamps = [opened.release.stamp(row) for row in played.rows.tolist()]
        titles = [f"{n}  {name}" for n, name in enumerate(played.object_ids, 1)]
        flags = [] if rows is None else [rows.flag(row) for row in played.rows.tolist()]
        draw(stamps, titles, options.contact_sheet, flags=flags)
    answer(options.json, round_document(played, rows), round_text(played, rows))

for _name, _target, _help in (
    ("label", "label:label", "Label objects; every label is on disk when the command answers."),
    ("note", "label:note", "Keep a note on an object."),
    ("show", "show:show", "Show a hunt's settings, rounds, labels and notes."),
    ("history", "show:history", "Show who labelled what and when, the newest first."),
    ("disagreements", "show:disagreements", "Show the objects on which people disagree."),
    ("list", "show:list_hunts", "List the hunts in a folder."),
    ("audit", "audit:audit", "Estimate how much has been found, from a sample labelled for it."),
    ("export", "files:export", "Write the labelled objects and, on request, the ranked rest of the release."),
    ("move", "files:move", "Carry a hunt to another release or encoder."),
    ("apply", "apply:apply", "Rank another release of the same encoder by a finished hunt."),
    ("replay", "replay:replay", "Play every round again and confirm that the same comes out."),
    ("simulate", "simulate:simulate", "Play hunts whose targets are known."),
    ("bench", "simulate:bench", "Play a table of data sets and strategies."),
):
    app.command(f"discovery.hunts.commands.{_target}", name=_name, help=_help)
