"""The spool on disk, and the commands a device has seen: what it still knows after it was switched off."""

from devices.disk.book import CommandBook
from devices.disk.spool import DISK_BYTES, DiskSpool

__all__ = ["DISK_BYTES", "CommandBook", "DiskSpool"]
