import dataclasses
import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.audio.augment import SpecAugmentConfig
from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.errors import UserError
from int4_conformer.losses import ctc_loss, rnnt_loss
from int4_conformer.models import (
    EncoderConfig,
    JointConfig,
    PredictorConfig,
    Transducer,
    TransducerConfig,
)
from int4_conformer.quant import QuantConfig, Recipe
from int4_conformer.search.beam_config import BeamConfig
from tests.support.examples import heavy

CONFIG = TransducerConfig(
    name="test",
    vocab_size=7,
    encoder=EncoderConfig(dim=16, blocks=2, heads=2, kernel_size=5, dropout=0.1),
    predictor=PredictorConfig(embedding_dim=12),
    joint=JointConfig(dim=12),
    front_end=FrontEndConfig(mel_bins=20),
    recipe=Recipe.preset("float"),
)
BLOCK = CONFIG.front_end.block
# The last utterance ends inside a block.
LENGTHS = np.int32([9 * BLOCK, 4 * BLOCK, 6 * BLOCK - 100])
FRAMES = [9, 4, 6]
LABELS = np.int32([[1, 2, 3], [4, 5, 0], [6, 0, 0]])


def random_pcm(blocks):
    """Noise that is louder in some places, zero past the end."""
    rng = np.random.default_rng(0)
    pcm = rng.standard_normal([3, 9 * BLOCK]) * np.exp(rng.uniform(-4, 0, [3, 9])).repeat(BLOCK, 1)
    pcm[np.arange(9 * BLOCK) >= LENGTHS[:, None]] = 0
    return np.pad(0.1 * pcm, [[0, 0], [0, (blocks - 9) * BLOCK]]).astype(np.float32)


PCM = random_pcm(9)


def built(recipe="float", **changes):
    """A model that emits symbols and blanks."""
    keras.utils.set_random_seed(4)
    config = dataclasses.replace(CONFIG, recipe=Recipe.preset(recipe), **changes)
    model = Transducer(config)
    model.build()
    model.front_end.adapt([(PCM, LENGTHS)])
    # Fresh tables are small: scaled up, the symbols depend on what was heard.
    embeddings = model.predictor.embedding.embeddings
    embeddings.assign(4.0 * embeddings)
    return model


@pytest.fixture(scope="module")
def float_model():
    return built()


@pytest.fixture(scope="module")
def quantized_model():
    return built("w4a8")


@pytest.fixture(params=["float", "w4a8"])
def model(request, float_model, quantized_model):
    return float_model if request.param == "float" else quantized_model


def test_logits_are_the_joint_of_encoder_and_prediction(model):
    logits = model({"pcm": PCM, "pcm_length": LENGTHS, "labels": LABELS})
    assert logits.shape == (3, 9, 4, 7)
    assert logits.dtype == tf.float32
    expected = model.joint(model.encode(PCM, LENGTHS)[0], model.predictor(LABELS))
    np.testing.assert_array_equal(logits, expected)


def test_a_begun_block_is_a_frame(float_model):
    lengths = np.int32([0, 1, BLOCK - 1, BLOCK, BLOCK + 1])
    np.testing.assert_array_equal(float_model.encoded_length(lengths), [0, 1, 1, 1, 2])
    np.testing.assert_array_equal(float_model.encoded_length(LENGTHS), FRAMES)


def test_padding_changes_no_real_frame(model):
    encoded = model.encode(PCM, LENGTHS)[0].numpy()
    longer = model.encode(random_pcm(12), LENGTHS)[0].numpy()
    # In float32 sums come in another order; seldom that turns an activation's code by one.
    tolerance = 1e-4 if model.config.recipe.name == "float" else 0.1
    for row, frames in enumerate(FRAMES):
        alone = model.encode(PCM[row : row + 1, : frames * BLOCK])[0][0]
        np.testing.assert_allclose(longer[row, :frames], encoded[row, :frames], atol=tolerance)
        np.testing.assert_allclose(alone, encoded[row, :frames], atol=tolerance)


def test_lengths_say_what_is_padding(float_model):
    padded, whole = float_model.encode(PCM, LENGTHS)[0], float_model.encode(PCM)[0]
    np.testing.assert_allclose(padded[0], whole[0], atol=1e-5)
    assert np.abs(padded[1, :4] - whole[1, :4]).max() > 0.01


