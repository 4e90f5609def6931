"""Failures, read from reports and tracebacks, and the defects behind them."""
