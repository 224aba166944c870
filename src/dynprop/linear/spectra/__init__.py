"""Eigenvalues, their structure and their modes."""
