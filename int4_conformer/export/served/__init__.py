"""What a SavedModel computes around the recogniser, with TensorFlow's own operators: requests in,
texts out."""
