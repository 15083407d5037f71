"""Parameters and bytes of a recogniser by part."""

import collections
import dataclasses
from collections.abc import Mapping

from int4_conformer.layers.paths import by_path, quantized_layers
from int4_conformer.layers.quantized import Quantized
from int4_conformer.models.model_config import EncoderConfig, TransducerConfig
from int4_conformer.models.transducer import Transducer
from int4_conformer.quant.spec.recipe import Recipe

_ENCODERS = ("encoder", "second_pass")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartSize:
    """What a part of the recogniser weighs."""

    # The part's path: "front_end", "encoder", "second_pass", "predictor", "joint", ...
    name: str
    # Weights and statistics. What a tied joint network shares counts in the prediction network.
    parameters: int
    # Bytes in a `.tflite` file by the name of the recipe.
    nbytes: Mapping[str, int]


def part_sizes(config: TransducerConfig, recipes: Mapping[str, Recipe]) -> list[PartSize]:
    """Sizes of all parts.

    Counted on a model with no more than two blocks an encoder: all blocks of an encoder are alike
    but for attention, which the lower ones may lack.

    Args:
        config: of the recogniser; its recipe plays no role.
        recipes: by the names under which their bytes are wanted.

    Raises:
        UserError: a recipe has no rule for a layer, or a rule for none.
    """
    short = dataclasses.replace(
        config,
        recipe=Recipe.preset("float"),
        **{name: _short(getattr(config, name)) for name in _ENCODERS if getattr(config, name)},
    )
    model = Transducer(short)
    model.build()
    layers: dict[str, Quantized] = {}
    for path, layer in quantized_layers(model).items():
        layers |= dict.fromkeys(_paths(config, path), layer)
    for recipe in recipes.values():
        recipe.require_used(layers)

    parameters: collections.Counter[str] = collections.Counter()
    for path, variable in by_path(model).items():
        part = path.partition("/")[0]
        parameters[part] += variable.value.shape.num_elements() * len(_paths(config, path))
    quantized: collections.Counter[str] = collections.Counter()
    nbytes = {name: collections.Counter() for name in recipes}
    for path, layer in layers.items():
        part = path.partition("/")[0]
        quantized[part] += layer.weight_count
        for name, recipe in recipes.items():
            nbytes[name][part] += layer.stored_bytes(recipe.at(path).config())
    return [
        PartSize(
            name=part.name,
            parameters=parameters[part.name],
            nbytes={
                name: nbytes[name][part.name] + 4 * (parameters[part.name] - quantized[part.name])
                for name in recipes
            },
        )
        for part in model.layers
    ]


def _short(config: EncoderConfig) -> EncoderConfig:
    """An encoder of two blocks: the one on top as the last, the other as the first."""
    return dataclasses.replace(
        config,
        blocks=2,
        convolution_blocks=min(config.convolution_blocks, 1)
        + (config.convolution_blocks >= config.blocks),
        reduce_after=None if config.reduce_after is None else 1,
    )


def _paths(config: TransducerConfig, path: str) -> list[str]:
    """The paths in the recogniser that a path in the model of short encoders stands for."""
    part, *below = path.split("/")
    if part not in _ENCODERS or not below or not below[0].startswith("block_"):
        return [path]
    encoder, lower = getattr(config, part), below[0] == "block_0"
    # The lower block stands for those without attention, the upper one for the others.
    blocks = range(encoder.blocks)
    lacking = min(encoder.convolution_blocks, encoder.blocks - 1)
    own = blocks[:lacking] if lower else blocks[lacking:]
    return ["/".join([part, f"block_{i}", *below[1:]]) for i in own]
