"""Files of every kind: saying what a file is, and whether it is whole."""
