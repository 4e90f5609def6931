"""Work on several processes: correctness with limited memory and lost workers, and speed."""
