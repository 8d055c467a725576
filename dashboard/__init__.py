"""The live picture of a fleet in a terminal: a process of its own that talks to the hub as any operator does."""
