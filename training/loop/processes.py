"""One process or many: `torchrun` starts several, each with its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from discovery.errors import ConfigError

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where this process stands.

    Attributes
    ----------
    rank, world : int
        Number of this process, and how many there are; rank 0 writes files and prints.
    """

    rank: int = 0
    world: int = 1
    device: torch.device = CPU

    @property
    def first(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0


def use_threads(threads: int | None) -> None:
    """Let torch compute in so many threads; as many as it chooses itself when not given."""
    if threads:
        torch.set_num_threads(threads)


@contextmanager
def processes(device: str | None = None) -> Iterator[Place]:
    """Yield this process's place among those that `torchrun` started, if it did; NCCL on GPUs, gloo on CPUs.

    Parameters
    ----------
    device
        ``cpu`` or ``cuda``; CUDA where there is one when not given.
    """
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if kind.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"Device {device}: this machine has no CUDA; use --device cpu.")
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Place(device=torch.device(kind))
        return
    if kind == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        torch.cuda.set_device(local)
        kind = f"cuda:{local}"
    dist.init_process_group("nccl" if kind.startswith("cuda") else "gloo")
    try:
        yield Place(rank=dist.get_rank(), world=world, device=torch.device(kind))
    finally:
        dist.destroy_process_group()


def gather(own: Tensor) -> Tensor:
    """Return the rows of all processes, in rank order; gradients flow into this process's own rows only.

    When every process computes the same loss from all rows, its gradient is the part that runs through its own
    rows, and the parts add up to the whole.
    """
    if not dist.is_initialized():
        return own
    rows = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(rows, own.detach())
    rows[dist.get_rank()] = own
    return torch.cat(rows)


def total(value: Tensor) -> Tensor:
    """Return the sum over all processes, without gradient."""
    value = value.detach().clone()
    if dist.is_initialized():
        dist.all_reduce(value)
    return value


def processes_count() -> int:
    """Return how many processes share the batch."""
    return dist.get_world_size() if dist.is_initialized() else 1


def shared_by_all(value: Tensor) -> Tensor:
    """Return a loss with its gradient scaled, which every process computes from all rows, for DDP, which averages gradients."""
    count = processes_count()
    return value.detach() + count * (value - value.detach()) if count > 1 else value
