"""A diagnosis of a recurrent model: what is measured, what it says, what helps, how it is shown."""
