"""Products of random matrices: Lyapunov exponents."""
