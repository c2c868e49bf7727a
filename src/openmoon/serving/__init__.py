"""Use it: the vectors table, search over it, and what search found as a picture."""
