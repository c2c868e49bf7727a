"""What vectors are worth: prediction of clicks from events and a vectors table. Knows nothing of what made the vectors."""
