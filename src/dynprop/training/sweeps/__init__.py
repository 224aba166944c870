"""Many trials: sweep, engine, workers."""
