"""A plug-in for the hub of koji that publishes ``post...`` callbacks as ``koji.<event>``.

All of them but ``postCommit``, which comes with every transaction and says nothing.

Copy it to ``/usr/lib/koji-hub-plugins`` and add ``Plugins = fedmsg_koji`` to ``hub.conf``.
Messages go through the relay; with ``sign_messages`` they are signed with the certificate of the
service ``koji``.  Nothing that goes wrong here fails the operation of koji: its log says so.
"""

import contextlib
import json
import re

from koji.plugin import callback, callbacks, ignore_error

import fedmsg
from fedmsg.exceptions import AlreadyInitialized

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SETTINGS = {"name": "relay_inbound", "cert_prefix": "koji", "active": True}


def topic_of(event):
    """Return ``build.state.change`` for ``postBuildStateChange``."""
    return _WORDS.sub(".", event.removeprefix("post")).lower()


def plain(value):
    """Return a value as JSON has it: dates and objects as text."""
    return json.loads(json.dumps(value, default=str, skipkeys=True))


@callback(*[event for event in callbacks if event.startswith("post") and event != "postCommit"])
@ignore_error
def announce(event, *arguments, **keywords):
    """Publish one event."""
    # For each thread of the server; later calls find it made.
    with contextlib.suppress(AlreadyInitialized):
        fedmsg.init(**_SETTINGS)
    message = plain(keywords)
    if arguments:
        message["arguments"] = plain(arguments)
    fedmsg.publish(modname="koji", topic=topic_of(event), msg=message)
