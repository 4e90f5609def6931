"""Abuse of the package: a soak, and the calls, faults and bad inputs that it mixes."""
