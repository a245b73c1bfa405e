"""Where a round's candidates come from when the strategy does not name it: everything in a small release, less in a large one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from discovery.hunts.candidates.pool import ExactSource, PoolSource
from discovery.hunts.candidates.sources import AllSource
from discovery.hunts.models.ranking import is_large

if TYPE_CHECKING:
    from discovery.hunts.candidates.nearby import Engine
    from discovery.release.release import Release

GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd")


def default_source(release: Release, engine: Engine | None, *, poolable: bool) -> str:
    """Return ``all``, ``pool`` or ``exact`` for a strategy that does not name its candidates.

    Parameters
    ----------
    engine : Engine or None
        What scores every object of this release exactly within a round, where there is such a thing.
    poolable : bool
        Whether the strategy can do with a part of the objects (`discovery.hunts.strategies.HuntStrategy.poolable`).
    """
    if not is_large(release, release.dimension) or not poolable:
        return AllSource.name
    return PoolSource.name if engine is None else ExactSource.name


def gpu_engine(release: Release) -> Engine | None:
    """Return the release's own scan where a GPU would do it; None without one (torch is only imported beside one)."""
    if not any(Path(device).exists() for device in GPU_DEVICES):
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    engine: Engine = release.engine
    return engine
