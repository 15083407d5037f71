import numpy as np
import pytest

from int4_conformer import verify_steppable
from int4_conformer.models.conformer_block import ConformerBlock
from tests.support.streaming import SEGMENTS_ALONE, noise

X = noise([2, 5, 8])
MASK = np.arange(5) < np.array([[5], [2]])


def built(heads=2, kernel_size=3, **options):
    block = ConformerBlock(8, heads, kernel_size, expansion=2, dropout=0.1, **options)
    block.build(X.shape)
    return block


@pytest.mark.parametrize("heads", [2, 0])
def test_a_block_is_its_modules_and_their_residuals(heads):
    block = built(heads)
    x = X + 0.5 * block.ffn_start(X)
    if heads:
        x = x + block.attention(x, MASK)
    x = x + block.convolution(x, MASK)
    x = x + 0.5 * block.ffn_end(x)
    np.testing.assert_allclose(block(X, MASK), block.norm(x), rtol=1e-4, atol=1e-5)


def test_a_block_without_attention_has_no_weights_for_it():
    paths = [weight.path for weight in built(heads=0).weights]
    assert paths
    assert not [path for path in paths if "attention" in path]


@pytest.mark.parametrize(
    ("heads", "chunk", "left_context", "kernel_size", "options"),
    [
        (2, 4, 2, 5, {}),
        (2, 1, 3, 4, SEGMENTS_ALONE),
        (0, 4, 2, 5, SEGMENTS_ALONE),
        (0, 1, 3, 4, SEGMENTS_ALONE),
    ],
)
def test_segments_are_the_whole(heads, chunk, left_context, kernel_size, options):
    block = built(heads, kernel_size, chunk=chunk, left_context=left_context)
    verify_steppable(block, noise([3, 13, 8]), lengths=[13, 5, 9], **options)
