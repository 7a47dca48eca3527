"""Put on PYTHONPATH, this makes every Python process of a stack carry the network witness."""

from geoml_ops.platform.network import watch_connections

watch_connections()
