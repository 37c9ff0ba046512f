"""The gateway publishes the bus again on one public port."""

config = {
    "fedmsg.consumers.gateway.port": 9940,
    # Messages kept for a slow client before it loses some.
    "fedmsg.consumers.gateway.high_water_mark": 10000,
}
