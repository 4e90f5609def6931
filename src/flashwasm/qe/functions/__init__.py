"""Search for the functions of a program by a description in words."""
