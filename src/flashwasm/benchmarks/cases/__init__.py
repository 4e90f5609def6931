"""Cases of each kind of operation, and the table that lists them all."""
