import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer import verify_steppable
from int4_conformer.errors import UserError
from int4_conformer.models import Encoder, EncoderConfig
from int4_conformer.quant import QuantConfig, Recipe
from int4_conformer.steppable_contract import run_segments
from tests.support.examples import heavy
from tests.support.frames import seen_by
from tests.support.streaming import SEGMENTS_ALONE, code_differences, noise

CONFIG = EncoderConfig(dim=8, blocks=2, heads=2, kernel_size=3, expansion=2, dropout=0.1)
STACK, BINS = 3, 4
# As the preset, without a compiler for every shape.
W4A8 = Recipe(
    name="w4a8",
    rules=((".*", dataclasses.replace(QuantConfig.from_name("w4c_a8d"), backend="exact_float")),),
)
FEATURES = np.random.default_rng(0).standard_normal([2, 15, BINS]).astype(np.float32)
MASK = np.arange(5) < np.array([[5], [2]])

# What a stream can be made of; of one block, where two are no more than that twice.
STREAMED = {
    "causal": {"chunk": 1, "left_context": 4, "blocks": 1},
    "chunks": {"chunk": 4, "left_context": 2, "blocks": 1},
    "convolution blocks": {"chunk": 2, "left_context": 3, "convolution_blocks": 1},
    "causal and reduced": {"chunk": 1, "left_context": 4, "reduce_after": 1},
    "chunks and reduced": {"chunk": 4, "left_context": 2, "reduce_after": 1},
    "subsampled": {"chunk": 3, "left_context": 3, "subsampling": "convolution", "blocks": 1},
    "transformer": {"kind": "transformer", "chunk": 2, "left_context": 5, "blocks": 1},
    "reduced transformer": {
        "kind": "transformer",
        "chunk": 2,
        "left_context": 4,
        "reduce_after": 1,
        "subsampling": "convolution",
    },
}


def encoder(quant=None, stack=STACK, **changes):
    keras.utils.set_random_seed(0)
    layer = Encoder(
        dataclasses.replace(CONFIG, **changes), stack, BINS, quant=quant, name="encoder"
    )
    layer.build([None, None, BINS])
    return layer


def streamed(options, quant=None):
    """An encoder of 4 features of 4 frames each."""
    return encoder(quant, stack=4, **options)


def mask_of(time):
    return np.arange(time) < np.array([[8], [3]])


def test_the_encoder_stacks_frames_and_runs_its_blocks():
    layer = encoder()
    y = layer(FEATURES, padding_mask=MASK)
    assert y.shape == (2, 5, 8)
    kernel, bias = layer.input_dense.get_weights()
    x = np.stack([FEATURES[:, 3 * t : 3 * t + 3].reshape(2, -1) for t in range(5)], axis=1)
    x = layer.input_norm(x @ kernel + bias)
    for block in layer.blocks:
        x = block(x, MASK)
    assert len(layer.blocks) == 2
    np.testing.assert_allclose(y, x, rtol=1e-4, atol=1e-5)


def test_neighbouring_frames_become_one():
    layer = encoder(reduce_after=1, chunk=4, left_context=2)
    features = noise([2, 24, BINS])
    mask = mask_of(8)
    y = layer(features, padding_mask=mask)
    assert y.shape == (2, 4, 8)
    x = layer.input_norm(layer.input_dense(features.reshape(2, 8, 12)))
    x = layer.blocks[0](x, mask).numpy()
    x[~mask] = 0
    mask = mask[:, ::2]
    kernel, bias = layer.reduction.get_weights()
    x = x.reshape(2, 4, 16) @ kernel + bias
    x = layer.blocks[1](x, mask)
    np.testing.assert_allclose(y[mask], x[mask], rtol=1e-4, atol=1e-5)


