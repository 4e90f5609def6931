"""Evaluation of adapters: steps of training, and the effect of feedback on searches in a suite."""
