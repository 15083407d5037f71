"""How floats become integers, and what gradient they have."""
