"""A corpus in TFRecord files: how they are written and what is in them. No TensorFlow."""
