"""Search over transducer lattices."""
