"""Laws in a child process."""
