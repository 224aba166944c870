"""Matrix powers: families of matrices, exact powers, and error bounds."""
