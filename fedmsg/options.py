"""Every configuration option, in one table.

The two sets of defaults (``fedmsg.config.conf`` and ``fedmsg.config.load_config``) and the
configuration page of the manual are made from :data:`TABLE`; nothing about an option is written
down twice.  It is one table, and so this module is longer than others.  Specification: config.md,
sections 2, 5 and 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedmsg._option import (
    ABSENT,
    Option,
    addresses,
    array,
    boolean,
    durations,
    integer,
    mapping,
    policy,
    ports,
    positive,
    real,
    text,
    text_or_list,
)

__all__ = ["ABSENT", "TABLE", "Option", "bare_format", "get"]

bare_format = "[%(asctime)s][%(name)10s %(levelname)7s] %(message)s"

_LOGGING = {
    "version": 1,
    "formatters": {"bare": {"datefmt": "%Y-%m-%d %H:%M:%S", "format": bare_format}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "bare",
            "level": "INFO",
            "stream": "ext://sys.stdout",
        }
    },
    "loggers": {
        "fedmsg": {"level": "INFO", "propagate": False, "handlers": ["console"]},
        "moksha": {"level": "INFO", "propagate": False, "handlers": ["console"]},
    },
}

_IRC_BOT = {
    "network": "irc.freenode.net",
    "port": 6667,
    "ssl": False,
    "nickname": "fedmsg-dev",
    "channel": "my-fedmsg-channel",
    "timeout": 120,
    "make_pretty": True,
    "make_terse": True,
    "make_short": True,
    "line_rate": 0.9,
    "filters": {"topic": [], "body": ["lub-dub"]},
}

_IRC_COLOURS = {
    "fas": "light blue",
    "bodhi": "green",
    "git": "red",
    "tagger": "brown",
    "wiki": "purple",
    "logger": "orange",
    "pkgdb": "teal",
    "buildsys": "yellow",
    "planet": "light green",
}


def _section(title: str, *rows: Option) -> tuple[Option, ...]:
    for row in rows:
        row.section = title
    return rows


O = Option
I, F, B, S, L, D = integer, real, boolean, text, array, mapping  # codes of config.md 2

# fmt: off
_ROWS: list[Option] = [
    # The 48 keys of conf come first, in the order in which its errors are reported.
    *_section(
        "Topics",
        O("topic_prefix", "first part of every topic", "com.example", "org.fedoraproject", check=S),
        O("environment", "second part of every topic; letters only, by convention",
          "dev", "dev", check=S),
    ),
    *_section(
        "Sockets",
        O("io_threads", "zmq I/O threads of a context", 1, 1, check=I, unit="threads"),
        O("post_init_sleep", "time allowed for subscribers to join a new publisher",
          0.5, 0.5, check=F, unit="seconds"),
        O("timeout", "longest wait for a relay, a name or a reply; the listening commands set 0",
          2, 2, check=I, unit="seconds"),
    ),
    *_section(
        "Files and logging",
        O("print_config", "print the configuration and exit; same as --print-config",
          False, False, check=B),
    ),
    *_section(
        "Sockets",
        O("high_water_mark", "limit of a zmq queue, 0 = unlimited", 0, 0, check=I, unit="messages"),
        O("zmq_linger", "time that destroy() gives to what is still queued",
          1000, 1000, check=I, unit="milliseconds"),
        O("zmq_enabled", "publish and subscribe with zeromq; if false, with Moksha or STOMP",
          True, check=B),
        O("zmq_strict", "hub: topics must be equal to the subscription, not just begin with it",
          False, check=B),
        O("zmq_tcp_keepalive", "TCP keepalive, 1 = on, 0 = off", 1, check=I),
        O("zmq_tcp_keepalive_cnt", "probes without answer before a peer counts as dead",
          3, check=I, unit="probes"),
        O("zmq_tcp_keepalive_idle", "silence before the first probe", 60, check=I, unit="seconds"),
        O("zmq_tcp_keepalive_intvl", "time between two probes", 5, check=I, unit="seconds"),
        O("zmq_reconnect_ivl", "first delay before connecting again",
          100, check=I, unit="milliseconds"),
        O("zmq_reconnect_ivl_max", "longest delay before connecting again",
          1000, check=I, unit="milliseconds"),
    ),
    *_section(
        "Endpoints",
        O("endpoints", "name of a publisher to its addresses; all of them are the subscription "
          "list", {"relay_outbound": ["tcp://127.0.0.1:4001"]}, check=addresses),
        O("relay_inbound", "where active publishers connect and the relay binds: an address or "
          "a list of them", "tcp://127.0.0.1:2001", check=text_or_list),
    ),
    *_section(
        "Gateway",
        O("fedmsg.consumers.gateway.port", "port that the gateway publishes on", 9940, check=I),
        O("fedmsg.consumers.gateway.high_water_mark", "queue limit of the gateway's socket",
          1000, check=I, unit="messages"),
    ),
    *_section(
        "Signing and validation",
        O("sign_messages", "sign what is published", False, check=B),
        O("validate_signatures", "reject messages without a valid signature; when absent, tail "
          "accepts everything and consumers refuse to start", True, fallback=False, check=B),
        O("crypto_backend", "signer: x509 or gpg", "x509", check=S),
        O("crypto_validate_backends", "backends accepted on input; when absent, the signing one",
          ["x509"], fallback=None, check=L),
        O("ssldir", "directory of <certname>.key and <certname>.crt", "/etc/pki/fedmsg", check=S),
        O("crl_location", "path or https URL of the revocation list; None = no list",
          None, check=S),
        O("crl_cache", "deprecated, never read", None, check=S),
        O("crl_cache_expiry", "age at which a list from a URL is loaded again, 0 = never",
          3600, check=I, unit="seconds"),
        O("ca_cert_location", "path or https URL of the CA; the first certificate there is the "
          "trust anchor; when absent, ca.crt in ssldir", "/etc/pki/fedmsg/ca.crt", check=S),
        O("ca_cert_cache", "deprecated, never read", None, check=S),
        O("ca_cert_cache_expiry", "age at which a CA from a URL is loaded again, 0 = never",
          0, check=I, unit="seconds"),
        O("certnames", "<service>.<host> to file stem in ssldir", {}, check=D),
        O("routing_policy", "full topic to the certificate names that may send it",
          {}, check=policy),
        O("routing_nitpicky", "reject topics that routing_policy does not list", False, check=B),
    ),
    *_section(
        "IRC",
        O("irc", "one entry for each bot, as the section on fedmsg-irc describes it", [_IRC_BOT],
          check=L),
        O("irc_color_lookup", "module to colour", _IRC_COLOURS, fallback={}, check=D),
        O("irc_default_color", "colour of other modules", "light grey", check=S),
        O("irc_method", "notice or msg", "notice", check=S),
    ),
    *_section(
        "Endpoints",
        O("active", "connect to relay_inbound instead of binding an endpoint",
          False, False, check=B),
    ),
    *_section(
        "Files and logging",
        O("persistent_store", "numbers and keeps what is published: an SQLAlchemy URL, or an "
          "object with add(msg) and get(query)",
          None, None),
        O("logging", "logging.config.dictConfig settings, applied by the commands only",
          _LOGGING, _LOGGING, check=D),
    ),
    *_section(
        "STOMP",
        O("stomp_uri", "host:port[,host:port...], tried in turn", None, check=S),
        O("stomp_user", "login name", None, fallback="guest", check=S),
        O("stomp_pass", "its password", None, fallback="guest", check=S),
        O("stomp_ssl_crt", "file with the client's certificate; goes with the key; TLS is on",
          None, check=S),
        O("stomp_ssl_key", "file with its key", None, check=S),
    ),
    *_section(
        "Consumers",
        O("datagrepper_url", "service that returns messages missed while down", None, check=S),
        O("skip_last_message", "drop the first message of that backlog", False, check=B),
    ),
    # Options that 1.1.7 did not have.
    *_section(
        "Sockets",
        O("max_message_size", "a longer message from the bus is counted and dropped, 0 = any size",
          fallback=16777216, check=I, unit="bytes"),
        O("wait_for_subscriptions", "a binding publisher is ready as soon as this many "
          "subscriptions are in, at most after post_init_sleep; 0 = always the full time",
          fallback=0, check=I, unit="subscriptions"),
    ),
    *_section(
        "Hub",
        O("metrics_port", "serve /metrics for Prometheus, /live and /ready: a port, or a dict of "
          "daemon to port, 0 = do not", fallback=0, check=ports),
        O("metrics_host", "IP address of that server", fallback="127.0.0.1", check=S),
        O("expected_topics", "dict of topic to the silence after which the hub warns, in seconds",
          fallback={}, check=durations),
    ),
    *_section(
        "Consumers",
        O("queue_limit", "messages that wait for one consumer, 0 = no limit",
          fallback=10000, check=I, unit="messages"),
        O("queue_wait", "time for which a full queue holds up the hub; then what comes for this "
          "consumer is dropped until it takes again", fallback=5.0, check=F, unit="seconds"),
        O("retries", "attempts after the first for a message that a consumer failed on",
          fallback=0, check=I, unit="attempts"),
        O("retry_delay", "time before the first of them; each next waits twice as long, at most "
          "a minute", fallback=1.0, check=F, unit="seconds"),
        O("stop_timeout", "time that a hub which is told to stop gives to what is queued",
          fallback=10.0, check=F, unit="seconds"),
        O("dead_letter_file", "JSON lines: the messages that a consumer failed on for good",
          check=S),
        O("backlog", "fetch what was missed meanwhile when a hub starts; --no-backlog sets it to "
          "False", fallback=True, check=B),
        O("backlog_max_age", "nothing older is fetched", fallback=604800, check=I, unit="seconds"),
        O("backlog_limit", "messages that one consumer fetches at most, 0 = no limit",
          fallback=100000, check=I, unit="messages"),
    ),
    *_section(
        "Endpoints",
        O("relay_outage_limit", "messages kept while the relay is away, 0 = no limit",
          fallback=100000, check=I, unit="messages"),
        O("relay_required", "publishing fails if no relay has subscribed within timeout",
          fallback=False, check=B),
        O("replay_timeout", "longest wait for an answer of a replay service",
          fallback=5.0, check=F, unit="seconds"),
        O("replay_idle_check", "silence after which tail and consumers ask a publisher's replay "
          "service whether anything was missed, 0 = never", fallback=0.0, check=F, unit="seconds"),
        O("replay_limit", "a replay server refuses to answer with more at once",
          fallback=10000, check=I, unit="messages"),
    ),
    *_section(
        "STOMP",
        O("stomp_destination", "where a topic that does not begin with / is sent",
          fallback="/topic/{topic}", check=S),
        O("stomp_vhost", "virtual host of the broker", fallback="/", check=S),
        O("stomp_ssl", "encrypt; when absent, if a certificate or stomp_ssl_ca is given", check=B),
        O("stomp_ssl_ca", "file with the authorities that may certify the broker; when absent, "
          "the system's", check=S),
        O("stomp_ssl_verify", "check the broker's certificate, and that it is for the host of "
          "stomp_uri", fallback=True, check=B),
        O("stomp_timeout", "longest wait for a connection, for its answer, and for a send to move "
          "on", fallback=10.0, check=F, unit="seconds"),
        O("stomp_window", "messages that may be sent and not yet confirmed by the broker",
          fallback=1000, check=I, unit="messages"),
        O("stomp_window_timeout", "how long publish waits while that many are unconfirmed, before "
          "it raises an error", fallback=10.0, check=F, unit="seconds"),
        O("stomp_subscribe_headers", "more headers of a subscription, such as those that make it "
          "durable", check=D),
    ),
    *_section(
        "Web page",
        O("web_host", "address that fedmsg-web listens on; who can reach it sees the bus",
          fallback="127.0.0.1", check=S),
        O("web_port", "its port", fallback=8844, check=I),
        O("web_hosts", "names, besides localhost, under which browsers may ask for the page",
          fallback=[], check=L),
        O("web_rate", "messages that one browser is shown at most; of more, a sample",
          fallback=50, check=positive, unit="messages a second"),
        O("web_kept", "latest messages that are kept for browsers that come, and for permalinks",
          fallback=2000, check=I, unit="messages"),
        O("web_chart_seconds", "time that the chart shows", fallback=3600, check=positive,
          unit="seconds"),
        O("web_monitoring", "addresses of the daemons' monitoring sockets; when absent, "
          "moksha.monitoring.socket", check=L),
    ),
    *_section(
        "Bridge",
        O("bridge_direction", "both; out: to the broker only; in: from it only",
          fallback="both", check=S),
        O("bridge_bus", "name of this bus, the same for all its bridges, in the header against "
          "loops", fallback="fedmsg", check=S),
        O("bridge_topics", "beginnings of the topics that cross; when absent, all of them",
          check=L),
        O("bridge_amqp_url", "AMQP broker: amqps://user:password@host:5671/vhost (extra: bridge)",
          check=S),
        O("bridge_amqp_exchange", "topic exchange, which has to exist", fallback="amq.topic",
          check=S),
        O("bridge_queue_name", "durable queue (AMQP) or destination (STOMP) from which messages "
          "are taken; when absent, one that ends with the connection, or stomp_queue", check=S),
        O("bridge_position_file", "where the bridge keeps the number up to which everything is "
          "confirmed; needed with replay_endpoints", check=S),
        O("bridge_validate_broker", "reject messages of the broker without a valid signature",
          fallback=False, check=B),
        O("bridge_window", "messages sent to the broker before their confirmations are awaited, "
          "and taken from it before they are acknowledged", fallback=200, check=I,
          unit="messages"),
        O("bridge_queue", "messages of one publisher that may wait for the bridge; what comes "
          "beyond is lost unless it can be fetched again", fallback=10000, check=I,
          unit="messages"),
        O("bridge_remember", "ids remembered in each direction, against loops and doubles",
          fallback=100000, check=I, unit="ids"),
    ),
    # Options without a default, used as they come.
    *_section(
        "Topics",
        O("topic_prefix_re", "pattern of the first two parts of a topic, for meta processors; "
          "made from topic_prefix when absent"),
    ),
    *_section(
        "Endpoints",
        O("name", "this publisher's key in endpoints, and a replay server's in replay_endpoints"),
        O("mute", "make no publisher, and do not warn", fallback=False),
        O("srv_endpoints", "domains whose SRV records are added to endpoints (extra: srv)"),
        O("replay_endpoints", "name of a publisher to the one address of its replay service"),
        O("relay_outbound", "never read; use endpoints['relay_outbound']"),
        O("publish_endpoint", "never read; tail and trigger set it to None"),
    ),
    *_section(
        "Files and logging",
        O("config_filename", "read this file only; same as --config-filename"),
        O("status_directory", "where consumers keep how far they have got"),
    ),
    *_section(
        "Signing and validation",
        O("cert_prefix", "service part of the key looked up in certnames"),
        O("certname", "file stem of the certificate in use; set by publish"),
        O("gpg_home", "home directory of gpg"),
        O("gpg_signing_key", "key id used for signing with gpg"),
        O("gpg_keys", "hostname to gpg key id, used without gpg_signing_key"),
    ),
    *_section(
        "STOMP",
        O("stomp_broker", "host, used without stomp_uri"),
        O("stomp_port", "port that goes with stomp_broker", fallback=61613, check=I),
        O("stomp_heartbeat", "heart-beat offered both ways; the larger of both sides' counts, "
          "0 = off", fallback=10000, check=I, unit="milliseconds"),
        O("stomp_delay", "first delay before connecting again; it doubles, up to a minute",
          fallback=0.1, check=F, unit="seconds"),
        O("stomp_queue", "one subscription in place of all topics of the consumers"),
        O("stomp_ack_mode", "ack mode of the subscription; auto sends no acks", fallback="auto"),
        O("stomp_send_explicit_nacks", "answer a failed message with NACK, not with silence",
          fallback=True),
        O("stomp_unescape_headers", "undo STOMP 1.2 escapes", fallback=True),
    ),
    *_section(
        "Consumers",
        O("fedmsg.consumers.relay.enabled", "run the relay consumer in fedmsg-hub"),
        O("fedmsg.consumers.gateway.enabled", "run the gateway consumer in fedmsg-hub"),
        O("fedmsg.consumers.ircbot.enabled", "run the IRC bots in fedmsg-hub"),
        O("fedmsg.consumers.dummy.enabled", "run the dummy consumer in fedmsg-hub"),
    ),
    *_section(
        "Hub",
        O("zmq_subscribe_endpoints", "comma list; fedmsg commands make it from endpoints"),
        O("zmq_publish_endpoints", "comma list bound by the hub's own publisher", fallback=""),
        O("zmq_subscribe_method", "connect or bind", fallback="connect"),
        O("amqp_broker", "any value: the hub has another transport than zmq"),
        O("moksha.blocking_mode", "consume in the hub's own thread", fallback=False),
        O("moksha.workers_per_consumer", "threads of a consumer", fallback=1, unit="threads"),
        O("moksha.threadpool_size", "threads of the reactor; when absent, as many as needed",
          unit="threads"),
        O("moksha.monitoring.socket", "address where a daemon publishes its state every 5 s"),
        O("moksha.monitoring.socket.mode", "octal text such as '0660', for an ipc:// socket"),
        O("moksha.livesocket.backend", "websocket: start a websocket server", fallback="amqp"),
        O("moksha.livesocket.websocket.port", "port of that server", fallback=0),
        O("moksha.livesocket.websocket.interface", "address it listens on; empty: all of them",
          fallback=""),
        O("moksha.livesocket.websocket.client2server", "accept messages from browsers",
          fallback=False),
        O("moksha.livesocket.websocket.origins", "list of the sites whose pages may connect; "
          "when absent, any"),
    ),
]
# fmt: on

TABLE: dict[str, Option] = {row.name: row for row in _ROWS}
"""Every option by name; the manual groups them by section."""


def get(config: Mapping[str, Any], name: str) -> Any:
    """Return the value of an option that the code reads.

    Args:
        config: a loaded configuration.
        name: a key of :data:`TABLE`.

    Returns:
        The configured value if there is one and it is not None, else the table's fallback.
        Read keys for which None is a choice of its own, such as ``crl_location``, directly.

    Raises:
        KeyError: the table has no such option.
        ValueError: the value is wrong; the text names the key.  Only options that 1.1.7 did not
            have are checked here: its own were used as they came.
    """
    option = TABLE[name]
    value = config.get(name)
    if value is None:
        return option.otherwise
    if option.in_conf:
        return value
    try:
        return option.check(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"Invalid configuration value for {name!r}: {error}") from error
