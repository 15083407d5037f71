"""A recipe for a trained recogniser, from how much each of its layers suffers."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

from int4_conformer.errors import UserError
from int4_conformer.layers.paths import quantized_layers
from int4_conformer.mixed_precision.choice import Option, choose, combined_error, recipe_of
from int4_conformer.mixed_precision.sensitivity import Batch, Probe
from int4_conformer.models.transducer import Transducer
from int4_conformer.quant.spec.quant_config import QuantConfig
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.tables import columns, smaller

_FLOAT = QuantConfig()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suggestion:
    """The result of `suggest`."""

    recipe: Recipe
    # Of each layer, by path: what it was chosen from, and what was chosen.
    options: dict[str, tuple[Option, ...]]
    chosen: dict[str, Option]
    # Relative error of the logits with the recipe, measured.
    error: float
    # Bytes of all weights with the recipe, and in float32.
    nbytes: int
    float_bytes: int

    def table(self) -> str:
        """Text for people: a line per layer, the one that suffers most first, and the totals."""
        worst_first = sorted(self.options.items(), key=lambda item: -item[1][0].error)
        configs = _quantizing([option.config for option in worst_first[0][1]])
        rows = [
            (
                path,
                *(f"{100 * o.error:.2f}%" for o in options if o.config in configs),
                self.chosen[path].config.name,
                f"{self.chosen[path].nbytes:,}",
            )
            for path, options in worst_first
        ]
        expected = combined_error(self.chosen.values())
        header = ("layer", *(config.name for config in configs), "suggested", "bytes")
        return "\n\n".join(
            [
                columns(header, rows, "<" + ">" * len(configs) + "<>"),
                f"error of the logits: {100 * self.error:.2f}% measured, {100 * expected:.2f}% "
                f"expected\nweights: {self.nbytes:,} bytes, "
                f"{smaller(self.float_bytes / self.nbytes)} than in float32",
            ]
        )


def forward_passes(
    model: Transducer, batches: Sequence[Batch], configs: Sequence[QuantConfig]
) -> int:
    """How many forward passes `suggest` needs, beside those in float."""
    return (len(_quantizing(configs)) * len(quantized_layers(model)) + 1) * len(batches)


def suggest(
    model: Transducer,
    batches: Sequence[Batch],
    configs: Sequence[QuantConfig],
    *,
    tolerance: float,
    budget: int | None = None,
    on_forward: Callable[[int], None] = lambda done: None,
) -> Suggestion:
    """Measures each layer at each config with all others in float, and mixes the configs.

    Args:
        model: trained; it is not changed.
        batches: utterances, as `data.batches` makes them, with labels.
        configs: the one with the smallest weights first.
        tolerance: relative error of the logits within which no layer needs more bytes.
        budget: most bytes of all weights, those that are not quantized included.
        on_forward: told how many of the `forward_passes` are done.

    Raises:
        UserError: the budget is too small, or a config does not fit the model.
    """
    layers = quantized_layers(model)
    others = 4 * (model.count_params() - sum(layer.count_params() for layer in layers.values()))
    smallest = sum(layer.stored_bytes(configs[0]) for layer in layers.values())
    if budget is not None and others + smallest > budget:
        raise UserError(
            f"The first scheme, {configs[0].name}, takes {others + smallest:,} bytes for all "
            f"weights; raise the budget, or begin with a smaller scheme. Received: {budget:,}"
        )
    selections = [[path] for path in layers]
    done = itertools.count(1)

    def count() -> None:
        on_forward(next(done))

    errors = {_FLOAT: [0.0] * len(selections)}
    for config in _quantizing(configs):
        probe = Probe(model, Recipe(name=config.name, rules=((".*", config),)))
        errors[config] = probe.errors(batches, selections, count)
    options = {
        path: tuple(
            Option(config=config, nbytes=layer.stored_bytes(config), error=errors[config][index])
            for config in configs
        )
        for index, (path, layer) in enumerate(layers.items())
    }
    float_bytes = 4 * sum(layer.weight_count for layer in layers.values())
    chosen = choose(
        options, tolerance=tolerance, budget=None if budget is None else budget - others
    )
    recipe = recipe_of(chosen, "suggested")
    (error,) = Probe(model, recipe).errors(batches, [list(layers)], count)
    return Suggestion(
        recipe=recipe,
        options=options,
        chosen=chosen,
        error=error,
        nbytes=others + sum(option.nbytes for option in chosen.values()),
        float_bytes=others + float_bytes,
    )


def _quantizing(configs: Sequence[QuantConfig]) -> list[QuantConfig]:
    return [config for config in configs if config != _FLOAT]
