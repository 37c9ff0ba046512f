"""What every fedmsg process on this machine shares."""

config = {
    # A topic is <topic_prefix>.<environment>.<modname>.<topic>.  The environment is letters only.
    "topic_prefix": "org.fedoraproject",
    "environment": "dev",
    # Queue limit of the sockets, in messages; 0 means no limit.
    "high_water_mark": 0,
    "io_threads": 1,
    "zmq_enabled": True,
    "zmq_strict": False,
    # Seconds that a publisher allows for subscribers to join.
    "post_init_sleep": 0.5,
    # Milliseconds that a publisher allows, when it ends, for what is still queued.
    "zmq_linger": 1000,
    # Notice peers that are gone: seconds, except the first two.
    "zmq_tcp_keepalive": 1,
    "zmq_tcp_keepalive_cnt": 3,
    "zmq_tcp_keepalive_idle": 60,
    "zmq_tcp_keepalive_intvl": 5,
    # Milliseconds.
    "zmq_reconnect_ivl": 100,
    "zmq_reconnect_ivl_max": 1000,
    # Consumers resume where they stopped if they can keep status files, and ask a datagrepper
    # for what they missed.  The Fedora Project had this one:
    # "status_directory": "/run/fedmsg/status",
    # "datagrepper_url": "https://apps.fedoraproject.org/datagrepper/raw",
    #
    # A STOMP broker in place of zeromq:
    # "zmq_enabled": False,
    # "stomp_uri": "localhost:59597,localhost:59598",
    # "stomp_user": "username",
    # "stomp_pass": "password",
    # "stomp_ssl_crt": "/path/to/an/optional.crt",
    # "stomp_ssl_key": "/path/to/an/optional.key",
}
