"""A report as text, as a page, and the progress of a check."""
