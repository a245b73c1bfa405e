"""Reaching a Ray cluster."""

import pytest

from discovery.errors import ConfigError
from discovery.processes.ray_cluster import ray_cluster

pytestmark = pytest.mark.ray


def test_a_cluster_that_is_not_there_is_one_error():
    import ray

    before = ray.is_initialized()  # other tests of this process may be connected to another one
    with pytest.raises(ConfigError, match="cannot be reached"), ray_cluster("127.0.0.1:1"):
        pass
    assert ray.is_initialized() == before
