"""One utterance stream's life: its states, its stages, and where sessions are found."""
