"""Evaluation of adapters: steps of training, and the worth of feedback to a suite."""
