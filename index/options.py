"""The options of ``discovery index``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from discovery.errors import ConfigError


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class IndexOptions:
    """Options of ``discovery index``.

    Attributes
    ----------
    name
        Name of the release.
    out
        Folder that the release is made in.
    encoder
        ``default``, ``detail``, a folder with encoder.json, ``lvm:FILE``, ``timm:NAME`` or ``timm:NAME:FILE``; with --add the
        older release's own.
    table
        Table (csv, Parquet, FITS, VOTable) with a row for each stamp of an image folder.
    pixel_scale
        Pixel scale in arcsec, where the files do not tell it.
    style
        Survey that sets the colour rendering: legacy, legacy-dr10 or sdss.
    key
        Column of the table that names the stamps.
    select
        Which objects of a brick are cut out: the usual galaxies, or all.
    max_mag
        Faintest z magnitude of the usual galaxies of a brick.
    side_pixels
        Side of the stamps that are cut out of a brick.
    follow_links
        Read symbolic links that lead out of the given folders, and enter linked folders.
    crop
        Part of a stamp that the encoder sees, where it is not the encoder's own.
    crop_arcsec
        Side of a fixed crop in arcsec.
    memory
        Memory in GiB that the search index may take.
    recall
        Recall@10 and recall@100 that a search shall have, against comparing with every object.
    workers
        Processes that read stamps; by default two fewer than there are cores, at most 8. 0 reads in a
        thread of this one.
        On Ray: processes that embed; by default one a GPU, or one for every four CPUs.
    rebuild
        Start over: drop what is half built of that name, and replace a finished release of other inputs.
    add
        An older release of the same survey: its embeddings are kept and only what is new is embedded.
    drift_sample
        With --add: so many objects of the older release are embedded again from their new stamps, to measure drift.
    engine
        Where stamps are embedded: local, in this process; ray, on every machine of a Ray cluster.
    address
        Ray cluster, such as auto on one of its machines; without it --engine ray uses this machine alone.
    shard
        I/N, I from 0 to N - 1: embed this share of the survey's shards alone, beside other such jobs that share the
        --out folder; 'discovery index merge' finishes.
    precision
        What the encoder computes in: by default bfloat16 on a GPU, else float32. A release has one: finished shards of
        another one are made again where this is given, and an error where not.
    compile
        Compile the encoder (torch.compile): for long runs on a GPU.
    json
        Print one JSON document instead of text.
    """

    name: str
    out: Path = Path("releases")
    encoder: str | None = None
    table: Path | None = None
    pixel_scale: float | None = None
    style: str | None = None
    key: str | None = None
    select: Literal["usual", "all"] = "usual"
    max_mag: float = 20.0
    side_pixels: int = 152
    follow_links: Annotated[bool, Parameter(negative="")] = False
    crop: Literal["adaptive", "fixed", "both"] | None = None
    crop_arcsec: float | None = None
    memory: float = 4.0
    recall: float = 0.95
    workers: int | None = None
    rebuild: bool = False
    add: Path | None = None
    drift_sample: int = 2000
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    shard: str | None = None
    precision: Literal["float32", "bfloat16"] | None = None
    compile: Annotated[bool, Parameter(negative="")] = False
    json: Annotated[bool, Parameter(negative="")] = False

    def __post_init__(self) -> None:
        if self.shard is not None and (self.rebuild or self.engine == "ray"):
            raise ConfigError("--shard is one of several jobs: it does not go with --rebuild or --engine ray.")
        if self.crop is None and self.crop_arcsec is not None:
            raise ConfigError("--crop-arcsec goes with --crop fixed or --crop both.")

    def reading(self) -> dict[str, Any]:
        """Return how the survey is read: the options of `discovery.readers.open_survey`."""
        return {
            "table": self.table,
            "pixel_scale_arcsec": self.pixel_scale,
            "survey": self.style,
            "key": self.key,
            "select": self.select,
            "max_mag": self.max_mag,
            "side_pixels": self.side_pixels,
            "follow_links": self.follow_links or None,
        }
