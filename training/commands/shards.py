"""``discovery train shards``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from discovery.errors import ConfigError
from discovery.files.paths import check_paths_exist
from discovery.processes.cores import default_workers
from training.commands.options import Json


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ShardsOptions:
    """Options of ``discovery train shards``.

    Attributes
    ----------
    dtype
        uint8 (colours rounded to 1/255) or float16 (twice the bytes).
    size
        Pixels a side.
    shard_stamps
        Stamps a shard.
    workers
        Processes that read and pack, each with a shard in memory; by default two fewer than the usable cores, at most 8.
    verify
        Also compare the checksums of shards that are there already, and make again what is damaged.
    json_output
        Print one JSON document instead of text.
    """

    dtype: str = "uint8"
    size: int = 128
    shard_stamps: int = 4096
    workers: int | None = None
    verify: Annotated[bool, Parameter(negative="")] = False
    json_output: Json = False


def shards(*paths: str, options: ShardsOptions = ShardsOptions()) -> None:
    """Pack the stamps of surveys for training: prepared once, a tenth of the bytes, read in sequence.

    Give the surveys and, last, the folder for the shards. It can be stopped at any moment and goes on when run
    again; discovery train pretrain then takes the folder (with @COLUMN for its labels) in place of the surveys.

    Parameters
    ----------
    paths
        SURVEY... OUT: surveys, each with @COLUMN behind it where a column's labels are to be kept, and a folder.
    """
    if len(paths) < 2:
        raise ConfigError("Name at least one survey and, last, the folder for the shards.")
    check_paths_exist([source.partition("@")[0] for source in paths[:-1]])
    from training.data.shard_packer import pack
    from training.data.shards import DAMAGED_FILE

    folder = Path(paths[-1])
    chosen = default_workers() if options.workers is None else options.workers
    made = pack(paths[:-1], folder, dtype=options.dtype, size=options.size, shard_stamps=options.shard_stamps, workers=chosen, verify=options.verify)
    pixels = made.stamps * 3 * options.size**2 * (1 if options.dtype == "uint8" else 2)
    if options.json_output:
        counts = {name: getattr(made, name) for name in ("stamps", "training", "validating", "damaged")}
        print(json.dumps({"shards": str(folder), **counts, "files": len(made.files), "bytes": pixels, "classes": made.classes}))
        return
    print(f"{folder}: {made.stamps} stamps in {len(made.files)} shards, {pixels / 1e9:.3f} GB; {made.training} train, {made.validating} of them validate")
    if made.damaged:
        print(f"{made.damaged} could not be used: {folder / DAMAGED_FILE}")
