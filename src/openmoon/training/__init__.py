"""Pretraining and post-training: where tokens come from, the two objectives, the loop, checkpoints, the log."""
