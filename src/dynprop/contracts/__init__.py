"""Interfaces between laws and subjects: protocols, the domain, formats, states."""
