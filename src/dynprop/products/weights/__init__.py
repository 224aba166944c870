"""One random weight: moments, quadrature, activations."""
