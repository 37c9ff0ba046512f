"""Between this bus and another one: ``fedmsg-bridge`` and ``fedmsg-verify``.

``near`` is this bus, ``far`` the broker; ``outward`` and ``inward`` carry messages from one to the
other, ``service`` runs them, ``matching`` tells what is missing or double.
"""
