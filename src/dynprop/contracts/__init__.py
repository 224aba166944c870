"""What laws may ask of a subject: protocols, the domain, formats, states."""
