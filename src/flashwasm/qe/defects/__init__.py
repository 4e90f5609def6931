"""Failures and the defects behind them."""
