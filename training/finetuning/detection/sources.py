"""Where lenses and non-lenses come from: surveys, each with a rule for which objects are lenses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.spatial import cKDTree

from discovery.errors import ConfigError
from discovery.readers import open_survey
from discovery.stamps.stamp import Damaged, Survey
from training.data.stamps import is_training
from training.finetuning.detection.cutouts import ObjectCut, cut_object

USUAL_PSF_FWHM_PIXELS = 3.5
"""Where a survey has no column ``psfsize``: SDSS at 0.396 arcsec and CFHTLS at 0.186 arcsec a pixel are both near it."""
SAME_SKY_ARCSEC = 2.0
KEPT_CUTS = 1000

_CONDITION = re.compile(r"(?P<column>[^:<>=]+)(?::(?P<value>.+)|>=(?P<least>[^,<]+)(?:,?<(?P<below>.+))?)")


@dataclass(frozen=True, kw_only=True)
class LensRule:
    """A survey and which of its objects are lenses.

    Attributes
    ----------
    column : str or None
        None: no object is a lens.
    value : str or None
        Lenses have this value, all others are no lenses.
    least, below : float or None
        Lenses have at least ``least``, non-lenses less than ``below`` (``least`` when not given); what lies between is
        left out.
    """

    path: str
    column: str | None = None
    value: str | None = None
    least: float | None = None
    below: float | None = None


def parse_rule(text: str) -> LensRule:
    """Return the rule of ``PATH``, ``PATH@COLUMN:VALUE``, ``PATH@COLUMN>=LEAST`` or ``PATH@COLUMN>=LEAST,<BELOW``.

    Raises
    ------
    ConfigError
        If the text is none of these.
    """
    path, at, condition = text.partition("@")
    if not at:
        return LensRule(path=path)
    found = _CONDITION.fullmatch(condition)
    try:
        if not found or not path:
            raise ValueError
        least, below = (None if found[name] is None else float(found[name]) for name in ("least", "below"))
    except ValueError:
        raise ConfigError(
            f"Cannot read the source {text!r}: write PATH, 'PATH@COLUMN:VALUE' or 'PATH@COLUMN>=2,<1.3' "
            "(in quotes, or the shell takes the > for itself)."
        ) from None
    if least is not None and below is not None and below > least:
        raise ConfigError(f"The source {text!r} calls some objects both: {below:g} is more than {least:g}.")
    return LensRule(path=path, column=found["column"], value=found["value"], least=least, below=below)


class Sources:
    """The objects of one part of the split, by survey; made by `load_sources`.

    Attributes
    ----------
    names : tuple of str
        The surveys.
    lenses, others : list of numpy.ndarray
        For each survey the positions of its lenses and of its non-lenses.
    """

    def __init__(self, names: Sequence[str], surveys: Sequence[Survey], psf: Sequence[np.ndarray], parts: Sequence[_Part]) -> None:
        self.names = tuple(names)
        self.lenses = [part.lenses for part in parts]
        self.others = [part.others for part in parts]
        self._surveys, self._psf = surveys, psf
        self.cut = lru_cache(KEPT_CUTS)(self._cut)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of lenses and non-lenses of each survey."""
        return {
            name: {"lenses": len(lenses), "others": len(others)}
            for name, lenses, others in zip(self.names, self.lenses, self.others, strict=True)
        }

    def draw(self, rng: np.random.Generator, *, lens: bool) -> tuple[int, int]:
        """Return (survey, position) of an object drawn: first a survey among those that have such objects, all alike."""
        kinds = self.lenses if lens else self.others
        survey = int(rng.choice([index for index, positions in enumerate(kinds) if len(positions)]))
        return survey, int(rng.choice(kinds[survey]))

    def object_ids(self) -> set[tuple[str, str]]:
        """Return (survey, object_id) of every object that a field may hold."""
        found = set()
        for name, survey, *positions in zip(self.names, self._surveys, self.lenses, self.others, strict=True):
            ids = survey.table()["object_id"].to_pylist()
            found |= {(name, ids[at]) for at in np.concatenate(positions)}
        return found

    def _cut(self, survey: int, position: int) -> ObjectCut | None:
        """Return an object cut out of its stamp, or None where nothing stands in the middle of it."""
        stamp = self._surveys[survey].read(position, position + 1)[0]
        return None if isinstance(stamp, Damaged) else cut_object(stamp, float(self._psf[survey][position]))


@dataclass(frozen=True, kw_only=True)
class _Part:
    lenses: np.ndarray
    others: np.ndarray


