"""Small `.tflite` files with the interface of an exported recogniser.

The model hears blocks of 640 samples. Whichever quarter of a block is loudest decides the token:
quarter 0, or silence, is the blank.
"""

import functools

import numpy as np
from ai_edge_quantizer import model_modifier, qtyping

from int4_conformer import interface
from int4_conformer.text.vocabulary import Vocabulary
from int4_conformer.tflite import flatbuffer, metadata

BLOCK_SAMPLES = 640
VOCABULARY = Vocabulary(pieces=("<blank>", "▁a", "b", "▁c"))
# [tokens, samples]: the codes of the one weight, whose scale is 1/7.
CODES = 7 * np.eye(4, dtype=np.int8).repeat(BLOCK_SAMPLES // 4, axis=1)


def pcm(tokens, amplitude=0.5):
    """float32 `[640 * tokens]` that the model hears as these ids; with a tone, so that it is more
    than silence."""
    loud = amplitude * np.eye(4, dtype=np.float32)[tokens].repeat(BLOCK_SAMPLES // 4)
    tone = np.resize(np.float32([1, -1]), len(loud))
    return loud * (1 + tone / 4) + tone / 1024


def talk(tokens):
    """As `pcm`, with silence in place of blanks."""
    is_silent = np.repeat(np.equal(tokens, 0), BLOCK_SAMPLES)
    return np.where(is_silent, pcm(tokens, 0), pcm(tokens)).astype(np.float32)


@functools.cache
def float_model(table_rows=8):
    """The network in float32, without metadata; each row of its table adds 16 bytes."""
    import tensorflow as tf

    # Grows the file. Its column of the blank wins in silence, its scale cannot otherwise decide.
    table = np.random.default_rng(0).uniform(-1, 1, [table_rows, 4]).astype(np.float32)
    table[:, 0] = 2

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name=interface.PCM)])
    def recognize(pcm):
        blocks = tf.reshape(pcm, [-1, BLOCK_SAMPLES])
        logits = tf.matmul(blocks, CODES.T.astype(np.float32) / 7)
        logits += 1e-6 * tf.gather(table, tf.shape(blocks)[0] % table_rows)
        ids = tf.argmax(logits, axis=-1, output_type=tf.int32)
        labels = tf.boolean_mask(ids, ids > 0)
        count = tf.size(labels)
        padding = [[0, tf.size(ids) - count]]
        log_probs = tf.reduce_max(tf.nn.log_softmax(logits), axis=-1)
        return {
            interface.TOKENS: tf.pad(labels, padding),
            interface.COUNT: count,
            interface.FRAMES: tf.pad(
                tf.boolean_mask(tf.cumsum(tf.ones_like(ids)) - 1, ids > 0), padding
            ),
            interface.LOG_PROBS: tf.pad(tf.boolean_mask(log_probs, ids > 0), padding),
        }

    module = tf.Module()
    module.recognize = recognize
    concrete = recognize.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()


def serialize(model, quantize=True):
    """Serialized bytes of a parsed `float_model`, its weight packed to INT4."""
    parameters = {}
    constants = {constant.name: constant for constant in flatbuffer.constants(model)}
    for index, operator in enumerate(flatbuffer.operators(model)):
        if quantize and operator.name == "FULLY_CONNECTED":
            name = model.subgraphs[0].tensors[operator.inputs[1]].name.decode()
            assert constants[name].shape == CODES.shape
            quantization = qtyping.UniformQuantParams(
                num_bits=4,
                quantized_dimension=0,
                scale=np.full([4, 1], 1 / 7, np.float32),
                zero_point=np.zeros([4, 1], np.int32),
                symmetric=True,
                quantized_data=CODES,
            )
            consumer = qtyping.OpToTensorParams(
                index, [qtyping.QuantTransformation.QUANTIZE_TENSOR], quantization
            )
            parameters[name] = qtyping.TensorTransformationParams(name, None, [consumer])
    assert bool(parameters) == quantize
    return bytes(model_modifier.ModelModifier(model).modify_model(parameters))


def facts(delegate="xnnpack", sample_rate=16000, timed=True):
    """Metadata of these models."""
    return metadata.Metadata(
        sample_rate=sample_rate,
        block_samples=BLOCK_SAMPLES,
        vocabulary=VOCABULARY,
        recipe="int4",
        delegate=delegate,
        model={"preset": "test", "dim": 4},
        frame_samples=BLOCK_SAMPLES if timed else None,
    )


@functools.cache
def recognizer(delegate="xnnpack", sample_rate=16000, table_rows=8, timed=True):
    """A sealed file with an INT4 weight; from 20000 table rows on, its buffers lie outside."""
    model = flatbuffer.load(float_model(table_rows))
    metadata.attach(model, facts(delegate, sample_rate, timed))
    return metadata.seal(serialize(model))
