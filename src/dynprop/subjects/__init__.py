"""An implementation in the arrays of one library: adapters, frameworks, guarded calls."""
