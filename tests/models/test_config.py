import dataclasses
import json

import pytest

from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.errors import UserError
from int4_conformer.models import (
    EncoderConfig,
    JointConfig,
    PredictorConfig,
    Transducer,
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
    max_symbols=2,
)


@pytest.mark.parametrize(
    ("name", "millions", "dim", "blocks", "heads"),
    [
        ("tiny", 1, 96, 4, 4),
        ("conformer_s", 10, 144, 16, 4),
        ("conformer_m", 30, 256, 16, 4),
        ("conformer_l", 118, 512, 17, 8),
    ],
)
def test_presets_have_the_stated_sizes(name, millions, dim, blocks, heads):
    config = preset(name, vocab_size=1024, recipe="float")
    assert config.name == name
    assert (config.encoder.dim, config.encoder.blocks, config.encoder.heads) == (dim, blocks, heads)
    # Blocks are alike: one tells how many weights all of them have.
    encoder = dataclasses.replace(config.encoder, blocks=1)
    model = Transducer(dataclasses.replace(config, encoder=encoder))
    model.create_weights()
    count = model.count_params() + (blocks - 1) * model.encoder.blocks[0].count_params()
    assert count == pytest.approx(millions * 1e6, rel=0.2)


def test_preset_options():
    config = preset("tiny", vocab_size=30, recipe="w4a4", tied=False)
    assert config.vocab_size == 30
    assert config.recipe == Recipe.preset("w4a4")
    assert not config.joint.tied
    assert preset("tiny", vocab_size=30).recipe == Recipe.preset("w4a8")
    assert preset("tiny", vocab_size=30, recipe=CONFIG.recipe).recipe is CONFIG.recipe


def test_an_unknown_preset():
    with pytest.raises(UserError, match="Unknown preset 'huge'; choose one of tiny, conformer_s"):
        preset("huge", vocab_size=30)


@pytest.mark.parametrize("config", [CONFIG, preset("tiny", vocab_size=30)], ids=lambda c: c.name)
def test_it_survives_json(config):
    assert TransducerConfig.from_config(json.loads(json.dumps(config.to_config()))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": 1}, "`vocab_size` must count the blank .* Received: vocab_size=1"),
        ({"joint": JointConfig(dim=8)}, "needs `joint.dim` equal .* Received: 8 and 6"),
    ],
)
def test_refused_sizes(change, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(CONFIG, **change)


@pytest.mark.parametrize(("dim", "heads"), [(10, 2), (9, 1), (8, 8)])
def test_relative_positions_need_an_even_width_per_head(dim, heads):
    with pytest.raises(UserError, match=rf"multiple of 2 \* heads .* dim={dim}, heads={heads}"):
        EncoderConfig(dim=dim, blocks=1, heads=heads, kernel_size=3)
