"""Bots that repeat messages in IRC channels."""

config = {
    "irc": [
        {
            # A network on this machine; the Fedora Project used irc.freenode.net.
            "network": "127.0.0.1",
            "port": 6667,
            "ssl": False,
            "nickname": "fedmsg-dev",
            "channel": "my-fedmsg-channel",
            # Seconds without a sign of life before the bot connects again.
            "timeout": 120,
            "make_pretty": True,
            "make_terse": True,
            "make_short": True,
            # Least time between two lines, in seconds.
            "line_rate": 0.9,
            # Messages that match one of these patterns are not shown.
            "filters": {"topic": [], "body": ["lub-dub"]},
        },
    ],
    # Colour of a title by its first word, usually a module.
    "irc_color_lookup": {
        "fas": "light blue",
        "bodhi": "green",
        "git": "red",
        "tagger": "brown",
        "wiki": "purple",
        "logger": "orange",
        "pkgdb": "teal",
        "buildsys": "yellow",
        "planet": "light green",
    },
    "irc_default_color": "light grey",
    # "notice" or "msg".
    "irc_method": "notice",
}
