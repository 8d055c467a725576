"""A mirror in InfluxDB: sole importer of influxdb_client."""

from hub.store.influx.mirror import InfluxMirror, RefusedLine

__all__ = ["InfluxMirror", "RefusedLine"]
