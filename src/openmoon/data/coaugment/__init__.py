"""Image-text co-augmentation (MOON2.0): enriched texts T⁺, expanded pictures, and the gate that drops what drifted away."""
