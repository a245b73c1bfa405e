"""Make embeddings by the million with the structure of a real release, as float16 shards that ``EmbeddingShards`` reads.

A mixture of probabilistic principal component analysers (Tipping & Bishop 1999, equations 7 to 9, with hard assignment by
k-means) is fitted to a release: a mean, a share, RANK directions and a rest of equal variance for each cluster. Rows are drawn from it
and scaled to unit length. A dimension above the release's own is reached by a random frame: means and directions keep their
angles, the rest spreads over all dimensions with the same total. ``--check`` tells how like the release the drawn rows are, ``--noise 4`` makes
a harder set.

    python tests/benchmarks/scale_data.py --release releases/demo --rows 1000000 --dimension 768 --out FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import faiss
import msgspec
import numpy as np

from discovery.release.manifest import Shard
from discovery.release.release import open_release
from discovery.release.shards import STORED_DTYPE, EmbeddingShards, unit

ROWS_A_SHARD = 65536
QUERIES = 2000
LEAST_OF_A_CLUSTER = 40
RECORD, QUERIES_FILE = "shards.json", "queries.npy"


@dataclass(frozen=True, kw_only=True)
class Structure:
    """Fitted clusters.

    Attributes
    ----------
    shares : numpy.ndarray
        (K,) that add up to 1.
    means : numpy.ndarray
        (K, D) float32.
    directions : numpy.ndarray
        (K, RANK, D) float32, each as long as the standard deviation along it.
    rest : numpy.ndarray
        (K,) standard deviation of the rest in each dimension.
    """

    shares: np.ndarray
    means: np.ndarray
    directions: np.ndarray
    rest: np.ndarray

    def draw(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Draw (rows, D) unit vectors, clusters mixed."""
        owners = np.sort(rng.choice(len(self.shares), rows, p=self.shares))
        vectors = rng.standard_normal((rows, self.means.shape[1]), dtype=np.float32)
        vectors *= self.rest[owners, None]
        vectors += self.means[owners]
        starts = np.searchsorted(owners, np.arange(len(self.shares) + 1))
        for cluster in np.flatnonzero(np.diff(starts)):
            mine = slice(starts[cluster], starts[cluster + 1])
            depths = rng.standard_normal((mine.stop - mine.start, self.directions.shape[1]), dtype=np.float32)
            vectors[mine] += depths @ self.directions[cluster]
        return unit(vectors[rng.permutation(rows)])

    def noisier(self, factor: float) -> Structure:
        """Return the same clusters with a larger rest: embeddings in which more dimensions matter."""
        return Structure(shares=self.shares, means=self.means, directions=self.directions, rest=self.rest * np.float32(factor))

    def lifted(self, dimension: int, seed: int) -> Structure:
        """Return the same structure in more dimensions."""
        own = self.means.shape[1]
        if dimension == own:
            return self
        frame = np.linalg.qr(np.random.default_rng(seed).standard_normal((dimension, own)))[0].T.astype(np.float32)
        rest = self.rest * np.float32(np.sqrt(own / dimension))
        return Structure(shares=self.shares, means=self.means @ frame, directions=self.directions @ frame, rest=rest)


def fit(vectors: np.ndarray, clusters: int, rank: int, seed: int) -> Structure:
    """Fit the mixture to (n, D) unit vectors."""
    means = faiss.Kmeans(vectors.shape[1], clusters, niter=25, seed=seed, min_points_per_centroid=LEAST_OF_A_CLUSTER)
    means.train(vectors)
    owners = means.index.search(vectors, 1)[1][:, 0]
    kept = [cluster for cluster in range(clusters) if np.count_nonzero(owners == cluster) > rank + 1]
    parts = [_component(vectors[owners == cluster], rank) for cluster in kept]
    counts = np.array([np.count_nonzero(owners == cluster) for cluster in kept], float)
    return Structure(
        shares=counts / counts.sum(),
        means=np.stack([part[0] for part in parts]),
        directions=np.stack([part[1] for part in parts]),
        rest=np.array([part[2] for part in parts], np.float32),
    )


def _component(members: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, float]:
    mean = members.mean(axis=0)
    _, lengths, axes = np.linalg.svd(members - mean, full_matrices=False)
    variances = lengths**2 / (len(members) - 1)
    rest = variances[rank:].sum() / (members.shape[1] - rank)
    deviations = np.sqrt(np.maximum(variances[:rank] - rest, 0))
    return mean, (axes[:rank] * deviations[:, None]).astype(np.float32), float(np.sqrt(rest))


