import numpy as np
import pytest

from int4_conformer import verify_steppable
from int4_conformer.models.transformer_block import TransformerBlock
from tests.support.examples import heavy
from tests.support.streaming import SEGMENTS_ALONE, noise

X = noise([2, 5, 8])
MASK = np.arange(5) < np.array([[5], [2]])


def built(**options):
    block = TransformerBlock(8, 2, expansion=2, dropout=0.1, **options)
    block.build(X.shape)
    return block


def test_a_block_is_its_modules_and_their_residuals():
    block = built()
    x = X + block.attention(X, MASK)
    expected = block.norm(x + block.ffn(x))
    np.testing.assert_allclose(block(X, MASK), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("chunk", "left_context", "options"),
    # A Conformer has the same modules, and is checked in full.
    [(4, 2, SEGMENTS_ALONE), (1, 3, SEGMENTS_ALONE), (1, 0, SEGMENTS_ALONE), *heavy((4, 2, {}))],
)
def test_segments_are_the_whole(chunk, left_context, options):
    block = built(chunk=chunk, left_context=left_context)
    verify_steppable(block, noise([3, 13, 8]), lengths=[13, 5, 9], **options)
