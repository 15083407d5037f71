"""Recordings made worse, so that training hears more than was recorded; NumPy, on the CPU."""