def write_shards(structure: Structure, rows: int, folder: Path, seed: int) -> EmbeddingShards:
    """Write ``rows`` rows, shard by shard, and queries drawn beside them; shards that are there already are kept."""
    (folder / "embeddings").mkdir(parents=True, exist_ok=True)
    dimension, shards = structure.means.shape[1], []
    for number, start in enumerate(range(0, rows, ROWS_A_SHARD)):
        stop = min(start + ROWS_A_SHARD, rows)
        file = folder / f"embeddings/image-{number:05d}.f16"
        if not file.exists() or file.stat().st_size != (stop - start) * dimension * STORED_DTYPE.itemsize:
            drawn = structure.draw(stop - start, np.random.default_rng([seed, number]))
            drawn.astype(STORED_DTYPE).tofile(file)
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        shards.append(Shard(file=f"embeddings/{file.name}", start=start, stop=stop, rows=stop - start, sha256=sha256))
    np.save(folder / QUERIES_FILE, structure.draw(QUERIES, np.random.default_rng([seed, 2**31])))
    (folder / RECORD).write_bytes(msgspec.json.encode({"dimension": dimension, "shards": shards}))
    return EmbeddingShards(folder, shards, dimension)


def open_shards(folder: Path, rows: int | None = None) -> EmbeddingShards:
    """Open what `write_shards` wrote, or its first ``rows`` rows (whole shards)."""
    record = msgspec.json.decode((folder / RECORD).read_bytes())
    shards = [msgspec.convert(shard, Shard) for shard in record["shards"]]
    kept = [shard for shard in shards if rows is None or shard.start < rows]
    return EmbeddingShards(folder, kept, record["dimension"])


def likeness(vectors: np.ndarray) -> dict[str, float]:
    """Return what decides how an inverted file behaves: local dimension, distances, and recall by cells visited.

    The local dimension is the estimate of Levina & Bickel 2004 (equation 8) with MacKay and Ghahramani's mean, 20 neighbours.
    """
    queries = vectors[:500]
    distances = np.sqrt(np.maximum(2 - 2 * np.sort(queries @ vectors[500:].T, axis=1)[:, :-21:-1], 1e-12))
    found = {"local_dimension": float(1 / np.mean(np.log(distances[:, -1:] / distances[:, :-1])))}
    found |= {"first_distance": float(np.median(distances[:, 0])), "twentieth_distance": float(np.median(distances[:, -1]))}
    flat, cells = faiss.IndexFlatIP(vectors.shape[1]), faiss.index_factory(vectors.shape[1], "IVF128,Flat", faiss.METRIC_INNER_PRODUCT)
    flat.add(vectors[500:])
    cells.train(vectors[500:])
    cells.add(vectors[500:])
    truth = flat.search(queries, 100)[1]
    for probes in (1, 2, 4, 8):
        rows = cells.search(queries, 100, params=faiss.SearchParametersIVF(nprobe=probes))[1]
        found[f"recall100_{probes}_of_128"] = float(np.mean([len(np.intersect1d(*pair)) for pair in zip(rows, truth, strict=True)]) / 100)
    return found


def main() -> None:
    """Fit, check or write."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--release", type=Path, required=True, help="the release that is fitted")
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--dimension", type=int, default=None, help="that of the release by default")
    options.add_argument("--clusters", type=int, default=512)
    options.add_argument("--rank", type=int, default=16)
    options.add_argument("--noise", type=float, default=1.0, help="factor on the rest's deviation: above 1 a harder set than the release")
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--check", action="store_true", help="fit half of the release, draw as many and compare with the other half")
    options.add_argument("--out", type=Path, help="folder of the shards")
    asked = options.parse_args()
    release = open_release(asked.release)
    vectors = release.take(np.random.default_rng(asked.seed).permutation(release.count)[:200_000])
    if asked.check:
        half = len(vectors) // 2
        structure = fit(vectors[:half], asked.clusters // 2, asked.rank, asked.seed).noisier(asked.noise)
        made = likeness(structure.draw(half, np.random.default_rng(asked.seed)))
        lifted = likeness(structure.lifted(768, asked.seed).draw(half, np.random.default_rng(asked.seed)))
        for name, value in likeness(vectors[half : 2 * half]).items():
            print(f"{name:24} release {value:7.3f}  drawn {made[name]:7.3f}  drawn in 768 dimensions {lifted[name]:7.3f}")
        return
    if asked.out is None:
        options.error("--out FOLDER is needed to write shards")
    start = time.perf_counter()
    structure = fit(vectors, asked.clusters, asked.rank, asked.seed).noisier(asked.noise)
    structure = structure.lifted(asked.dimension or release.dimension, asked.seed)
    shards = write_shards(structure, asked.rows, asked.out, asked.seed)
    print(f"{shards.count} rows of {shards.dimension} dimensions from {release.name} ({release.count} rows): {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
