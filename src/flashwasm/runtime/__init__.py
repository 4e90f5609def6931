"""The runtime: one sandbox, its linear memory, and how one operation runs in it."""
