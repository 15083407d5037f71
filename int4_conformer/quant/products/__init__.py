"""How weights meet activations: in training, and in each form of deployment."""
