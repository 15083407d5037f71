import dataclasses
import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest

from int4_conformer.errors import UserError
from int4_conformer.layers.paths import by_path
from int4_conformer.models.transducer import Transducer
from int4_conformer.models.weight_import import grouped, import_weights
from int4_conformer.models.weight_mapping import WeightMapping, WeightRule
from int4_conformer.quant.spec.quant_config import QuantConfig
from int4_conformer.quant.spec.recipe import Recipe
from tests.support import tiny

MAPPING = WeightMapping.load(Path(__file__).parents[2] / "examples" / "weight_mapping.json")

# Of each of our layers and weights, the name that PyTorch's Conformers have for it.
LAYERS = {
    "encoder/input": "encoder.pre_encode.out",
    "encoder/input_norm": "encoder.pre_encode.norm",
    "ffn_start/norm": "norm_feed_forward1",
    "ffn_start/up": "feed_forward1.linear1",
    "ffn_start/down": "feed_forward1.linear2",
    "attention/norm": "norm_self_att",
    "attention/query": "self_attn.linear_q",
    "attention/key": "self_attn.linear_k",
    "attention/value": "self_attn.linear_v",
    "attention/output": "self_attn.linear_out",
    "attention/position": "self_attn.linear_pos_query",
    "convolution/norm": "norm_conv",
    "convolution/up": "conv.pointwise_conv1",
    "convolution/depthwise_norm": "conv.norm",
    "convolution/down": "conv.pointwise_conv2",
    "ffn_end/norm": "norm_feed_forward2",
    "ffn_end/up": "feed_forward2.linear1",
    "ffn_end/down": "feed_forward2.linear2",
    "norm": "norm_out",
    "predictor/projection": "decoder.out",
    "predictor/norm": "decoder.norm",
    "joint/encoder": "joint.enc",
}
WEIGHTS = {"kernel": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}
SINGLE = {
    "predictor/embedding/embeddings": "decoder.embed.weight",
    "predictor/position_vectors": "decoder.positions",
    "joint/output_bias": "joint.out.bias",
}


def model(recipe="float", seed=0):
    keras.utils.set_random_seed(seed)
    config = tiny.config(recipe)
    encoder = dataclasses.replace(config.encoder, blocks=2)
    transducer = Transducer(dataclasses.replace(config, encoder=encoder))
    transducer.build()
    for variable in transducer.trainable_variables:
        variable.assign_add(keras.random.normal(variable.shape, stddev=0.1))
    return transducer


def as_elsewhere(transducer):
    """Its weights with PyTorch's names and axes, and what else is in such checkpoints."""
    values = {}
    for path, variable in by_path(transducer).items():
        value = variable.numpy()
        block = re.match(r"encoder/block_(\d+)/", path)
        prefix = f"encoder.layers.{block[1]}." if block else ""
        rest = path.removeprefix(block[0]) if block else path
        layer, _, weight = rest.rpartition("/")
        if path.startswith("front_end/"):
            continue
        if path in SINGLE:
            name = SINGLE[path]
        elif weight == "depthwise_kernel":
            name, value = f"{prefix}conv.depthwise_conv.weight", value.T[:, None]
        else:
            name = f"{prefix}{LAYERS[layer]}.{WEIGHTS[weight]}"
            if weight == "kernel":
                value = value.T[:, :, None] if "pointwise" in name else value.T
        values[name] = value
    for i in range(2):
        values[f"encoder.layers.{i}.self_attn.linear_k.bias"] = np.ones(16, np.float32)
        values[f"encoder.layers.{i}.conv.norm.num_batches_tracked"] = np.int64(7)
    return values


@pytest.fixture(scope="module")
def source():
    return model()


@pytest.fixture(scope="module")
def target():
    return model(seed=1)


