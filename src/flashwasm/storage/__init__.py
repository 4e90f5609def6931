"""Files: the checked file format, atomic writes, and the user's folders."""
