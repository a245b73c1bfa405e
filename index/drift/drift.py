"""``discovery index drift``: how far the embeddings of two releases by one encoder lie apart, and what may be done with hunts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from discovery.errors import ConfigError, EncoderMismatch
from discovery.release.catalogue import Catalogue
from discovery.release.manifest import DRIFT_SAMPLE_FILE
from discovery.release.release import Release
from discovery.sky.crossmatch import match_objects, object_ids, positions
from index.drift.advice import advice_on
from index.drift.measures import PairMeasures, found_ranks, halves_shift, measure_pairs, pairs_shift
from index.drift.observing_conditions import (
    RECOGNISED,
    ChangeDependence,
    Dependence,
    change_dependence,
    condition_columns,
    conditions_of,
    dependence,
)
from index.drift.report import ConditionDrift, DriftReport, SampledEmbeddings
from index.drift.sample import NewStamps, read_sample

SAMPLE = 2000
FEWEST = 50
"""With fewer embeddings or pairs nothing is reported of them."""
GALLERY = 200_000
SEED = 20260
SIGHTS = ("old", "new")


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """Embeddings to compare: rows first..stop (exclusive) of a release, finished or being built."""

    name: str
    catalogue: Catalogue
    take: Callable[[np.ndarray], np.ndarray]
    first: int
    stop: int

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.stop - self.first


def compare_releases(old: Release, new: Release, *, sample: int = SAMPLE, seed: int = SEED) -> tuple[DriftReport, dict[str, SampledEmbeddings]]:
    """Return the comparison of two releases of one encoder; see `compare`.

    Objects that are in both are found by object_id or within 1 arcsec. Where the new release grew from the old one, its old
    rows are the old one's: then the added rows are compared, and the sample of new stamps that it keeps.

    Raises
    ------
    EncoderMismatch
        If the encoders are not the same.
    ConfigError
        If ``sample`` is too small.
    """
    if old.encoder_checksum != new.encoder_checksum:
        raise EncoderMismatch(
            f"Releases {old.name} and {new.name} were made by different encoders, whose embeddings cannot be compared: "
            "index one of them again with the encoder of the other."
        )
    before = whole(old)
    if grew_from(new, old):
        after = Side(name=new.name, catalogue=new.catalogue, take=new.take, first=old.count, stop=new.count)
        return compare(before, after, read_sample(new.path / DRIFT_SAMPLE_FILE), sample=sample, seed=seed)
    return compare(before, whole(new), None, sample=sample, seed=seed)


def compare(
    old: Side, new: Side, twice: NewStamps | None, *, sample: int = SAMPLE, seed: int = SEED
) -> tuple[DriftReport, dict[str, SampledEmbeddings]]:
    """Return the comparison of old and new embeddings, all measures on seeded samples.

    Parameters
    ----------
    twice : NewStamps, optional
        New embeddings of old objects; without it they are looked for among the new side's rows.
    sample : int
        Most embeddings of each side, and most pairs.

    Returns
    -------
    report : DriftReport
    seen : dict of str to SampledEmbeddings
        What was compared, for plots: ``old``, ``new``, and ``pairs_old``, ``pairs_new`` where there are pairs.
    """
    if sample < FEWEST:
        raise ConfigError(f"A sample of {sample} tells nothing; give at least {FEWEST}.")
    rng, missing = np.random.default_rng(seed), list[str]()
    count = min(sample, new.count, old.count // 2)
    first, second = _drawn(old, 2 * count, rng), _drawn(new, count, rng)
    seen = {"old": first, "new": second}
    everything = halves_shift(first.vectors, second.vectors, rng) if count >= FEWEST else None
    if everything is None:
        missing.append(f"shift of all objects: {old.name} has {old.count} and {new.name} {new.count} to compare, {2 * FEWEST} and {FEWEST} are needed")
    twice = _same_objects(old, new, sample, rng) if twice is None else _fewer(twice, sample, rng)
    shift, pairs = None, None
    if len(twice.rows) >= FEWEST:
        seen |= {
            "pairs_old": SampledEmbeddings(vectors=old.take(twice.rows), conditions=_conditions(old.catalogue, twice.rows)),
            "pairs_new": SampledEmbeddings(vectors=twice.vectors, conditions=twice.conditions),
        }
        shift = pairs_shift(seen["pairs_old"].vectors, twice.vectors, rng)
        pairs = _pairs(old, twice, seen["pairs_old"].vectors, rng)
    else:
        missing.append(f"measures of the same objects: {len(twice.rows)} are seen in both, by object_id or within 1 arcsec; {FEWEST} are needed")
    conditions = _condition_drifts(seen, rng)
    missing += _missing_conditions(conditions, seen, pairs is not None)
    verdict, advice = advice_on(everything, shift, pairs, conditions)
    report = DriftReport(
        old=old.name,
        new=new.name,
        sample=sample,
        all_objects=everything,
        same_objects=shift,
        pairs=pairs,
        conditions=conditions,
        missing=tuple(missing),
        verdict=verdict,
        advice=advice,
    )
    return report, seen


def whole(release: Release) -> Side:
    """Return all rows of a release as a side."""
    return Side(name=release.name, catalogue=release.catalogue, take=release.take, first=0, stop=release.count)


def grew_from(new: Release, old: Release) -> bool:
    """Return whether a release's first rows are those of another."""
    grown = new.manifest.grown_from
    return grown is not None and (grown.plan, grown.rows) == (old.manifest.plan, old.count)


