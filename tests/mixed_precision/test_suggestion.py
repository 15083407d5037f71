import pytest

from int4_conformer.errors import UserError
from int4_conformer.layers.paths import quantized_layers
from int4_conformer.mixed_precision.suggestion import forward_passes, suggest
from int4_conformer.quant import QuantConfig
from int4_conformer.quantize import quantize_model
from tests.mixed_precision.test_sensitivity import batch
from tests.support import running, tiny

CONFIGS = [QuantConfig.from_name(name) for name in ("w4c_a8d", "w8c_a8d", "float")]


@pytest.fixture(scope="module")
def model():
    return tiny.shared_model("float")


@pytest.fixture(scope="module")
def suggestion(model):
    done = []
    # Sooner than compiled, of which `test_sensitivity.py` has examples.
    with running.eagerly():
        found = suggest(model, [batch(2)], CONFIGS, tolerance=0.02, on_forward=done.append)
    assert done == list(range(1, forward_passes(model, [batch(2)], CONFIGS) + 1))
    return found


def test_8_bits_do_less_harm_than_4(suggestion, model):
    assert list(suggestion.options) == list(quantized_layers(model))
    for four, eight, exact in suggestion.options.values():
        assert four.error > eight.error > exact.error == 0
        assert four.nbytes < eight.nbytes < exact.nbytes


@pytest.mark.heavy
def test_2_bits_where_they_do_little_harm(model):
    two = QuantConfig.from_name("w2c_a8d")
    found = suggest(model, [batch(2)], [two, *CONFIGS], tolerance=0.2)
    for options in found.options.values():
        assert options[0].error > options[1].error
        assert options[0].nbytes < options[1].nbytes
    chosen = {option.config for option in found.chosen.values()}
    assert two in chosen
    assert len(chosen) > 1
    assert 0.05 < found.error < 0.4
    assert found.nbytes < suggest(model, [batch(2)], CONFIGS, tolerance=0.2).nbytes


def test_what_is_measured_is_what_was_expected(suggestion):
    assert 0.01 < suggestion.error < 0.03
    assert len({option.config for option in suggestion.chosen.values()}) > 1


def test_the_recipe_gives_each_layer_what_was_chosen(suggestion, model):
    layers = quantized_layers(quantize_model(model, suggestion.recipe))
    assert {path: layer.quant for path, layer in layers.items()} == {
        path: option.config for path, option in suggestion.chosen.items()
    }
    others = model.count_params() - sum(layer.weight_count for layer in layers.values())
    assert suggestion.nbytes == 4 * others + sum(layer.stored_bytes() for layer in layers.values())
    assert suggestion.float_bytes == 4 * model.count_params()


def test_the_table(suggestion):
    lines = [line.split() for line in suggestion.table().splitlines()]
    assert lines[0] == ["layer", "w4c_a8d", "w8c_a8d", "suggested", "bytes"]
    rows = lines[1 : 1 + len(suggestion.options)]
    assert {row[0] for row in rows} == set(suggestion.options)
    errors = [float(row[1].rstrip("%")) for row in rows]
    assert errors == sorted(errors, reverse=True)
    for path, *_, scheme, nbytes in rows:
        assert scheme == suggestion.chosen[path].config.name
        assert nbytes == f"{suggestion.chosen[path].nbytes:,}"
    assert f"{100 * suggestion.error:.2f}%" in lines[-2]


@pytest.mark.usefixtures("eagerly")
def test_a_budget(model, suggestion):
    smallest = suggest(model, [batch(2)], CONFIGS[:1], tolerance=0.0)
    limit = smallest.nbytes + 1000
    within = suggest(model, [batch(2)], CONFIGS[::2], tolerance=0.0, budget=limit)
    assert smallest.nbytes < within.nbytes <= limit
    assert within.error < smallest.error


def test_a_budget_that_is_too_small_is_seen_before_anything_runs(model):
    with pytest.raises(UserError, match=r"The first scheme, w4c_a8d, takes .* Received: 1,000$"):
        suggest(model, [], CONFIGS, tolerance=0.0, budget=1000)
