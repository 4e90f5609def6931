"""Steps of training an adapter, and what feedback is worth to a suite."""