def _drawn(side: Side, count: int, rng: np.random.Generator) -> SampledEmbeddings:
    rows = side.first + rng.permutation(rng.choice(side.count, count, replace=False)) if count else np.empty(0, np.int64)
    return SampledEmbeddings(vectors=side.take(rows), conditions=_conditions(side.catalogue, rows))


def _conditions(catalogue: Catalogue, rows: np.ndarray) -> dict[str, np.ndarray]:
    columns = condition_columns(name for name, _ in catalogue.columns())
    return conditions_of(catalogue.rows(rows, columns)) if columns and len(rows) else {}


def _same_objects(old: Side, new: Side, sample: int, rng: np.random.Generator) -> NewStamps:
    """Return a sample of the objects of the new side that are in the old release, each once."""
    ra, dec = positions(new.catalogue)
    found = match_objects(old.catalogue, object_ids(new.catalogue), ra, dec)
    primary = new.catalogue.primary_rows == np.arange(new.catalogue.count)
    rows = np.flatnonzero((found.rows >= 0) & primary)
    rows = np.sort(rng.permutation(rows)[:sample])
    return NewStamps(rows=found.rows[rows], vectors=new.take(rows), conditions=_conditions(new.catalogue, rows))


def _fewer(twice: NewStamps, sample: int, rng: np.random.Generator) -> NewStamps:
    chosen = np.sort(rng.permutation(len(twice.rows))[:sample])
    conditions = {name: values[chosen] for name, values in twice.conditions.items()}
    return NewStamps(rows=twice.rows[chosen], vectors=twice.vectors[chosen], conditions=conditions)


def _pairs(old: Side, twice: NewStamps, own: np.ndarray, rng: np.random.Generator) -> PairMeasures:
    """Return the measures of the same objects, looked for among all old embeddings, or 200,000 of them."""
    gallery = np.arange(old.count) if old.count <= GALLERY else np.sort(rng.choice(old.count, GALLERY, replace=False))
    objects = old.catalogue.primary_rows
    ranks = found_ranks(twice.vectors, own, objects[twice.rows], gallery, objects[gallery], old.take)
    return measure_pairs(own, twice.vectors, ranks, len(gallery), rng)


def _condition_drifts(seen: dict[str, SampledEmbeddings], rng: np.random.Generator) -> tuple[ConditionDrift, ...]:
    def alone(sight: str, name: str) -> Dependence | None:
        values = seen[sight].conditions.get(name)
        return None if values is None else dependence(seen[sight].vectors, values, rng)

    def changed(name: str) -> ChangeDependence | None:
        if "pairs_old" not in seen:
            return None
        before, after = (seen[sight].conditions.get(name) for sight in ("pairs_old", "pairs_new"))
        if before is None or after is None:
            return None
        return change_dependence(seen["pairs_old"].vectors, seen["pairs_new"].vectors, before, after)

    names = dict.fromkeys(name for sight in seen.values() for name in sight.conditions)
    return tuple(
        ConditionDrift(name=name, old=alone("old", name), new=alone("new", name), pairs=changed(name)) for name in names
    )


def _missing_conditions(conditions: tuple[ConditionDrift, ...], seen: dict[str, SampledEmbeddings], paired: bool) -> list[str]:
    if not conditions:
        return [f"dependence on PSF and depth: no catalogue has a column that tells them (recognised are {RECOGNISED})"]
    missing = []
    for sight in SIGHTS:
        if not seen[sight].conditions:
            missing.append(f"dependence of the {sight} embeddings on PSF and depth: their catalogue has no such column")
    if paired and all(condition.pairs is None for condition in conditions):
        missing.append("dependence of changes on PSF and depth: they are unknown in one of the two, or did not change")
    return missing


