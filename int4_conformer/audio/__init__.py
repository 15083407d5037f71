"""Audio: decoding files, synthetic speech, features and augmentation.

Importing this package loads no module; `files` and `synthesis` run without TensorFlow.
"""
