"""Functions of a program that words describe."""
