"""What turns text and pictures into vectors: trunks, fusion, `ProductEncoder`."""
