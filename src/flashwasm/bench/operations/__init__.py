"""The operations: a file of cases for each sort, and the table of them all."""
