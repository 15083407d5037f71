import dataclasses

import numpy as np
import pytest

from int4_conformer.layers import RelativePositions
from int4_conformer.models import ConformerEncoder, EncoderConfig
from int4_conformer.models.conformer import ConformerBlock
from int4_conformer.quant import Recipe

CONFIG = EncoderConfig(dim=8, blocks=2, heads=2, kernel_size=3, expansion=2, dropout=0.1)
STACK = 3
FEATURES = np.random.default_rng(0).standard_normal([2, 15, 4]).astype(np.float32)
MASK = np.arange(5) < np.array([[5], [2]])


def encoder(recipe="float"):
    return ConformerEncoder(CONFIG, STACK, Recipe.preset(recipe), name="encoder")


def test_a_block_is_its_modules_and_their_residuals():
    block = ConformerBlock(CONFIG, Recipe.preset("float"))
    x = FEATURES[:, :10].reshape(2, 5, 8)
    positions = RelativePositions(4)(x)
    y = block(x, positions, padding_mask=MASK)
    x = x + 0.5 * block.ffn_start(x)
    x = x + block.attention(x, positions, padding_mask=MASK)
    x = x + block.convolution(x, padding_mask=MASK)
    x = x + 0.5 * block.ffn_end(x)
    np.testing.assert_allclose(y, block.norm(x), rtol=1e-4, atol=1e-5)


def test_the_encoder_stacks_frames_and_runs_its_blocks():
    layer = encoder()
    y = layer(FEATURES, padding_mask=MASK)
    assert y.shape == (2, 5, 8)
    kernel, bias = layer.input_dense.get_weights()
    x = np.stack([FEATURES[:, 3 * t : 3 * t + 3].reshape(2, -1) for t in range(5)], axis=1)
    x = layer.input_norm(x @ kernel + bias)
    for block in layer.blocks:
        x = block(x, RelativePositions(4)(x), padding_mask=MASK)
    assert len(layer.blocks) == 2
    np.testing.assert_allclose(y, x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recipe", ["float", "w4a8"])
def test_padded_frames_change_no_real_frame(recipe):
    layer = encoder(recipe)
    y = layer(FEATURES, padding_mask=MASK).numpy()
    mask = np.repeat(MASK, STACK, axis=1)[..., None]
    other = np.where(mask, FEATURES, 100 * FEATURES[:, ::-1])
    np.testing.assert_array_equal(layer(other, padding_mask=MASK)[MASK], y[MASK])


def test_dropout_is_for_training():
    layer = encoder()
    np.testing.assert_array_equal(layer(FEATURES), layer(FEATURES))
    first, second = (layer(FEATURES, training=True) for _ in range(2))
    assert np.any(first != second)


def test_its_layers_have_the_paths_that_recipes_match():
    layer = encoder()
    layer(FEATURES)
    paths = {weight.path for weight in layer.weights if weight.path.endswith("/kernel")}
    modules = {
        "ffn_start": ["up", "down"],
        "ffn_end": ["up", "down"],
        "attention": ["query", "position", "key", "value", "output"],
        "convolution": ["up", "down"],
    }
    assert paths == {"encoder/input/kernel"} | {
        f"encoder/block_{n}/{module}/{name}/kernel"
        for n in range(2)
        for module, names in modules.items()
        for name in names
    }


def test_a_recipe_reaches_every_matmul_by_that_path():
    seen = []

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Spy(Recipe):
        def config(self):
            seen.append(self.path)
            return super().config()

    recipe = Spy(name="spy", rules=Recipe.preset("float").rules).at("encoder")
    layer = ConformerEncoder(CONFIG, STACK, recipe, name="encoder")
    layer(FEATURES)
    kernels = [weight.path for weight in layer.weights if weight.path.endswith("/kernel")]
    assert sorted(seen) == sorted(path.removesuffix("/kernel") for path in kernels)
