"""Stamps as a head for parameters takes them: embeddings, side features, and inputs where the encoder learns too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from discovery.encoders.encoder import Encoder
from discovery.errors import ConfigError, StampError
from discovery.readers import open_survey
from discovery.release.manifest import MANIFEST_FILE
from discovery.release.release import open_release
from discovery.stamps.stamp import Damaged, Stamp
from training.data.stamps import is_training, is_validation
from training.finetuning.parameters.apertures import mean_colours, side_features, side_names

READ = 64


@dataclass(frozen=True, kw_only=True)
class Objects:
    """What is known of the usable stamps of a survey.

    Attributes
    ----------
    embeddings : numpy.ndarray
        (N, D) float32, unit length.
    side : numpy.ndarray
        (N, F) float32, columns ``side_names``.
    colours : numpy.ndarray
        (N, 3) float32: mean display colours within the crop.
    inputs : numpy.ndarray or None
        (N, K, 3, S, S) float16, the encoder's inputs, where they were kept.
    catalogue : pyarrow.Table
        The survey's own columns, one line an object.
    damaged : int
        Stamps that cannot be used.
    """

    object_ids: tuple[str, ...]
    embeddings: np.ndarray
    side: np.ndarray
    side_names: tuple[str, ...]
    colours: np.ndarray
    inputs: np.ndarray | None
    catalogue: pa.Table
    damaged: int

    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return who trains, validates and is held out, (N,) bool each."""
        validates = np.array([is_validation(name) for name in self.object_ids], bool)
        trains = np.array([is_training(name) for name in self.object_ids], bool)
        return trains & ~validates, validates, ~trains

    def take(self, kept: np.ndarray) -> Objects:
        """Return some of the objects, by a mask (N,)."""
        return Objects(
            object_ids=tuple(name for name, stays in zip(self.object_ids, kept, strict=True) if stays),
            embeddings=self.embeddings[kept],
            side=self.side[kept],
            side_names=self.side_names,
            colours=self.colours[kept],
            inputs=None if self.inputs is None else self.inputs[kept],
            catalogue=self.catalogue.filter(pa.array(kept)),
            damaged=self.damaged,
        )


def read_objects(
    path: Path, encoder: Encoder, *, pixel_scale_arcsec: float | None = None, keep_inputs: bool = False, limit: int | None = None
) -> Objects:
    """Return the objects of a survey, or of a release's: each stamp prepared as the encoder does it, embedded, its side features measured.

    Parameters
    ----------
    keep_inputs
        Keep the prepared inputs in memory, for training the encoder.
    limit
        Only the first stamps.

    Raises
    ------
    ConfigError
        If no stamp can be used, or they are not of one kind.
    """
    blocks, count, catalogue = _source(path, pixel_scale_arcsec, limit)
    kept: list[int] = []
    names: tuple[str, ...] | None = None
    found: dict[str, list[np.ndarray]] = {"embeddings": [], "side": [], "colours": [], "inputs": []}
    with tqdm(total=count, desc=f"embedding {path.name}", unit="stamp", disable=None) as bar:
        for first, block in blocks:
            inputs = []
            for place, stamp in enumerate(block, first):
                if isinstance(stamp, Damaged):
                    continue
                try:
                    prepared = encoder.prepare(stamp)
                except StampError:
                    continue
                names = side_names(stamp) if names is None else names
                found["side"].append(side_features(stamp, prepared, names))
                found["colours"].append(mean_colours(stamp, prepared))
                inputs.append(prepared.inputs)
                kept.append(place)
            if inputs:
                stacked = np.stack(inputs)
                found["embeddings"].append(encoder.embed_inputs(stacked))
                found["inputs"] += [stacked.astype(np.float16)] if keep_inputs else []
            bar.update(len(block))
    if names is None:
        raise ConfigError(f"None of the {count} stamps of {path} can be used; 'discovery index' reports why.")
    catalogue = catalogue.take(kept)
    return Objects(
        object_ids=tuple(catalogue["object_id"].to_pylist()),
        embeddings=np.concatenate(found["embeddings"]),
        side=np.stack(found["side"]),
        side_names=names,
        colours=np.stack(found["colours"]),
        inputs=np.concatenate(found["inputs"]) if keep_inputs else None,
        catalogue=catalogue,
        damaged=count - len(kept),
    )


Blocks = Iterator[tuple[int, Sequence[Stamp | Damaged]]]


def _source(path: Path, pixel_scale_arcsec: float | None, limit: int | None) -> tuple[Blocks, int, pa.Table]:
    """Return blocks of stamps with the position of their first, how many stamps there are, and the table."""
    if (path / MANIFEST_FILE).exists():
        if pixel_scale_arcsec is not None:
            raise ConfigError(f"{path} is a release, which knows its pixel scale; leave --pixel-scale out.")
        release = open_release(path)
        count = min(release.count, limit or release.count)
        starts = range(0, count, READ)
        rows = ((start, [release.stamp(row) for row in range(start, min(start + READ, count))]) for start in starts)
        return rows, count, release.catalogue.rows(list(range(count)))
    survey = open_survey([path], pixel_scale_arcsec=pixel_scale_arcsec)
    count = min(len(survey), limit or len(survey))
    blocks = ((start, survey.read(start, min(start + READ, count))) for start in range(0, count, READ))
    return blocks, count, survey.table(0, count)
