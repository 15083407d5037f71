import dataclasses
import json

import pytest

from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.errors import UserError
from int4_conformer.models import (
    EncoderConfig,
    JointConfig,
    PredictorConfig,
    TransducerConfig,
    preset,
)
from int4_conformer.quant import QuantConfig, Recipe

CONFIG = TransducerConfig(
    name="test",
    vocab_size=9,
    encoder=EncoderConfig(dim=8, blocks=1, heads=2, kernel_size=3, expansion=2, dropout=0.2),
    predictor=PredictorConfig(embedding_dim=6, context=3, heads=2),
    joint=JointConfig(dim=8, tied=False),
    front_end=FrontEndConfig(sample_rate=8000, mel_bins=10, window=200, hop=80, stack=2),
    recipe=Recipe(
        name="mixed", rules=(("encoder/.*", QuantConfig(weight_bits=4)), (".*", QuantConfig()))
    ),
    max_symbols_per_frame=2,
)


SECOND_PASS = EncoderConfig(kind="transformer", dim=8, blocks=1, heads=2, chunk=6)
TWO = dataclasses.replace(
    CONFIG,
    name="two passes",
    encoder=dataclasses.replace(
        CONFIG.encoder, blocks=2, chunk=4, left_context=2, reduce_after=1, convolution_blocks=1
    ),
    second_pass=SECOND_PASS,
    shared_decoder=False,
)


@pytest.mark.parametrize(
    "config", [CONFIG, TWO, preset("tiny", vocab_size=30)], ids=lambda c: c.name
)
def test_it_survives_json(config):
    assert TransducerConfig.from_config(json.loads(json.dumps(config.to_config()))) == config


def test_a_config_of_an_earlier_version_is_read():
    config = json.loads(json.dumps(CONFIG.to_config()))
    config["max_symbols"] = config.pop("max_symbols_per_frame")
    assert TransducerConfig.from_config(config) == CONFIG


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": 1}, "`vocab_size` must count the blank .* Received: vocab_size=1"),
        ({"joint": JointConfig(dim=8)}, "needs `joint.dim` equal .* Received: 8 and 6"),
        (
            {"second_pass": dataclasses.replace(SECOND_PASS, subsampling="convolution")},
            "needs subsampling='stack' .* Received: subsampling='convolution'",
        ),
        (
            {"second_pass": dataclasses.replace(SECOND_PASS, blocks=2, reduce_after=1)},
            "no `reduce_after`. Received: .* reduce_after=1",
        ),
        (
            {"second_pass": dataclasses.replace(SECOND_PASS, dim=12)},
            "need encoders of the same `dim`. Received: 8 and 12",
        ),
    ],
)
def test_refused_sizes(change, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(CONFIG, **change)


@pytest.mark.parametrize(("dim", "heads"), [(10, 2), (9, 1), (8, 8)])
def test_relative_positions_need_an_even_width_per_head(dim, heads):
    with pytest.raises(UserError, match=rf"multiple of 2 \* heads .* dim={dim}, heads={heads}"):
        EncoderConfig(dim=dim, blocks=1, heads=heads, kernel_size=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "rnn"}, "must be one of conformer, transformer, lstm. Received: kind='rnn'"),
        ({"subsampling": "pool"}, "must be one of stack, convolution. Received: subsampling='pool"),
        (
            {"kind": "transformer", "convolution_blocks": 1},
            "Only a Conformer .* kind='transformer', convolution_blocks=1",
        ),
        ({"reduce_after": 0}, "blocks on both sides. Received: reduce_after=0, blocks=4"),
        ({"reduce_after": 4}, "blocks on both sides. Received: reduce_after=4, blocks=4"),
        ({"reduce_after": 2, "chunk": 3}, "must be even. Received: chunk=3, left_context=None"),
        (
            {"reduce_after": 2, "chunk": 1, "left_context": 3},
            "must be even. Received: chunk=1, left_context=3",
        ),
    ],
)
def test_refused_encoders(change, message):
    config = EncoderConfig(dim=8, blocks=4, heads=2, kernel_size=3)
    with pytest.raises(UserError, match=message):
        dataclasses.replace(config, **change)


@pytest.mark.parametrize(
    ("chunk", "reduce_after", "segment"),
    [(None, None, None), (None, 1, None), (1, None, 1), (1, 1, 2), (4, 1, 4), (3, None, 3)],
)
def test_a_segment_is_whole_chunks_and_whole_reduced_frames(chunk, reduce_after, segment):
    config = EncoderConfig(dim=8, blocks=2, heads=2, chunk=chunk, reduce_after=reduce_after)
    assert config.segment == segment


def test_samples_of_frames_and_blocks_of_two_passes():
    # Frames of the first pass are two blocks, and six of those are a chunk of the second.
    assert TWO.frame_samples == 2 * 160
    assert TWO.block_samples == 12 * 160
    assert TWO.encoders == (TWO.encoder, SECOND_PASS)
