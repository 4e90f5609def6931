"""Work on several processes: correctness under a bound of memory, losses, and speed."""
