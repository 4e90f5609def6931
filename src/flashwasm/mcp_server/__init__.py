"""Tools for coding agents: the commands on test suites, over the Model Context Protocol."""