def test_convolutions_come_before_the_projection():
    layer = encoder(stack=4, subsampling="convolution", blocks=1)
    features = noise([2, 20, BINS])
    x = layer.input_norm(layer.input_dense(layer.subsampling(features)))
    x = layer.blocks[0](x)
    np.testing.assert_allclose(layer(features), x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("quant", "options"),
    [
        (None, {}),
        (None, {"reduce_after": 1}),
        (None, {"chunk": 4, "stack": 4, "subsampling": "convolution"}),
        (W4A8, {"reduce_after": 1}),
    ],
    ids=["float", "reduced", "subsampled", "reduced in w4a8"],
)
def test_padded_frames_change_no_real_frame(quant, options):
    layer, mask = encoder(quant, **options), mask_of(8)
    features = noise([2, 8 * layer.stack, BINS])
    y = layer(features, padding_mask=mask).numpy()
    inputs = np.repeat(mask, layer.stack, axis=1)[..., None]
    other = np.where(inputs, features, 100 * features[:, ::-1])
    again = layer(other, padding_mask=mask).numpy()
    mask = mask[:, :: layer.config.reduction]
    np.testing.assert_array_equal(again[mask], y[mask])


@pytest.mark.parametrize("name", STREAMED)
def test_more_padding_changes_no_real_frame(name):
    layer = streamed(STREAMED[name])
    features = noise([2, 4 * 24, BINS])
    longer, shorter = (
        layer(features[:, : 4 * n], padding_mask=mask_of(n)).numpy() for n in (24, 12)
    )
    mask = mask_of(12)[:, :: layer.config.reduction]
    np.testing.assert_allclose(longer[:, : mask.shape[1]][mask], shorter[mask], atol=1e-5)


def test_a_mask_says_what_is_padding():
    layer = encoder()
    padded, whole = layer(FEATURES, padding_mask=MASK), layer(FEATURES, padding_mask=None)
    np.testing.assert_allclose(padded[0], whole[0], atol=1e-5)
    assert np.abs(padded[1, :2] - whole[1, :2]).max() > 0.01


def reach(layer, time):
    """bool [time / reduction, time]: whether a change of the frame of the column is seen."""
    features = noise([time + 1, 1, BINS]) + np.zeros([1, time * layer.stack, 1])
    features[:] = features[:1]
    for frame in range(time):
        features[frame, frame * layer.stack : (frame + 1) * layer.stack] += 1.0
    y = layer(tf.constant(features, tf.float32)).numpy()
    return np.abs(y[:-1] - y[-1:]).max(axis=-1).T > 1e-6


def through(*layers):
    """Which input a stack of layers sees, of which one layer after the other sees what."""
    seen = np.eye(len(layers[0]), dtype=int)
    for sees in layers:
        seen = sees.astype(int) @ seen
    return seen > 0


def under_kernel(time, taps, chunk):
    """bool [time, time]: which frames lie under a depthwise kernel."""
    back = taps - 1 if chunk == 1 else (taps - 1) // 2
    ahead = np.arange(time) - np.arange(time)[:, None]
    limit = np.ones_like(ahead, bool) if chunk is None else seen_by(time, chunk)
    return (ahead >= -back) & (ahead <= taps - 1 - back) & limit


@pytest.mark.parametrize(
    ("chunk", "left_context"), [(None, None), (1, None), (1, 2), (3, None), (3, 0), (4, 2)]
)
def test_what_a_frame_of_a_transformer_sees(chunk, left_context):
    layer = encoder(kind="transformer", chunk=chunk, left_context=left_context)
    sees = seen_by(12, chunk, left_context)
    np.testing.assert_array_equal(reach(layer, 12), through(sees, sees))


@pytest.mark.parametrize("chunk", [None, 1, 3, 4])
@pytest.mark.parametrize("kernel_size", [2, 5])
def test_what_a_frame_of_convolution_blocks_sees(chunk, kernel_size):
    layer = encoder(chunk=chunk, kernel_size=kernel_size, convolution_blocks=2)
    lies = under_kernel(12, kernel_size, chunk)
    np.testing.assert_array_equal(reach(layer, 12), through(lies, lies))


@pytest.mark.parametrize(("chunk", "left_context"), [(1, 2), (4, 0)])
def test_what_a_frame_of_a_conformer_sees(chunk, left_context):
    layer = encoder(chunk=chunk, left_context=left_context, blocks=1)
    sees, lies = seen_by(12, chunk, left_context), under_kernel(12, 3, chunk)
    np.testing.assert_array_equal(reach(layer, 12), through(sees, lies))


