"""A corpus and its buckets, for tests of what makes batches."""

import pytest

from int4_conformer.data.buckets import make_buckets
from int4_conformer.text.graphemes import Graphemes
from tests.support import batched


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
    return batched.corpus(tmp_path_factory.mktemp("audio"))


@pytest.fixture(scope="module")
def buckets(utterances):
    return make_buckets(utterances, Graphemes(), count=3, batch_size=4)
