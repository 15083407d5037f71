import numpy as np
import pytest

from int4_conformer.layers import Span
from int4_conformer.models import EncoderConfig
from int4_conformer.models.transformer_block import TransformerBlock
from int4_conformer.quant import Recipe
from tests.support import streaming

CONFIG = EncoderConfig(kind="transformer", dim=8, blocks=1, heads=2, expansion=2, dropout=0.1)
X = streaming.noise([2, 5, 8])
MASK = np.arange(5) < np.array([[5], [2]])


def built():
    block = TransformerBlock(CONFIG, None, Recipe.preset("float"))
    block(X, frames=Span(dim=4).whole(X))
    return block


def test_a_block_is_its_modules_and_their_residuals():
    block, frames = built(), Span(dim=4).whole(X, MASK)
    x = X + block.attention(X, frames=frames)
    expected = block.norm(x + block.ffn(x))
    np.testing.assert_allclose(block(X, frames=frames), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("chunk", "left_context"), [(1, 3), (1, 0), (4, 2)])
def test_segments_are_the_whole(chunk, left_context):
    span = Span(dim=4, chunk=chunk, left_context=left_context)
    streaming.assert_streams(
        streaming.of_block(built(), span), streaming.noise([3, 13, 8]), lengths=[13, 5, 9]
    )