def test_a_checkpoint_in_another_naming(source, target, tmp_path):
    values = as_elsewhere(source)
    assert values["encoder.layers.0.feed_forward1.linear1.weight"].shape == (64, 16)
    np.savez(tmp_path / "elsewhere.npz", **values)
    with np.load(tmp_path / "elsewhere.npz") as file:
        report = import_weights(target, dict(file), MAPPING)
    assert report.missing == ("front_end/mean", "front_end/inverse_std")
    assert report.unused == ()
    assert len(report.taken) == len(source.weights) - 2
    pcm = tiny.speech(6)[None]
    for ours, theirs in zip(target.encode(pcm), source.encode(pcm), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    labels = np.int32([[1, 2]])
    np.testing.assert_array_equal(
        target.decoders[0].logits(target.encode(pcm)[0], labels),
        source.decoders[0].logits(source.encode(pcm)[0], labels),
    )


def test_what_quantization_adds_starts_afresh(source):
    clips = QuantConfig(weight_bits=4, activation="int8_asymmetric", learned_clip=True)
    quantized = model(Recipe(name="clips", rules=((".*", clips),)), seed=1)
    values = {path: variable.numpy() for path, variable in by_path(source).items()}
    report = import_weights(quantized, values)
    assert report.missing
    assert all(path.endswith("_clip") for path in report.missing)
    weights = by_path(quantized)
    for path, value in values.items():
        np.testing.assert_array_equal(weights[path], value)


def without(values, pattern):
    return {name: value for name, value in values.items() if not re.search(pattern, name)}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda values: without(values, "norm_out"),
            r"4 weights of the model are not given \(encoder/block_\*/norm/gamma \(2\), "
            r"encoder/block_\*/norm/beta \(2\)\); map names to them",
        ),
        (
            lambda values: without(values, "norm_out") | {"layers.1.last": np.ones(16)},
            r"Names that are not used: layers\.1\.last$",
        ),
        (
            lambda values: values | {"joint.out.bias": np.ones(3)},
            r"1 weights have another shape .*joint\.out\.bias \[3\] for joint/output_bias \[12\]",
        ),
        (
            lambda values: values | {"joint/output_bias": np.ones(12)},
            r"joint\.out\.bias and joint/output_bias would both be joint/output_bias",
        ),
        (
            lambda values: values | {"joint.enc.weight": np.ones(8)},
            r"The rule .* does not fit joint\.enc\.weight of shape \[8\]",
        ),
        (
            lambda values: values | {"joint.out.bias": np.full(12, "a")},
            r"joint\.out\.bias holds no numbers",
        ),
    ],
)
def test_refusals_change_nothing(source, target, edit, message):
    before = [variable.numpy() for variable in target.weights]
    values = {name: value + 1 for name, value in as_elsewhere(source).items()}
    with pytest.raises(UserError, match=message):
        import_weights(target, edit(values), MAPPING)
    for variable, value in zip(target.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_what_may_be_missing(source, target):
    values = without(as_elsewhere(source), r"norm_out|joint") | {"more.1": 0, "more.2": 0}
    values = {name: np.asarray(value) for name, value in values.items()}
    with pytest.raises(UserError, match="not given"):
        import_weights(target, values, MAPPING, may_miss="joint/.*")
    report = import_weights(target, values, MAPPING, may_miss="joint/.*|encoder/block_./norm/.*")
    assert report.lines()[1:] == [
        *("starts afresh: front_end/mean", "starts afresh: front_end/inverse_std"),
        *(
            "starts afresh: encoder/block_*/norm/gamma (2)",
            "starts afresh: encoder/block_*/norm/beta (2)",
        ),
        *("starts afresh: joint/output_bias", "starts afresh: joint/encoder/kernel"),
        *("starts afresh: joint/encoder/bias", "not used: more.* (2)"),
    ]
    with pytest.raises(UserError, match="is no regular expression"):
        import_weights(target, values, MAPPING, may_miss="(")


def test_the_first_rule_that_matches_decides():
    rules = (
        WeightRule(pattern="a", replacement="b"),
        WeightRule(pattern=".", replacement=None),
        WeightRule(pattern="(.)(.)", replacement=r"\2\1", transpose=(1, 0), reshape=(3, -1)),
    )
    value = np.arange(6).reshape(3, 2)
    renamed = WeightMapping(rules=rules).renamed(
        {"a": value, "c": value, "de": value, "xyz": value}
    )
    assert list(renamed) == ["b", "ed", "xyz"]
    assert renamed["ed"][0] == "de"
    np.testing.assert_array_equal(renamed["ed"][1], [[0, 2], [4, 1], [3, 5]])
    np.testing.assert_array_equal(renamed["xyz"][1], value)


def test_groups():
    assert grouped(["a/1/b", "c2", "a/2/b"]) == ["a/*/b (2)", "c2"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "holds no mapping"),
        ("1", "holds no mapping"),
        ([["a"]], "holds no mapping"),
        ([["a", "b", {"more": [1]}]], "holds no mapping"),
        ([["(", "b"]], r"refused: '\(' is no regular expression"),
        ([["a", r"\1"]], "is no replacement for 'a'"),
        ([["a", "b", {"transpose": "10"}]], "`transpose` must be a list of whole numbers"),
    ],
)
def test_refused_mappings(tmp_path, content, message):
    path = tmp_path / "map.json"
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=message):
        WeightMapping.load(path)
