"""Who may speak, how often, and how many at a time."""
