"""What tools/bench.py measures: the ways through the gateway's namespace, the works they are put to, the report."""
