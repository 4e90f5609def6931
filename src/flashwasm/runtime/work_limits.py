"""Limits on the work in one task and in one call of a kernel.

If a task is too small, passing it to a helper thread takes longer than running it. If a call is too
large, timeouts and Ctrl-C are delayed, because they are checked only between two calls.
"""

# Elements that one task reads or writes, for kernels with a few operations per element. The larger
# limit is about a millisecond of work.
FEWEST_ELEMENTS = 1 << 16
MOST_ELEMENTS = 1 << 20

# Minimum work for a row, in elements, for kernels that also have work for each row.
SHORTEST_ROW = 8

# Multiply-adds of one task, for kernels that compute products. The larger limit is a few
# milliseconds of work.
FEWEST_PRODUCTS = 1 << 20
MOST_PRODUCTS = 1 << 26

# A shorter side of a matrix product counts as this long in estimates of the work. The time of such
# a product is limited by memory, by packing or by the latency of additions.
SHORTEST_SIDE = 32
# Maximum number of multiply-adds for one element of a product in one call.
LONGEST_CHAIN = MOST_PRODUCTS // SHORTEST_SIDE**2

# Time for one level of a heap, in multiply-adds.
HEAP_LEVEL = 100
# Maximum number of elements that one call reads for few queries, where memory is the bottleneck.
MOST_READ = 1 << 24

# Multiply-adds of one call that searches a graph. It is a quarter of the limit above, because a
# multiply-add takes longer there: each vector is read only once, from anywhere in memory.
MOST_GRAPH_PRODUCTS = 1 << 24
