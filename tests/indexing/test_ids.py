"""Ids that stand in a survey twice are found, whatever the hashes do."""

import numpy as np
import pyarrow as pa
import pytest

from discovery.errors import SurveyError
from index.catalogue.ids import check_ids


class Named:
    """A survey that is nothing but names."""

    def __init__(self, names):
        self.names = names

    def __len__(self):
        return len(self.names)

    def table(self, start=0, stop=None):
        return pa.table({"object_id": self.names[start:stop]})


@pytest.mark.parametrize("hashes_at_once", [10**6, 1000, 7])
def test_the_first_repeated_id_is_named(hashes_at_once):
    names = [f"object {number}" for number in np.random.default_rng(0).permutation(3000)]
    check_ids(Named(names), hashes_at_once)
    names[2500] = names[17]
    with pytest.raises(SurveyError, match=f"{names[17]} stands at positions 17 and 2500"):
        check_ids(Named(names), hashes_at_once)


@pytest.mark.parametrize("values", [1, 3])
def test_different_ids_with_equal_hashes_are_different(values):
    names = [f"object {number}" for number in range(200)]

    def hash_of(name):
        return len(name) % values

    check_ids(Named(names), 50, hash_of)
    with pytest.raises(SurveyError, match="object 5 stands at positions 5 and 200"):
        check_ids(Named([*names, "object 5"]), 50, hash_of)
