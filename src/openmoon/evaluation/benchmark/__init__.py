"""The benchmark of MOON2.0's kind: five directions of retrieval, zero-shot classification, attributes from frozen vectors."""
