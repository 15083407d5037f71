import dataclasses

import numpy as np
import pytest

from int4_conformer.layers import Span
from int4_conformer.models import EncoderConfig
from int4_conformer.models.conformer_block import ConformerBlock
from int4_conformer.quant import Recipe
from tests.support import streaming

CONFIG = EncoderConfig(dim=8, blocks=2, heads=2, kernel_size=3, expansion=2, dropout=0.1)
X = streaming.noise([2, 5, 8])
MASK = np.arange(5) < np.array([[5], [2]])
SPAN = Span(dim=4)


def built(attends=True, chunk=None, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    block = ConformerBlock(config, chunk, Recipe.preset("float"), attends)
    block(X[:, :4], frames=SPAN.whole(X[:, :4]))
    return block


@pytest.mark.parametrize("attends", [True, False])
def test_a_block_is_its_modules_and_their_residuals(attends):
    block, frames = built(attends), SPAN.whole(X, MASK)
    y = block(X, frames=frames)
    x = X + 0.5 * block.ffn_start(X)
    if attends:
        x = x + block.attention(x, frames=frames)
    x = x + block.convolution(x, MASK)
    x = x + 0.5 * block.ffn_end(x)
    np.testing.assert_allclose(y, block.norm(x), rtol=1e-4, atol=1e-5)


def test_a_block_without_attention_has_no_weights_for_it():
    paths = [weight.path for weight in built(attends=False).weights]
    assert paths
    assert not [path for path in paths if "attention" in path]


@pytest.mark.parametrize("attends", [True, False])
@pytest.mark.parametrize(("chunk", "left_context", "kernel_size"), [(1, 3, 4), (4, 2, 5)])
def test_segments_are_the_whole(attends, chunk, left_context, kernel_size):
    block = built(attends, chunk, kernel_size=kernel_size)
    span = Span(dim=4, chunk=chunk, left_context=left_context)
    streaming.assert_streams(
        streaming.of_block(block, span), streaming.noise([3, 13, 8]), lengths=[13, 5, 9]
    )