@pytest.mark.parametrize(("chunk", "left_context"), [(1, 2), (4, 4)])
def test_what_a_frame_sees_behind_a_reduction(chunk, left_context):
    layer = encoder(kind="transformer", chunk=chunk, left_context=left_context, reduce_after=1)
    pairs = np.arange(12) // 2 == np.arange(6)[:, None]
    later = seen_by(6, max(1, chunk // 2), left_context // 2)
    expected = through(seen_by(12, chunk, left_context), pairs, later)
    np.testing.assert_array_equal(reach(layer, 12), expected)


def test_subsampling_looks_back_a_frame():
    layer = encoder(stack=4, subsampling="convolution", chunk=1, left_context=0, kernel_size=1)
    back = np.arange(12)[:, None] - np.arange(12)
    np.testing.assert_array_equal(reach(layer, 12), (back == 0) | (back == 1))


# What encoders are made of is checked in full, and so are recognisers.
@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, SEGMENTS_ALONE) for name in STREAMED), *heavy(("reduced transformer", {}))],
)
def test_segments_are_the_whole(name, options):
    layer = streamed(STREAMED[name])
    verify_steppable(layer, noise([3, 4 * 13, BINS]), lengths=[13, 5, 9], **options)


@pytest.mark.parametrize("name", ["causal", "reduced transformer", *heavy("chunks and reduced")])
def test_segments_have_the_codes_of_the_whole(name):
    layer, time = streamed(STREAMED[name] | {"dim": 16, "blocks": 2}, W4A8), 528
    x = noise([4, 4 * time, BINS])
    different, total = code_differences(layer, x, time, size=48 // layer.segment_multiple)
    assert total > 7e5
    assert different <= 1e-4 * total


def test_segments_in_integers_are_close_to_the_whole():
    # A code that differs moves what is behind it by a step of its grid.
    layer, x = streamed(STREAMED["chunks"], W4A8), noise([2, 4 * 48, BINS])
    segments = run_segments(layer.step, layer, x, [48, 48], size=3)
    np.testing.assert_allclose(segments, layer(x), atol=0.1)


def test_a_state_is_named_by_the_parts_that_hold_it():
    layer = streamed(STREAMED["convolution blocks"] | {"subsampling": "convolution"})
    shapes = {name: tuple(value.shape) for name, value in layer.initial_state(5).items()}
    assert shapes == {
        "subsampling/convolution_0": (5, 1, BINS, 1),
        "subsampling/convolution_1": (5, 1, BINS // 2, 8),
        "span_0/mask": (5, 3),
        "block_0/convolution/frames": (5, 1, 8),
        "block_1/attention/key": (5, 3, 8),
        "block_1/attention/value": (5, 3, 8),
        "block_1/convolution/frames": (5, 1, 8),
    }


@pytest.mark.parametrize("options", [{}, {"chunk": 3}], ids=str)
def test_an_encoder_that_cannot_stream(options):
    with pytest.raises(UserError, match="A stream needs an end to what its frames see"):
        encoder(**options).initial_state(1)


@pytest.mark.parametrize(
    ("options", "multiple"),
    [({"chunk": 4}, 4), ({"reduce_after": 1}, 2), ({"chunk": 1, "reduce_after": 1}, 2)],
    ids=str,
)
def test_an_utterance_that_ends_within_a_chunk(options, multiple):
    with pytest.raises(UserError, match=f"multiple of {multiple} frames.* Received: 5 frames"):
        encoder(**options)(FEATURES)


def test_dropout_is_for_training():
    layer = encoder()
    np.testing.assert_array_equal(layer(FEATURES), layer(FEATURES))
    first, second = (layer(FEATURES, training=True) for _ in range(2))
    assert np.any(first != second)


MODULES = {
    "ffn_start": ["up", "down"],
    "ffn_end": ["up", "down"],
    "attention": ["query", "position", "key", "value", "output"],
    "convolution": ["up", "down"],
}


def kernels(layer):
    paths = [weight.path for weight in layer.weights if weight.path.endswith("/kernel")]
    return [path.removesuffix("/kernel") for path in paths]


def test_its_layers_have_the_paths_that_recipes_match():
    assert set(kernels(encoder())) == {"encoder/input"} | {
        f"encoder/block_{n}/{module}/{name}"
        for n in range(2)
        for module, names in MODULES.items()
        for name in names
    }


def test_options_add_and_take_away_paths():
    layer = encoder(stack=2, subsampling="convolution", reduce_after=1, convolution_blocks=1)
    expected = {"encoder/subsampling/convolution_0", "encoder/input", "encoder/reduction"} | {
        f"encoder/block_{n}/{module}/{name}"
        for n in range(2)
        for module, names in MODULES.items()
        for name in names
        if (n, module) != (0, "attention")
    }
    assert set(kernels(layer)) == expected


def test_a_transformer_has_attention_and_one_feed_forward_module():
    assert set(kernels(encoder(kind="transformer", blocks=1))) == {
        "encoder/input",
        "encoder/block_0/ffn/up",
        "encoder/block_0/ffn/down",
    } | {f"encoder/block_0/attention/{name}" for name in MODULES["attention"]}


@pytest.mark.parametrize("kind", ["conformer", "transformer"])
def test_a_recipe_reaches_every_matmul_by_that_path(kind):
    seen = []

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Spy(Recipe):
        def config(self):
            seen.append(self.path)
            return super().config()

    recipe = Spy(name="spy", rules=Recipe.preset("float").rules).at("encoder")
    layer = encoder(recipe, stack=2, subsampling="convolution", reduce_after=1, kind=kind)
    assert sorted(seen) == sorted(kernels(layer))


@pytest.mark.parametrize("kind", ["transformer", *heavy("conformer", "lstm")])
def test_stochastic_depth_leaves_blocks_out_in_training_alone(kind):
    still = {"kind": kind, "blocks": 4, "dropout": 0.0}
    layer, plain = encoder(stochastic_depth=0.5, **still), encoder(**still)
    assert [depth.rate for depth in layer.depths] == [0.125, 0.25, 0.375, 0.5]
    for weight, value in zip(layer.weights, plain.weights, strict=True):
        weight.assign(value)
    np.testing.assert_array_equal(layer(FEATURES), plain(FEATURES))
    drawn = {layer(FEATURES, training=True).numpy().tobytes() for _ in range(8)}
    assert len(drawn) > 2
    for depth in layer.depths:
        depth.rate = 0.999999
    projected = plain.input_norm(plain.input_dense(np.reshape(FEATURES, [2, 5, STACK * BINS])))
    np.testing.assert_allclose(layer(FEATURES, training=True), projected, rtol=1e-5, atol=1e-5)


def test_without_stochastic_depth_there_is_no_random_state_of_it():
    count = len(encoder().variables)
    assert len(encoder(stochastic_depth=0.1).variables) == count + CONFIG.blocks


@pytest.mark.parametrize("kind", ["conformer", "transformer"])
def test_deep_stacks_begin_close_to_the_identity(kind):
    # What comes out of a stack still tells frames apart, as what goes in does, however deep it is.
    x = np.random.default_rng(0).standard_normal([1, 40, 4, 8]).astype(np.float32)
    kept = []
    for blocks in (2, 16):
        keras.utils.set_random_seed(1)
        config = dataclasses.replace(
            CONFIG, kind=kind, dim=32, blocks=blocks, chunk=None, left_context=None
        )
        layer = Encoder(config, stack=4, bins=8)
        features = x.reshape(1, 160, 8)
        layer.build(features.shape)
        inputs = layer.input_norm(layer.input_dense(features.reshape(1, 40, 32)))
        outputs = layer(features)
        inputs, outputs = (y[0] - np.mean(y[0], axis=0) for y in (inputs, outputs))
        kept.append(np.sum(inputs * outputs) / np.linalg.norm(inputs) / np.linalg.norm(outputs))
    assert min(kept) > 0.6
    assert kept[1] > kept[0] - 0.15
