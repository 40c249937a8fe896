"""A script without `evaluate_model` runs as a program: it prints, and has no result."""

import platform
import statistics

latencies = [12, 15, 11, 19, 14, 13, 41]
print("median:", statistics.median(latencies), "ms")
print("spread:", round(statistics.stdev(latencies), 1), "ms")
print("on Python", platform.python_version())
