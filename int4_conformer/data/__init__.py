"""Data: corpora as lists of utterances, and the input pipeline that batches them.

Importing this package loads no module; only `batches` and `input_pipeline` need TensorFlow.
"""
