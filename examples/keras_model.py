"""Two Keras models with no speech in them: quantized, trained, saved, loaded, run by LiteRT."""

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from int4_conformer.export import export_keras_tflite
from int4_conformer.quantize import quantize_model, summary

# Which symbol is a row of 16 noisy ones about?
keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
y = rng.integers(0, 10, 4096)
x = np.where(rng.random([4096, 16]) < 0.3, y[:, None], rng.integers(0, 10, [4096, 16]))

ids = keras.Input([16], dtype="int32")
h = layers.Flatten()(layers.Embedding(10, 32)(ids))
mlp = keras.Model(ids, layers.Dense(10)(layers.Dense(256, "relu")(h)), name="mlp")
h = layers.Embedding(10, 64)(ids)
h = layers.LayerNormalization()(h + layers.MultiHeadAttention(4, 16)(h, h))
hidden = layers.Dense(256, "relu")(h)
h = layers.LayerNormalization()(h + layers.Dense(64)(hidden))
h = layers.GlobalAveragePooling1D()(h)
transformer = keras.Model(ids, layers.Dense(10)(h), name="transformer")

for float_model in (mlp, transformer):
    model = quantize_model(float_model, "w4c_a8d")
    print(summary(model))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(x[512:], y[512:], 64, epochs=3, validation_data=(x[:512], y[:512]), verbose=2)
    model.save(f"{model.name}.keras")
    model = keras.saving.load_model(f"{model.name}.keras")
    export_keras_tflite(model, f"{model.name}.tflite")
    run = Interpreter(f"{model.name}.tflite").get_signature_runner()
    (served,) = run(inputs=x[:512].astype("int32")).values()
    difference = np.abs(served - model.predict(x[:512], verbose=0)).mean()
    accuracy = np.mean(served.argmax(-1) == y[:512])
    print(f"{model.name}.tflite: accuracy {accuracy:.3f}, off from Keras by {difference:.1e}\n")
