"""A manifest of made embeddings, for releases that a benchmark writes by itself."""

from collections.abc import Sequence

from discovery.release.manifest import (
    IMAGE_SPACE,
    EncoderRecord,
    IndexRecord,
    Manifest,
    Segment,
    Shard,
    SpaceRecord,
    SpaceSegment,
    SurveyRecord,
)


def bare_manifest(name: str, dimension: int, shards: Sequence[Shard], index: IndexRecord) -> Manifest:
    """Return the manifest of one segment that came from no survey and no encoder."""
    rows = sum(shard.rows for shard in shards)
    survey = SurveyRecord(
        paths=(), relative_paths=(), table=None, relative_table=None, options={}, format="none", recognised="", fingerprint=""
    )
    space = SpaceRecord(
        name=IMAGE_SPACE,
        dimension=dimension,
        encoder=EncoderRecord(name="none", checksum="0" * 64),
        segments=(SpaceSegment(shards=tuple(shards)),),
        index=index,
    )
    segment = Segment(name=name, first_row=0, rows=rows, survey=survey)
    return Manifest(name=name, rows=rows, plan="none", segments=(segment,), spaces=(space,), measured={})
