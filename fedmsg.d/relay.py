"""The relay: publishers connect to it, and listeners connect to it."""

config = {
    # Where the relay publishes; it takes the first address that is free.
    "endpoints": {"relay_outbound": ["tcp://127.0.0.1:4001"]},
    # Where the relay binds and active publishers connect.
    "relay_inbound": "tcp://127.0.0.1:2001",
    # Applications publish through the relay.  One that has its own entry in `endpoints` and is to
    # bind there calls fedmsg.init(name=..., active=False).
    "active": True,
}
