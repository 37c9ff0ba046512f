"""What somebody could use instead of fedmsg, measured beside it: one publisher, one subscriber.

Every system runs under a Python of its own, in ``.venv-bench`` (``make bench-peers``), with a
private server of its own.  What is missing is left out, and the report says so.
"""
