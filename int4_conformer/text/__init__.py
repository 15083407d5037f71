"""Text: normalisation, tokenizers, vocabularies and word errors.

Importing this package loads no module; tokenizers import TensorFlow when they first run in graph.
"""