def test_a_batch_is_recognised_as_its_utterances(model):
    tokens, count, *_ = (x.numpy() for x in model.recognize(PCM, LENGTHS))
    assert tokens.shape == (3, 9 * 4)
    assert np.all(count > 0)
    assert len({tuple(row) for row in tokens}) > 1
    for row, frames in enumerate(FRAMES):
        alone, alone_count, *_ = model.recognize(PCM[row : row + 1, : frames * BLOCK])
        assert alone_count == count[row]
        np.testing.assert_array_equal(alone[0, : count[row]], tokens[row, : count[row]])
        assert not np.any(tokens[row, count[row] :])


def test_recognising_in_a_graph_is_the_same(quantized_model):
    recognize = tf.function(
        lambda pcm: quantized_model.recognize(pcm),
        input_signature=[tf.TensorSpec([1, None])],
        autograph=False,
    )
    for row, frames in enumerate(FRAMES):
        pcm = PCM[row : row + 1, : frames * BLOCK]
        compiled, eager = recognize(pcm), quantized_model.recognize(pcm)
        for some, others in zip(compiled[:3], eager[:3], strict=True):
            np.testing.assert_array_equal(some, others)
        np.testing.assert_allclose(compiled.log_probs, eager.log_probs, atol=1e-5)


def test_max_symbols_per_frame_is_honoured():
    model = Transducer(dataclasses.replace(CONFIG, max_symbols_per_frame=1))
    model.build()
    model.joint.output_bias.assign([-100.0] + [0.0] * 6)
    np.testing.assert_array_equal(model.recognize(PCM, LENGTHS).count, FRAMES)


def test_the_penalty_of_the_blank_is_a_smaller_bias_to_searches_alone(float_model):
    model = built(blank_penalty=0.5)
    bias = model.joint.output_bias
    batch = {"pcm": PCM, "pcm_length": LENGTHS, "labels": LABELS}
    np.testing.assert_array_equal(model(batch), float_model(batch))
    few = BeamConfig(beam_size=2)
    greedy, beam = model.recognize(PCM, LENGTHS), model.beam_search(PCM, LENGTHS, config=few)
    assert sum(greedy.count) > sum(float_model.recognize(PCM, LENGTHS).count)
    model = built()
    model.joint.output_bias.assign(bias - 0.5 * tf.one_hot(0, bias.shape[0]))
    tf.nest.map_structure(np.testing.assert_array_equal, greedy, model.recognize(PCM, LENGTHS))
    np.testing.assert_array_equal(beam.ids, model.beam_search(PCM, LENGTHS, config=few).ids)


def test_every_weight_but_the_statistics_trains(quantized_model):
    batch = {"pcm": PCM, "pcm_length": LENGTHS, "labels": LABELS}
    statistics = {weight.path for weight in quantized_model.front_end.weights}
    trainable = quantized_model.trainable_variables
    assert {weight.path for weight in quantized_model.weights} - {
        weight.path for weight in trainable
    } == statistics
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(quantized_model(batch) ** 2)
    for weight, gradient in zip(trainable, tape.gradient(loss, trainable), strict=True):
        assert gradient is not None, weight.path
        assert np.any(tf.convert_to_tensor(gradient) != 0), weight.path


def test_training_augments_the_features(float_model):
    options = {"augment": SpecAugmentConfig(), "seed": tf.constant([0, 1])}
    plain = float_model.encode(PCM, LENGTHS)[0]
    masked, again = (float_model.encode(PCM, LENGTHS, **options)[0] for _ in range(2))
    np.testing.assert_array_equal(masked, again)
    assert np.any(masked != plain)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_weights_have_the_paths_that_reports_name(tied):
    model = built(joint=JointConfig(dim=12, tied=tied))
    paths = {weight.path.removeprefix("test/") for weight in model.weights}
    assert len(paths) == len(model.weights)
    output = {"joint/output_bias"} if tied else {"joint/output/kernel", "joint/output/bias"}
    assert {path for path in paths if not path.startswith("encoder/")} == output | {
        "front_end/mean",
        "front_end/inverse_std",
        "joint/encoder/kernel",
        "joint/encoder/bias",
        "predictor/embedding/embeddings",
        "predictor/norm/beta",
        "predictor/norm/gamma",
        "predictor/position_vectors",
        "predictor/projection/bias",
        "predictor/projection/kernel",
    }


