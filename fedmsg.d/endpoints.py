"""Who publishes where: every address here is one that listeners connect to.

The relay's own entry is in relay.py.  Entries of different files are merged by name.
"""

config = {
    "endpoints": {
        # A publisher that binds its own socket has an entry with its name; each thread or process
        # of it takes the first address that is free:
        # "shop.localhost": ["tcp://127.0.0.1:3001", "tcp://127.0.0.1:3002"],
        #
        # Public buses, as they were:
        # "fedora-infrastructure": ["tcp://hub.fedoraproject.org:9940"],
        # "fedora-infrastructure-staging": ["tcp://stg.fedoraproject.org:9940"],
        # "debian-infrastructure": ["tcp://fedmsg.olasd.eu:9940"],
        # "anitya-public-relay": ["tcp://release-monitoring.org:9940"],
    },
}
