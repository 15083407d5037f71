"""Audio: decoding files, synthetic speech, features and augmentation.

Importing this package loads no module; all but `features` and `augment` run without TensorFlow.
"""
