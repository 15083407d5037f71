import json

import pytest

from int4_conformer.errors import UserError
from int4_conformer.quant import QuantConfig, Recipe
from int4_conformer.quant.spec.recipe import PRESETS, renamed_recipe, resolve

W4 = QuantConfig(weight_bits=4)
W8 = QuantConfig(weight_bits=8)
RECIPE = Recipe(
    name="mixed", rules=((r"encoder/block_\d+/.*", W4), ("encoder/.*", W8), ("joint", W8))
)


@pytest.mark.parametrize(
    ("path", "config"),
    [
        ("encoder/block_3/ffn_start/up", W4),
        ("encoder/input", W8),
        ("encoder/block_x/up", W8),
        ("joint", W8),
    ],
)
def test_the_first_rule_that_matches_the_whole_path_decides(path, config):
    recipe = RECIPE
    for name in path.split("/"):
        recipe = recipe.at(name)
    assert recipe.path == path
    assert recipe.config() == config


@pytest.mark.parametrize("path", ["predictor", "joint/output", "my_joint"])
def test_a_layer_without_a_rule_is_an_error(path):
    with pytest.raises(UserError, match=rf"`mixed` has no rule for layer `{path}`; add one"):
        RECIPE.at(path).config()


@pytest.mark.parametrize("recipe", [RECIPE, RECIPE.at("encoder")], ids=lambda r: r.path or "/")
def test_it_survives_json(recipe):
    config = json.loads(json.dumps(recipe.to_config()))
    assert Recipe.from_config(config) == recipe
    assert ("path" in config) == bool(recipe.path)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ((), "`odd` has no rules"),
        ((("(", W4),), r"`odd`: '\(' is no regular expression"),
        ((("(" * 5000, W4),), r"`odd`: '\(+' is no regular expression"),
        ((("a{99999999999}", W4),), "`odd`: .* is no regular expression"),
    ],
)
def test_refused_rules(rules, message):
    with pytest.raises(UserError, match=message):
        Recipe(name="odd", rules=rules)


@pytest.mark.parametrize(
    ("name", "weight_bits", "activation"),
    [
        ("float", None, "float"),
        ("w4", 4, "float"),
        ("w4a4sym", 4, "int4_symmetric"),
        ("w4a8", 4, "int8_asymmetric"),
        ("w4a8sym", 4, "int8_symmetric"),
        ("w2a8", 2, "int8_asymmetric"),
        ("w6a8", 6, "int8_asymmetric"),
        ("w8a8", 8, "int8_asymmetric"),
    ],
)
def test_presets(name, weight_bits, activation):
    recipe = Recipe.preset(name)
    assert recipe.name == name
    config = QuantConfig(weight_bits=weight_bits, activation=activation)
    assert recipe.at("any/layer").config() == config
    assert resolve(name) == config


def test_short_names_are_schemes_without_what_is_usual():
    for short, scheme in PRESETS.items():
        weights, _, activations = scheme.partition("_")
        assert short == weights.removesuffix("c") + activations.replace("d", "", 1)


OLD_NAMES = {"w4a8s": "w4a8sym", "w4a4": "w4a4sym", "w4c_a8ds": "w4c_a8dsym"}


@pytest.mark.parametrize(("old", "name"), OLD_NAMES.items())
def test_names_of_earlier_versions_are_read(old, name):
    assert Recipe.preset(old) == Recipe.preset(name)
    config = Recipe.preset(name).to_config()
    assert Recipe.from_config(config | {"name": old}).to_config() == config
    rule = {"weight_bits": 4, "activation": {"w4a4": "int4"}.get(old, "int8")}
    assert Recipe.from_config({"name": old, "rules": [[".*", rule]]}).to_config() == config


@pytest.mark.parametrize("name", ["mine", "w4a8", "float", "w1c_a8d", ""])
def test_other_names_stay(name):
    assert renamed_recipe(name) == name


def test_an_unknown_preset():
    with pytest.raises(UserError, match=r"Unknown recipe 'w3'; choose one of float, .*w4a8"):
        Recipe.preset("w3")


def test_what_a_layer_accepts_as_quant():
    assert resolve(None) == QuantConfig()
    assert resolve(W4) is W4
    assert resolve(RECIPE.at("joint")) is W8


A8 = QuantConfig(weight_bits=4, activation="int8_asymmetric")


@pytest.mark.parametrize("name", ["w4b32_a8d", "w3t", "a8dsym"])
def test_any_scheme_is_a_preset(name):
    assert Recipe.preset(name).at("any/layer").config() == QuantConfig.from_name(name)


def test_partial_quantization():
    recipe = Recipe.partial("encoders", ["encoder/.*", "joint"])
    configs = [
        recipe.at(path).config() for path in ("encoder/a/b", "joint", "predictor", "encoder")
    ]
    assert configs == [A8, A8, QuantConfig(), QuantConfig()]
    assert Recipe.partial("encoders", ["encoder/.*"], "w4").at("encoder/a").config() == W4


def test_mixed_widths():
    recipe = Recipe.mixed("first_in_8", ["encoder/input", ".*/down"], "w4b32_a8dsym")
    config = QuantConfig.from_name("w4b32_a8dsym")
    eight = QuantConfig.from_name("w8b32_a8dsym")
    assert recipe.at("encoder/input").config() == recipe.at("a/b/down").config() == eight
    assert recipe.at("encoder/up").config() == recipe.at("down").config() == config
    assert Recipe.mixed("m", ["x"]).at("y").config() == A8


def test_every_rule_must_be_used():
    recipe = Recipe.partial("encoders", ["encoder/.*", "joint"])
    recipe.require_used(["encoder/a", "joint", "predictor"])
    # The default may find nothing left to do.
    recipe.require_used(["encoder/a", "joint"])
    with pytest.raises(UserError, match="`encoders`: rule 'joint' decides for no layer"):
        recipe.require_used(["encoder/a", "predictor"])


def test_a_rule_behind_a_wider_one_is_not_used():
    recipe = Recipe(name="odd", rules=(("encoder/.*", W4), ("encoder/input", W8), (".*", W8)))
    with pytest.raises(UserError, match=r"rule 'encoder/input' decides for no layer; .*move it"):
        recipe.require_used(["encoder/input", "joint"])


def test_paths_without_a_rule_are_not_used():
    with pytest.raises(UserError, match="`mixed` has no rule for layer `predictor`"):
        RECIPE.require_used(["joint", "predictor"])


def test_the_pattern_that_decides():
    assert RECIPE.at("encoder/block_3/up").pattern() == r"encoder/block_\d+/.*"
    assert RECIPE.at("predictor").pattern() is None


def test_from_a_file(tmp_path):
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(RECIPE.to_config()))
    assert Recipe.named(str(file)) == Recipe.load(file) == RECIPE
    rules = [["joint/.*", "w8c_a8d"], ["encoder/.*", {"weight_bits": 4}], [".*", "float"]]
    file.write_text(json.dumps({"name": "short", "rules": rules}))
    recipe = Recipe.load(file)
    assert recipe.at("joint/a").config() == QuantConfig.from_name("w8c_a8d")
    assert recipe.at("encoder/a").config() == W4
    assert recipe.at("predictor").config() == QuantConfig()


def test_by_name():
    assert Recipe.named("w4a8") == Recipe.preset("w4a8")
    with pytest.raises(UserError, match="Unknown recipe 'mine'"):
        Recipe.named("mine")
