"""Tables, pictures and pages of a sweep."""