def load_sources(texts: Sequence[str]) -> tuple[Sources, Sources]:
    """Return the training and the held-out objects of some surveys.

    The split is the one rule of all sets (`training.data.stamps.is_training`). A held-out object within 2 arcsec of a
    training object, in any of the surveys, is dropped: it may be the same galaxy under another name.

    Returns
    -------
    tuple of Sources
        The training part and the held-out part.

    Raises
    ------
    ConfigError
        If a rule cannot be read or fits no column, or a part has no lenses or no non-lenses.
    """
    if not texts:
        raise ConfigError("Name at least one source of lenses, such as runs/sim@truth_class:lens.")
    rules = [parse_rule(text) for text in texts]
    surveys = [open_survey([rule.path]) for rule in rules]
    tables = [survey.table() for survey in surveys]
    kinds = [_is_lens(rule, table) for rule, table in zip(rules, tables, strict=True)]
    trains = [np.array([is_training(name) for name in table["object_id"].to_pylist()]) for table in tables]
    tests = _apart(tables, trains)
    names = _unique([Path(rule.path).resolve().name for rule in rules])
    psf = [_psf_fwhm_pixels(survey, table) for survey, table in zip(surveys, tables, strict=True)]
    made = []
    for what, masks in (("training", trains), ("held-out", tests)):
        parts = [
            _Part(lenses=np.flatnonzero(mask & (kind == 1)), others=np.flatnonzero(mask & (kind == 0)))
            for mask, kind in zip(masks, kinds, strict=True)
        ]
        for noun, count in (("lens", sum(len(p.lenses) for p in parts)), ("non-lens", sum(len(p.others) for p in parts))):
            if not count:
                raise ConfigError(f"The sources have no {noun} in the {what} part; give larger surveys, or another rule.")
        made.append(Sources(names, surveys, psf, parts))
    return made[0], made[1]


def _unique(names: Sequence[str]) -> list[str]:
    return [name if names.count(name) == 1 else f"{name} ({place + 1})" for place, name in enumerate(names)]


def _is_lens(rule: LensRule, table: pa.Table) -> np.ndarray:
    """Return (N,) int: 1 lens, 0 non-lens, -1 neither."""
    if rule.column is None:
        return np.zeros(table.num_rows, np.int64)
    if rule.column not in table.column_names:
        raise ConfigError(f"{rule.path} has no column {rule.column!r}; it has {', '.join(table.column_names)}.")
    values = table[rule.column].to_pylist()
    if rule.value is not None:
        kinds = [-1 if v is None else int(_text(v) == rule.value) for v in values]
        if 1 not in kinds:
            seen = sorted({_text(v) for v in values if v is not None})[:9]
            raise ConfigError(f"No object of {rule.path} has {rule.column} = {rule.value}; there are {', '.join(seen)}.")
        return np.array(kinds)
    assert rule.least is not None
    below = rule.least if rule.below is None else rule.below
    try:
        numbers = np.array([np.nan if v is None else float(v) for v in values])
    except (TypeError, ValueError):
        raise ConfigError(f"Column {rule.column} of {rule.path} holds no numbers; write COLUMN:VALUE.") from None
    return np.where(numbers >= rule.least, 1, np.where(numbers < below, 0, -1))


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _psf_fwhm_pixels(survey: Survey, table: pa.Table) -> np.ndarray:
    """Return the full width of the PSF of each stamp, its widest band, in pixels of the stamp."""
    usual = np.full(table.num_rows, USUAL_PSF_FWHM_PIXELS)
    if "psfsize" not in table.column_names or not len(survey):
        return usual
    first = next((s for s in survey.read(0, min(16, len(survey))) if not isinstance(s, Damaged)), None)
    if first is None or first.pixel_scale_arcsec is None:
        return usual
    widest = np.array([max(v) if v is not None else 0.0 for v in table["psfsize"].to_pylist()])
    return np.where(widest > 0, widest / first.pixel_scale_arcsec, USUAL_PSF_FWHM_PIXELS)


def _apart(tables: Sequence[pa.Table], trains: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the held-out masks without objects that lie on a training object."""
    points = [_points(table) for table in tables]
    known = np.concatenate([p[t] for p, t in zip(points, trains, strict=True)])
    known = known[np.isfinite(known[:, 0])]
    if not len(known):
        return [~t for t in trains]
    chord, tree = 2 * np.sin(np.radians(SAME_SKY_ARCSEC / 3600) / 2), cKDTree(known)
    masks = []
    for place, train in zip(points, trains, strict=True):
        near = np.zeros(len(place), bool)
        checked = ~train & np.isfinite(place[:, 0])
        near[checked] = np.isfinite(tree.query(place[checked], distance_upper_bound=chord)[0])
        masks.append(~train & ~near)
    return masks


def _points(table: pa.Table) -> np.ndarray:
    """Return (N, 3) unit vectors, NaN where there is no position."""
    ra, dec = (np.radians(np.array(table[c].to_pylist(), float)) for c in ("ra", "dec"))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
