import keras

from int4_conformer.layers.paths import layers_by_path
from tests.support import tiny


def test_a_path_joins_the_names_below_the_root():
    shared = keras.layers.Dense(4, name="shared")
    relu = keras.layers.ReLU(name="relu")
    inner = keras.Sequential([keras.Input([4], name="y"), shared, relu], name="inner")
    x = keras.Input([4], name="x")
    model = keras.Model(x, shared(inner(x)), name="model")
    found = list(layers_by_path(model))
    assert [path for path, _ in found] == ["x", "inner", "inner/y", "inner/shared", "inner/relu"]
    assert dict(found)["inner/shared"] is shared


def test_the_paths_of_a_recogniser_are_those_of_its_weights():
    model = tiny.shared_model(tied=False)
    paths = {id(layer): path for path, layer in layers_by_path(model)}
    for layer in map(model.get_layer, ("encoder", "predictor", "joint")):
        for path, sublayer in layers_by_path(layer):
            assert paths[id(sublayer)] == f"{layer.name}/{path}"
            for variable in sublayer.weights:
                assert variable.path.startswith(f"test/{layer.name}/{path}/")
