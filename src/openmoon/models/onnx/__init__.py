"""The encoder in ONNX Runtime: trunks for fast encoding, and a whole export for serving elsewhere."""
