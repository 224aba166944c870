"""Recorded trials: a ledger in SQLite."""
