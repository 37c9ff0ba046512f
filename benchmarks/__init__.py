"""How fast fedmsg is, against the same work done by hand with pyzmq: ``python -m benchmarks``.

Both sides of a comparison are measured alternately in one run, each in a process of its own of the
same kind.  What is compared are medians, for single runs on a shared machine tell nothing.
"""
