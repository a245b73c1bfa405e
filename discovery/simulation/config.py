"""What a simulated survey consists of: classes, how many of each, and the seed."""

from __future__ import annotations

from dataclasses import dataclass, field

from discovery.errors import ConfigError

STAMP_PIXELS = 152
"""Side of a stamp, as in the ssl-legacysurvey files."""
PIXEL_SCALE_ARCSEC = 0.262
BANDS = ("g", "r", "z")

COMMON_SHARES = {
    "elliptical": 0.28,
    "spiral": 0.27,
    "barred": 0.13,
    "edge_on": 0.14,
    "star": 0.10,
    "artefact": 0.05,
}
"""How the objects that are in no rare class are shared out, before normalisation."""
CLASSES = ("elliptical", "spiral", "barred", "edge_on", "ring", "merger", "lens", "star", "artefact")
LEAST_OF_EACH = 5


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Under which conditions the sky is observed.

    Attributes
    ----------
    number : int
        Another number is the same sky with other noise, and another PSF and depth of each stamp, drawn alike.
    psf, noise : float
        What the width of the PSF and the noise of every stamp are multiplied by.
    """

    number: int = 0
    psf: float = 1.0
    noise: float = 1.0

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ConfigError(f"the visit {self.number} is negative: give 0 or more")
        for name in ("psf", "noise"):
            if not 0.1 <= getattr(self, name) <= 10:
                raise ConfigError(f"{name} is multiplied by {getattr(self, name)}: give 0.1 to 10")


@dataclass(frozen=True, kw_only=True)
class SurveyPlan:
    """Size, seed and rare fractions of a simulated survey.

    Attributes
    ----------
    galaxies : int
        Number of objects, stars and artefacts included; at least five of each of the nine classes.
    seed : int
        Everything that is drawn follows from it, whatever the number of processes.
    mergers, rings, lenses : float
        Fraction of all objects, 0..1; at least five objects of each class are made.
    visit : Visit
        Under which conditions this sky is observed.
    """

    galaxies: int = 4000
    seed: int = 0
    mergers: float = 0.02
    rings: float = 0.005
    lenses: float = 0.005
    visit: Visit = Visit()
    counts: dict[str, int] = field(init=False)
    """Objects of each class, in the order of `CLASSES`."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"the seed {self.seed} is negative: give 0 or more")
        object.__setattr__(self, "counts", _class_counts(self))


def _class_counts(plan: SurveyPlan) -> dict[str, int]:
    """Share out the objects: rare classes first, then the rest by largest remainder."""
    total = plan.galaxies
    least = LEAST_OF_EACH * len(CLASSES)
    if total < least:
        raise ConfigError(
            f"{total} galaxies are too few for {LEAST_OF_EACH} of each of {len(CLASSES)} classes: "
            f"give at least {least}"
        )
    fractions = {"merger": plan.mergers, "ring": plan.rings, "lens": plan.lenses}
    for name, fraction in fractions.items():
        if not 0.0 <= fraction <= 1.0:
            raise ConfigError(f"the fraction of class {name} is {fraction}: give a number from 0 to 1")
    rare = {name: max(LEAST_OF_EACH, round(total * fraction)) for name, fraction in fractions.items()}
    left = total - sum(rare.values()) - LEAST_OF_EACH * len(COMMON_SHARES)
    if left < 0:
        raise ConfigError(
            f"mergers, rings and lenses take {sum(rare.values())} of {total} galaxies and leave no room "
            f"for {LEAST_OF_EACH} of every other class: lower the fractions"
        )
    common = _share_out(left + LEAST_OF_EACH * len(COMMON_SHARES))
    return {name: rare.get(name, common.get(name, 0)) for name in CLASSES}


def _share_out(total: int) -> dict[str, int]:
    """Divide ``total`` by the common shares, none below `LEAST_OF_EACH`, exactly ``total`` in sum."""
    weight = sum(COMMON_SHARES.values())
    counts = {name: max(LEAST_OF_EACH, int(total * s / weight)) for name, s in COMMON_SHARES.items()}
    by_size = sorted(counts, key=lambda name: -COMMON_SHARES[name])
    step = 1 if sum(counts.values()) < total else -1
    position = 0
    while sum(counts.values()) != total:
        name = by_size[position % len(by_size)]
        if step > 0 or counts[name] > LEAST_OF_EACH:
            counts[name] += step
        position += 1
    return counts
