"""One trial: setting, initial weights, ensemble, training."""
