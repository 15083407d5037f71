import numpy as np

from int4_conformer.export.with_recipe import with_recipe
from int4_conformer.layers.paths import by_path
from int4_conformer.quant.spec.recipe import Recipe
from tests.support import tiny


def test_the_weights_stay_and_the_recipe_changes():
    model = tiny.model("w4a8")
    model.front_end.mean.assign(np.arange(80))
    copy = with_recipe(model, Recipe.preset("float"))
    assert copy.config == tiny.config("float")
    assert model.config == tiny.config("w4a8")
    copied = by_path(copy)
    assert copied.keys() == by_path(model).keys()
    assert len(copied) == len(model.weights)
    for path, variable in by_path(model).items():
        np.testing.assert_array_equal(copied[path], variable, err_msg=path)
        assert copied[path] is not variable
    pcm = tiny.speech(5)[None]
    assert not np.allclose(copy.encode(pcm), model.encode(pcm), atol=1e-3)
