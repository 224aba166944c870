"""One matrix, again and again: families of matrices, exact powers, and the bounds that judge them."""
