"""Stress tests of the package: a long soak test, and its calls, faults and bad inputs."""
