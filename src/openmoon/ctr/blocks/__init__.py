"""Parts that CTR models are composed of."""
