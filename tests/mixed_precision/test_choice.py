import math

import pytest

from int4_conformer.mixed_precision.choice import Option, choose, combined_error, recipe_of
from int4_conformer.quant import QuantConfig

W4, W8, FLOAT = (QuantConfig.from_name(name) for name in ("w4c_a8d", "w8c_a8d", "float"))


def options(nbytes, *errors):
    """Options at 4 bits, 8 bits and float of a layer that has so many bytes at 4 bits."""
    return [
        Option(config=config, nbytes=size * nbytes, error=error)
        for config, size, error in zip((W4, W8, FLOAT), (1, 2, 8), errors, strict=True)
    ]


LAYERS = {
    "small": options(100, 0.08, 0.01, 0.0),
    "large": options(1000, 0.1, 0.01, 0.0),
    "harmless": options(1000, 0.001, 0.0, 0.0),
}


def schemes(**arguments):
    return [option.config for option in choose(LAYERS, **arguments).values()]


@pytest.mark.parametrize(
    ("tolerance", "chosen"),
    [
        (0.2, [W4, W4, W4]),
        # 0.1 a byte for the large layer, 0.64 for the small one.
        (0.11, [W8, W4, W4]),
        (0.02, [W8, W8, W4]),
        (0.011, [FLOAT, W8, W4]),
        (0.002, [FLOAT, FLOAT, W4]),
        (0.0, [FLOAT, FLOAT, W8]),
    ],
)
def test_bytes_go_where_they_remove_most_error(tolerance, chosen):
    assert schemes(tolerance=tolerance) == chosen


@pytest.mark.parametrize(
    ("budget", "chosen"),
    [
        (2100, [W4, W4, W4]),
        (2199, [W4, W4, W4]),
        (2200, [W8, W4, W4]),
        # Too little for the large layer: the small one gets it.
        (3199, [FLOAT, W4, W4]),
        (3200, [W8, W8, W4]),
    ],
)
def test_no_more_bytes_than_the_budget_has(budget, chosen):
    assert schemes(tolerance=0.0, budget=budget) == chosen
    spent = sum(option.nbytes for option in choose(LAYERS, tolerance=0.0, budget=budget).values())
    assert spent <= budget


def test_an_option_that_helps_nothing_is_not_taken():
    layers = {"layer": options(100, 0.1, 0.2, 0.1)}
    assert choose(layers, tolerance=0.0)["layer"].config == W4


def test_independent_errors_add_in_squares():
    assert combined_error([LAYERS["small"][0], LAYERS["large"][0]]) == math.hypot(0.08, 0.1)


def test_the_recipe_names_the_exceptions():
    chosen = {"a/b.c": LAYERS["small"][1], "d": LAYERS["large"][0], "e": LAYERS["large"][0]}
    recipe = recipe_of(chosen, "mine")
    assert (recipe.name, len(recipe.rules)) == ("mine", 2)
    for path, option in chosen.items():
        assert recipe.at(path).config() == option.config
    assert recipe.at("a/bxc").config() == W4
    recipe.require_used(chosen)
