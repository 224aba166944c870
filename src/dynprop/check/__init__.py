"""An implementation under test, the laws, a verdict."""