@pytest.mark.parametrize("pattern", ["encoder/block_2/.*", "encoder/input_norm", "joint/embedding"])
def test_a_rule_for_no_layer_is_refused(pattern):
    rules = ((pattern, QuantConfig(weight_bits=4)), (".*", QuantConfig()))
    model = Transducer(dataclasses.replace(CONFIG, recipe=Recipe(name="odd", rules=rules)))
    with pytest.raises(UserError, match=f"`odd`: rule '{re.escape(pattern)}' decides for no layer"):
        model.build()


def test_a_clone_computes_the_same(quantized_model):
    config = json.loads(json.dumps(quantized_model.get_config()))
    clone = Transducer.from_config(config)
    assert clone.config == quantized_model.config
    clone.build()
    clone.set_weights(quantized_model.get_weights())
    encoded = quantized_model.encode(PCM, LENGTHS)[0]
    np.testing.assert_array_equal(clone.encode(PCM, LENGTHS)[0], encoded)


def test_a_saved_model_computes_the_same(tmp_path, quantized_model):
    quantized_model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.config == quantized_model.config
    batch = {"pcm": PCM, "pcm_length": LENGTHS, "labels": LABELS}
    np.testing.assert_array_equal(loaded(batch), quantized_model(batch))


SECOND_PASS = EncoderConfig(dim=16, blocks=1, heads=2, kernel_size=3, dropout=0.1)
# Second passes on a causal first one of half the frames: with right context, and its own decoder.
TWO_PASSES = {
    "shared": {
        "encoder": dataclasses.replace(CONFIG.encoder, chunk=1, left_context=4, reduce_after=1),
        "second_pass": dataclasses.replace(SECOND_PASS, chunk=3, left_context=6),
    },
    "own": {
        "encoder": dataclasses.replace(CONFIG.encoder, chunk=2, left_context=2),
        "second_pass": dataclasses.replace(SECOND_PASS, dim=8),
        "shared_decoder": False,
    },
}


@pytest.fixture(scope="module", params=TWO_PASSES)
def two_passes(request):
    return built("w4a8", **TWO_PASSES[request.param])


def test_utterances_are_padded_to_whole_chunks_of_every_pass():
    shared, own = (dataclasses.replace(CONFIG, **TWO_PASSES[name]) for name in ("shared", "own"))
    assert (shared.block_samples, own.block_samples) == (6 * BLOCK, 2 * BLOCK)
    assert (shared.frame_samples, own.frame_samples) == (2 * BLOCK, BLOCK)


