"""Limits on the work of one task and of one call of a kernel.

A task that is too small costs more to hand to a helper thread than to run. A call that is too
large delays a timeout or Ctrl-C, because these are checked only between two calls.
"""

# Elements that one task reads or writes, for kernels that do a few operations an element. The
# larger limit is about a millisecond of work.
FEWEST_ELEMENTS = 1 << 16
MOST_ELEMENTS = 1 << 20

# Elements that a row counts as, at least, for kernels that do something once for each row.
SHORTEST_ROW = 8

# Multiply-adds of one task, for kernels that compute products. The larger limit is a few
# milliseconds of work.
FEWEST_PRODUCTS = 1 << 20
MOST_PRODUCTS = 1 << 26

# A side of a matrix product that is shorter than this counts as this long: such a product is bound
# by memory, by packing or by the time of one addition after another.
SHORTEST_SIDE = 32
# Multiply-adds of one element of a product that one call makes.
LONGEST_CHAIN = MOST_PRODUCTS // SHORTEST_SIDE**2

# Time that a row takes in one level of a heap, in multiply-adds.
HEAP_LEVEL = 100
# Elements of vectors that one call reads for few queries: memory is slower than arithmetic.
MOST_READ = 1 << 24

# Multiply-adds of one call that searches a graph. It is a quarter of the limit above: each vector
# is read once and from anywhere in memory, so a multiply-add takes longer.
MOST_GRAPH_PRODUCTS = 1 << 24
