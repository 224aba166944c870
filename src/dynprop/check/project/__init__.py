"""All targets of a project: their declaration in pyproject.toml, and one check of them all."""
