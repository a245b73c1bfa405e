"""Embed the real labelled stamps once and keep each hunt as an npz file for ``discovery hunt bench``.

Run ``python tests/benchmarks/real_hunt_sets.py --data ../shared/data --encoder default --cache CACHE --out SETS``.

The shipped encoder learned the classes of gz2 from four in five of its stamps: ``--held-out`` keeps the others, which
no encoder was trained on. The labels of the other folders were never used, but four in five of their stamps were seen.

The hunts: spirals, edge-on and round galaxies and cigars (gz2; edge-on galaxies are the cigars' look-alikes), bars, inner, outer and
pseudo-rings, hot spots, strong arms, perturbed and multiple galaxies (efigi, attribute >= 0.5; an attribute not assessed is no target; the sub-kind is the Hubble type:
early, intermediate or late), and lens candidates of expert_grade >= 2 in the pool of SDSS stamps, the lower grades as
look-alikes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from real_hunts import SETS, EmbeddedSet, embed, embedded, is_held_out

from discovery.encoders.encoder import Encoder, load_encoder
from discovery.hunts.simulation.sets import HuntSet, write_set

EFIGI = {
    "bars": "Bar_Length",
    "inner-rings": "Inner_Ring",
    "outer-rings": "Outer_Ring",
    "perturbed": "Perturbation",
    "multiple": "Multiplicity",
    "hot-spots": "Hot_Spots",
    "pseudo-rings": "Pseudo_Ring",
    "strong-arms": "Arm_Strength",
}
LAST_EARLY, LAST_INTERMEDIATE = 0, 4  # Hubble type T: up to S0a, up to Sbc


def main() -> None:
    """Embed, split into hunts and write."""
    options = parse()
    encoder = load_encoder(options.encoder)
    options.out.mkdir(parents=True, exist_ok=True)
    for folder, hunts in (("gz2", gz2_hunts), ("efigi", efigi_hunts), ("lens_candidates", lens_hunts)):
        if folder not in options.sets:
            continue
        parts = [stamps(options, encoder, folder)]
        if folder == "lens_candidates":
            parts.insert(0, stamps(options, encoder, "sdss_pool"))
        for hunt in hunts(*parts):
            write_set(options.out / f"{hunt.name}.npz", hunt)
            print(f"{hunt.name}: {hunt.targets} targets among {len(hunt.truth)} ({100 * hunt.prevalence:.3g} %)")


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    parser.add_argument("--encoder", default="default", help="what discovery.load_encoder takes")
    parser.add_argument("--cache", type=Path, help="npz files of embeddings are kept in this folder, as by real_hunts.py")
    parser.add_argument("--out", type=Path, required=True, help="folder for the hunts")
    parser.add_argument("--held-out", action="store_true", help="only stamps that no encoder was trained on")
    parser.add_argument("--sets", nargs="+", default=["gz2", "efigi", "lens_candidates"], help="folders to use")
    return parser.parse_args()


def stamps(options: argparse.Namespace, encoder: Encoder, folder: str) -> EmbeddedSet:
    """Embed a folder, or read it from the cache; with ``--held-out`` only those stamps, which are not cached."""
    if options.held_out:
        return embed(options.data / folder, SETS.get(folder, "labels.csv"), encoder, keep=is_held_out)
    return embedded(options, encoder, folder)


def gz2_hunts(gz2: EmbeddedSet) -> Iterator[HuntSet]:
    """Yield the hunts in the clean classes of Galaxy Zoo 2."""
    label = gz2.labels["label"]
    yield hunt_of("gz2-spirals", "gz2, label spiral", gz2, label == "spiral")
    yield hunt_of("gz2-edge-on", "gz2, label edge_on", gz2, label == "edge_on")
    yield hunt_of("gz2-round", "gz2, label round_smooth", gz2, label == "round_smooth")
    yield hunt_of(
        "gz2-cigars", "gz2, label cigar_smooth", gz2, label == "cigar_smooth", lookalikes=label == "edge_on"
    )


def efigi_hunts(efigi: EmbeddedSet) -> Iterator[HuntSet]:
    """Yield the hunts by the astronomers' attributes."""
    stage = efigi.labels["T"]
    kinds = np.where(stage <= LAST_EARLY, "early", np.where(stage <= LAST_INTERMEDIATE, "intermediate", "late"))
    for name, column in EFIGI.items():
        yield hunt_of(f"efigi-{name}", f"efigi, {column} >= 0.5", efigi, efigi.labels[column] >= 0.5, kinds=kinds)


def lens_hunts(pool: EmbeddedSet, candidates: EmbeddedSet) -> Iterator[HuntSet]:
    """Yield the hunt for good lenses."""
    both = EmbeddedSet(
        names=np.concatenate([pool.names, candidates.names]),
        vectors=np.concatenate([pool.vectors, candidates.vectors]),
        pixels=np.concatenate([pool.pixels, candidates.pixels]),
        labels={},
    )
    candidate = np.arange(len(both.names)) >= len(pool.names)
    good = np.append(np.zeros(len(pool.names), bool), candidates.labels["expert_grade"] >= 2)
    source = "lens_candidates with expert_grade >= 2 in sdss_pool"
    yield hunt_of("lenses", source, both, good, lookalikes=candidate & ~good)


def hunt_of(name: str, source: str, objects: EmbeddedSet, truth: np.ndarray, **more: np.ndarray) -> HuntSet:
    """Return a hunt on embedded stamps."""
    return HuntSet(
        name=name, source=source, object_ids=objects.names, vectors=objects.vectors, truth=truth, **more
    )


if __name__ == "__main__":
    main()
