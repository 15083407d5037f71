"""Taking a trained model to what it is served on: TFLite and SavedModel."""

from int4_conformer.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "deployed_weights": "weights",
        "export_keras_tflite": "keras_model",
        "export_saved_model": "saved_model",
        "export_tflite": "tflite",
        "suggest": "suggestion",
        "with_recipe": "recipe",
    },
)
