"""Logging of the commands and daemons; a library user's own set-up is left alone."""

bare_format = "[%(asctime)s][%(name)10s %(levelname)7s] %(message)s"

config = {
    "logging": {
        "version": 1,
        "formatters": {
            "bare": {"datefmt": "%Y-%m-%d %H:%M:%S", "format": bare_format},
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": "bare",
                "level": "INFO",
                "stream": "ext://sys.stdout",
            },
        },
        "loggers": {
            "fedmsg": {"level": "INFO", "propagate": False, "handlers": ["console"]},
            "moksha": {"level": "INFO", "propagate": False, "handlers": ["console"]},
        },
    },
}