def test_a_second_pass_encodes_the_first(two_passes):
    first, second = two_passes.encode(PCM, LENGTHS)
    config = two_passes.config
    padded = -(-9 * BLOCK // config.block_samples) * config.block_samples
    time = padded // config.frame_samples
    assert first.shape == (3, time, config.encoder.dim)
    assert second.shape == (3, time, config.second_pass.dim)
    mask = np.arange(time) < two_passes.encoded_length(LENGTHS)[:, None]
    expected = two_passes.second_pass(first, padding_mask=mask)
    np.testing.assert_array_equal(second, expected)


def test_each_pass_has_its_logits(two_passes):
    for index, encoded in enumerate(two_passes.encode(PCM, LENGTHS)):
        decoder = two_passes.decoders[index]
        expected = decoder.joint(encoded, decoder.predictor(LABELS))
        np.testing.assert_array_equal(decoder.logits(encoded, LABELS), expected)
    batch = {"pcm": PCM, "pcm_length": LENGTHS, "labels": LABELS}
    np.testing.assert_array_equal(two_passes(batch), expected)
    first, second = two_passes.decoders
    assert (first.joint is second.joint) == two_passes.config.shared_decoder


def test_weights_of_both_passes_exist(two_passes):
    parts = {weight.path.removeprefix("test/").split("/")[0] for weight in two_passes.weights}
    own = set() if two_passes.config.shared_decoder else {"second_predictor", "second_joint"}
    assert parts == {"front_end", "encoder", "second_pass", "predictor", "joint"} | own
    paths = [weight.path for weight in two_passes.weights]
    assert len(set(paths)) == len(paths)


def test_longer_padding_changes_no_frame_of_two_passes():
    model = built(**TWO_PASSES["shared"])
    for encoded, longer in zip(
        model.encode(PCM, LENGTHS), model.encode(random_pcm(30), LENGTHS), strict=True
    ):
        for row, frames in enumerate(np.asarray(model.encoded_length(LENGTHS))):
            np.testing.assert_allclose(longer[row, :frames], encoded[row, :frames], atol=1e-4)


@pytest.mark.parametrize("two_passes", ["shared", *heavy("own")], indirect=True)
def test_two_passes_survive_saving(tmp_path, two_passes):
    two_passes.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.config == two_passes.config
    config = json.loads(json.dumps(two_passes.get_config()))
    assert Transducer.from_config(config).config == two_passes.config
    for index, encoded in enumerate(two_passes.encode(PCM, LENGTHS)):
        again = loaded.encode(PCM, LENGTHS)[index]
        np.testing.assert_array_equal(again, encoded)
        logits = two_passes.decoders[index].logits(encoded, LABELS)
        np.testing.assert_array_equal(loaded.decoders[index].logits(again, LABELS), logits)


def test_recipes_reach_the_second_pass():
    parts = "second_pass/.*", "second_predictor/.*", "second_joint/.*"
    rules = [(part, QuantConfig(weight_bits=bits)) for bits, part in enumerate(parts, 4)]
    recipe = Recipe(name="test", rules=(*rules, (".*", QuantConfig())))
    model = Transducer(dataclasses.replace(CONFIG, recipe=recipe, **TWO_PASSES["own"]))
    model.build()
    assert model.second_pass.blocks[0].attention.key_dense.quant.weight_bits == 4
    assert model.second_predictor.projection.quant.weight_bits == 5
    assert model.second_joint.encoder_dense.quant.weight_bits == 6
    assert model.encoder.blocks[0].attention.key_dense.quant.weight_bits is None
    assert model.predictor.projection.quant.weight_bits is None


def losses_of_passes(model, **options):
    rest = LABELS, model.encoded_length(LENGTHS), np.int32([3, 2, 1])
    passes = zip(model.decoders, model.encode(PCM, LENGTHS), strict=True)
    return [decoder.loss(frames, *rest, **options) for decoder, frames in passes]


def ctc_losses_of_passes(model):
    rest = LABELS, model.encoded_length(LENGTHS), np.int32([3, 2, 1])
    passes = zip(model.ctc_heads, model.encode(PCM, LENGTHS), strict=True)
    return [ctc_loss(head(frames), *rest) for head, frames in passes]


def test_the_loss_of_each_pass_is_that_of_its_logits(two_passes):
    lengths = two_passes.encoded_length(LENGTHS)
    options = {"label_smoothing": 0.1}
    found = losses_of_passes(two_passes, **options)
    for index, encoded in enumerate(two_passes.encode(PCM, LENGTHS)):
        logits = two_passes.decoders[index].logits(encoded, LABELS)
        expected = rnnt_loss(logits, LABELS, lengths, np.int32([3, 2, 1]), **options)
        np.testing.assert_allclose(found[index], expected, rtol=1e-5)


@pytest.mark.parametrize("two_passes", ["own", *heavy("shared")], indirect=True)
def test_each_pass_has_a_ctc_head(two_passes, tmp_path):
    assert not two_passes.ctc_heads
    shared = two_passes.config.shared_decoder
    model = built(ctc=True, **TWO_PASSES["shared" if shared else "own"])
    paths = [{weight.path for weight in m.weights} for m in (two_passes, model)]
    assert paths[1] - paths[0] == {
        f"test/ctc_{i}/{name}" for i in (0, 1) for name in ("kernel", "bias")
    }
    losses = ctc_losses_of_passes(model)
    assert all(np.all(loss.numpy() > 0) for loss in losses)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for loss, expected in zip(ctc_losses_of_passes(loaded), losses, strict=True):
        np.testing.assert_array_equal(loss, expected)
