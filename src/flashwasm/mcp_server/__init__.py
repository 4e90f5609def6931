"""Tools for coding agents: the commands over test suites, served by the Model Context Protocol."""
