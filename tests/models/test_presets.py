import pytest

from int4_conformer.errors import UserError
from int4_conformer.models.presets import PRESETS, preset
from int4_conformer.quant import QuantConfig, Recipe


@pytest.mark.parametrize(
    ("name", "dim", "blocks", "heads"),
    [
        ("tiny", 96, (4,), 4),
        ("conformer_s", 144, (16,), 4),
        ("conformer_m", 256, (16,), 4),
        ("conformer_l", 512, (17,), 8),
        ("streaming_s", 144, (16,), 4),
        ("cascaded_tiny", 96, (2, 3), 4),
        ("cascaded_150m", 512, (7, 10), 8),
    ],
)
def test_shapes(name, dim, blocks, heads):
    config = preset(name)
    assert config.name == name
    assert {encoder.dim for encoder in config.encoders} == {dim}
    assert {encoder.heads for encoder in config.encoders} == {heads}
    assert tuple(encoder.blocks for encoder in config.encoders) == blocks


def test_streaming_presets_see_so_far():
    for name in ("streaming_s", "cascaded_tiny", "cascaded_150m"):
        for encoder in preset(name).encoders:
            assert encoder.segment is not None
            assert encoder.left_context is not None
    for name in ("cascaded_tiny", "cascaded_150m"):
        first, second = preset(name).encoders
        assert first.chunk == 1
        assert second.chunk > 1


def test_the_production_model():
    config = preset("cascaded_150m")
    assert config.vocab_size == 4096
    assert config.joint.dim == config.predictor.embedding_dim == 640
    assert config.joint.tied
    assert config.shared_decoder


def test_options():
    config = preset("tiny", vocab_size=30, recipe="w4a4sym", tied=False)
    assert config.vocab_size == 30
    assert config.recipe == Recipe.preset("w4a4sym")
    assert not config.joint.tied
    assert preset("tiny").vocab_size == 1024
    assert preset("tiny").recipe == Recipe.preset("w4a8")
    recipe = Recipe(name="mine", rules=((".*", QuantConfig(weight_bits=5)),))
    assert preset("tiny", recipe=recipe).recipe is recipe


def test_an_unknown_preset():
    with pytest.raises(UserError, match="Unknown preset 'huge'; choose one of ") as error:
        preset("huge", vocab_size=30)
    assert all(name in str(error.value) for name in PRESETS)
