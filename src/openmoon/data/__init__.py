"""The shop's tables and pictures: reading, checking, splitting, caching."""
