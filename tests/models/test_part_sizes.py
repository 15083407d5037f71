import dataclasses

import pytest

from int4_conformer.errors import UserError
from int4_conformer.layers.paths import quantized_layers
from int4_conformer.models import EncoderConfig, JointConfig, PredictorConfig, Transducer
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.part_sizes import part_sizes
from int4_conformer.models.presets import preset
from int4_conformer.quant import QuantConfig, Recipe

ENCODER = EncoderConfig(dim=8, blocks=4, heads=2, kernel_size=3, expansion=2)
CONFIG = TransducerConfig(
    name="test",
    vocab_size=9,
    encoder=ENCODER,
    predictor=PredictorConfig(embedding_dim=8),
    joint=JointConfig(dim=8),
)
FLOAT = Recipe.preset("float")
# Blocks differ: what a block costs depends on which one it is.
UNEVEN = Recipe(
    name="uneven",
    rules=(
        ("encoder/block_1/.*", QuantConfig(weight_bits=4)),
        (".*/block_2/ffn_start/up", QuantConfig(weight_bits=8)),
        ("predictor/embedding", QuantConfig(weight_bits=4)),
        (".*", QuantConfig()),
    ),
)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"encoder": dataclasses.replace(ENCODER, convolution_blocks=3, reduce_after=2)},
        {"encoder": dataclasses.replace(ENCODER, convolution_blocks=4, subsampling="convolution")},
        {
            "encoder": dataclasses.replace(ENCODER, kind="transformer", chunk=1),
            "second_pass": dataclasses.replace(ENCODER, blocks=3),
            "shared_decoder": False,
            "joint": JointConfig(dim=8, tied=False),
        },
    ],
)
def test_they_are_those_of_the_whole_model(change):
    config = dataclasses.replace(CONFIG, **change)
    parts = part_sizes(config, {"float": FLOAT, "uneven": UNEVEN})
    model = Transducer(dataclasses.replace(config, recipe=UNEVEN))
    model.build()
    layers = quantized_layers(model).values()
    assert [part.name for part in parts] == [layer.name for layer in model.layers]
    assert sum(part.parameters for part in parts) == model.count_params()
    assert sum(part.nbytes["float"] for part in parts) == 4 * model.count_params()
    saved = sum(4 * layer.weight_count - layer.stored_bytes() for layer in layers)
    assert saved > 0
    assert sum(part.nbytes["uneven"] for part in parts) == 4 * model.count_params() - saved
    assert parts[1].parameters == model.encoder.count_params()


def test_a_rule_for_no_layer():
    recipe = Recipe(name="mine", rules=(("encoder/block_4/.*", QuantConfig()), *FLOAT.rules))
    with pytest.raises(UserError, match="decides for no layer"):
        part_sizes(CONFIG, {"mine": recipe})


def lstm_decoder(vocab_size, dim):
    """Parameters of a prediction network of one LSTM layer with its projection to the joint."""
    return vocab_size * dim + 4 * dim * (2 * dim + 1) + dim * dim + dim


@pytest.mark.parametrize(
    ("name", "dim", "millions"),
    [("conformer_s", 320, 10.3), ("conformer_m", 640, 30.7), ("conformer_l", 640, 118.8)],
)
def test_counts_of_the_paper(name, dim, millions):
    """arXiv 2005.08100, table 1: subsampling by convolutions, an LSTM and an untied output."""
    ours = preset(name, tied=False)
    config = dataclasses.replace(
        ours, encoder=dataclasses.replace(ours.encoder, subsampling="convolution")
    )
    parts = {part.name: part.parameters for part in part_sizes(config, {})}
    count = parts["encoder"] + lstm_decoder(1024, dim) + parts["joint"]
    assert count == pytest.approx(millions * 1e6, rel=0.1)
