"""Is it good? Retrieval metrics of any encoder, beside BM25, the untuned trunks and chance."""
