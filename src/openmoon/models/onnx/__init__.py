"""The encoder as graphs: its trunks in OpenVINO for fast encoding, and a whole export, in ONNX Runtime, for serving elsewhere."""
