"""What is quantized how: plain Python, without TensorFlow."""
