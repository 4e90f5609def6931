"""Search for functions of a program by a description in words."""
