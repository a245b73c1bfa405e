"""The connection to a Ray cluster, and what its failures mean."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

from discovery.errors import ConfigError, LostWorker

START_WAIT_SECONDS = "180"
"""How long Ray waits for its own processes where it is started here; its 30 s are too few for a busy machine."""
STORE_BYTES = 2**30
"""Shared memory of a cluster of this machine alone, for what passes between its processes."""


@contextlib.contextmanager
def ray_cluster(address: str | None, *, store_bytes: int = STORE_BYTES) -> Iterator[Any]:
    """Connect to a cluster and give the module `ray`; disconnect at the end, unless we were connected before.

    No dashboard is started, and nothing is reported to anybody.

    Parameters
    ----------
    address : str or None
        Of the cluster; None uses the one this process is connected to, or starts one of this machine alone.
    store_bytes : int
        Shared memory of a cluster that is started here.

    Raises
    ------
    ConfigError
        If Ray is not installed or the cluster cannot be reached.
    """
    ray = _imported()
    _knock(address)
    if ray.is_initialized():
        yield ray
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    own: dict[str, Any] = {} if address else {"include_dashboard": False, "object_store_memory": store_bytes}
    try:
        ray.init(address=address or "local", **quiet, **own)
    except (Exception, SystemExit) as problem:  # Ray raises many kinds, plain ones among them, and even wants to exit
        raise _unreachable(address, problem) from problem
    try:
        yield ray
    finally:
        ray.shutdown()


def ray_result(ray: Any, refs: Any) -> Any:
    """Return what remote calls gave, one or a list of them.

    Raises
    ------
    LostWorker
        If a process or machine of the cluster is gone.
    Exception
        Whatever was raised in the call itself.
    """
    errors = ray.exceptions
    try:
        return ray.get(refs)
    except errors.RayTaskError as problem:
        raise problem.cause from problem
    except (errors.RayActorError, errors.RaySystemError, errors.ObjectLostError, errors.WorkerCrashedError, errors.NodeDiedError) as problem:
        raise LostWorker(last_line(problem)) from problem


def last_line(problem: BaseException) -> str:
    """Return the last line of what Ray says, which is the one for people."""
    return (str(problem).strip().splitlines() or [type(problem).__name__])[-1].strip()


def _imported() -> Any:
    """Return the module `ray`, set to report nothing to anybody."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_raylet_start_wait_time_s", START_WAIT_SECONDS)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change in its next version
    try:
        import ray
        import ray.exceptions
    except ImportError as problem:
        raise ConfigError("--engine ray needs Ray: install discovery with its extra 'cluster', or 'ray' itself.") from problem
    return ray


def _knock(address: str | None) -> None:
    """Raise ConfigError where nobody listens at HOST:PORT; Ray would try for a minute."""
    host, _, port = (address or "").rpartition(":")
    if port.isdecimal() and "/" not in host:
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as problem:
            raise _unreachable(address, problem) from problem


def _unreachable(address: str | None, problem: BaseException) -> ConfigError:
    return ConfigError(f"The Ray cluster {address or 'of this machine'} cannot be reached: {problem}")
