"""The distribution of a product of independent random weights."""
