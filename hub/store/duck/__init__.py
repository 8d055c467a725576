"""The store in a DuckDB file: sole importer of duckdb."""

from hub.store.duck.store import DuckStore

__all__ = ["DuckStore"]
