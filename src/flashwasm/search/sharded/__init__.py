"""The sharded index: several indexes, each in its own sandbox, that are searched as one."""
