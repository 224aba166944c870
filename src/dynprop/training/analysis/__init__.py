"""Success curves, forecasts and predictions."""
