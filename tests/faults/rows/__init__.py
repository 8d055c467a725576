"""The rows of the matrix of faults. Each module here has ``ROWS``; a new row is an entry there."""

import importlib
import pkgutil

from tests.faults.lab import Row


def rows() -> list[Row]:
    """Every row, by its number."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return sorted((row for module in modules for row in module.ROWS), key=lambda row: int(row.number[1:]))
