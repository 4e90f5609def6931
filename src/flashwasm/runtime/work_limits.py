"""Limits on the work of one task and of one call of a kernel.

A task that is too small costs more to hand to a helper thread than to run. A call that is too
large delays a timeout or Ctrl-C, because these are checked only between two calls.
"""

# Elements that one task reads or writes, for kernels that do a few operations an element. The
# larger limit is about a millisecond of work.
FEWEST_ELEMENTS = 1 << 16
MOST_ELEMENTS = 1 << 20

# Multiply-adds of one task, for kernels that compute products. The larger limit is a few
# milliseconds of work.
FEWEST_PRODUCTS = 1 << 20
MOST_PRODUCTS = 1 << 26

# Multiply-adds of one call that searches a graph. It is a quarter of the limit above: each vector
# is read once and from anywhere in memory, so a multiply-add takes longer.
MOST_GRAPH_PRODUCTS = 1 << 24
