"""``fedmsg-keys``: certificates for development, in one step."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from fedmsg import utils
from fedmsg._arguments import complete
from fedmsg.commands import guarded
from fedmsg.crypto import authority
from fedmsg.exceptions import FedmsgError

__all__ = ["keys"]

_EPILOG = """\
examples:
  fedmsg-keys keys                           an authority, and a certificate for the shell
  fedmsg-keys keys --name shell.app01 --name relay.app01
  fedmsg-keys keys --add bodhi.app02         one certificate more
  fedmsg-keys keys --revoke bodhi.app02      a new crl.pem
"""
_WARNING = (
    "for development only: ca.key lies beside the other keys, without a passphrase;"
    " for a real bus see 'Security' in the manual"
)


def keys(argv: Sequence[str] | None = None) -> int | None:
    """Make keys and certificates, and print the configuration for them.

    Args:
        argv: the command line without the program; default ``sys.argv[1:]``.

    Returns:
        None, or 1 if nothing could be done.

    Raises:
        SystemExit: the command line is wrong (2), or asks for help (0).
    """
    arguments = complete(parser()).parse_args(argv)
    return guarded(lambda: _run(arguments))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="fedmsg-keys",
        description="Make a certificate authority with certificates and a revocation list,"
        " for development.  Nothing is overwritten.  The lines for fedmsg.d/ssl.py are printed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("directory", help="where the files are, or shall be: the option ssldir")
    add(
        "--name",
        dest="names",
        action="append",
        metavar="NAME",
        help="a certificate of a new authority; may be repeated; default shell.<host>",
    )
    add(
        "--add",
        dest="added",
        action="append",
        default=[],
        metavar="NAME",
        help="a certificate more of an authority that exists; may be repeated",
    )
    add(
        "--revoke",
        dest="revoked",
        action="append",
        default=[],
        metavar="NAME",
        help="put a certificate on the revocation list; may be repeated",
    )
    add("--days", type=int, default=365, help="how long all is valid; default %(default)s days")
    return made


def _run(arguments: argparse.Namespace) -> None:
    directory = os.path.abspath(arguments.directory)
    host = utils.hostname()
    if os.path.lexists(os.path.join(directory, "ca.crt")) or arguments.added:
        if arguments.names or not (arguments.added or arguments.revoked):
            raise FedmsgError(f"{directory} has an authority: use --add NAME or --revoke NAME")
        new, write = arguments.added, authority.add
    else:
        new, write = arguments.names or [f"shell.{host}"], authority.create
    unknown = set(arguments.revoked) - {*authority.issued(directory), *new}
    if unknown:
        raise FedmsgError(f"{directory} has no certificate for --revoke {min(unknown)}")
    if new:
        write(directory, new, arguments.days)
    if arguments.revoked:
        authority.revoke(directory, arguments.revoked)
        print(f"revoked: {', '.join(arguments.revoked)}", file=sys.stderr)
    print(_configuration(directory))
    print(f"fedmsg-keys: {_WARNING}", file=sys.stderr)


def _configuration(directory: str) -> str:
    """Return a file of ``fedmsg.d`` for the certificates of a directory."""
    lines = [f'"""Signatures, {_WARNING.partition(";")[0]}."""', "", "config = {"]
    settings = {
        "sign_messages": True,
        "validate_signatures": True,
        "ssldir": directory,
        "ca_cert_location": os.path.join(directory, "ca.crt"),
        "crl_location": os.path.join(directory, "crl.pem"),
    }
    lines += [f"    {name!r}: {value!r}," for name, value in settings.items()]
    names = authority.issued(directory)
    lines += ["    'certnames': {", *(f"        {name!r}: {name!r}," for name in names), "    },"]
    return "\n".join([*lines, "}"])
