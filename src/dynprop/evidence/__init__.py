"""Evidence about the laws themselves: the kill matrix, long runs, and the records of both."""
