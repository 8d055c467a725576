"""Ingest: is it new, what is to be said of it, append. Its doors are ``ingest``, ``marks``, ``credit``, ``verdict``."""
