"""APIs that callers already speak. Each file turns frames into commands and events into frames, and nothing else."""
