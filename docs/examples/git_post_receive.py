#!/usr/bin/env python3
"""A git hook that publishes ``git.receive`` for every commit that is pushed.

Copy it to ``hooks/post-receive`` of the repository, and make it executable.  Messages go through
the relay; with ``sign_messages`` they are signed with the certificate of the service ``scm``.
A relay that is away does not undo the push: whoever pushes is told, and the hook fails.
"""

import os
import subprocess
import sys

import fedmsg
from fedmsg.exceptions import FedmsgError

NOBODY = "0" * 40
FIELDS = ("name", "email", "summary", "message")
COUNTS = ("additions", "deletions", "lines")
FORMAT = "%an%x00%ae%x00%s%x00%B"


def git(*arguments):
    """Return what a git command prints."""
    done = subprocess.run(["git", *arguments], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "replace")


def revisions(old, new, others):
    """Return the commits of a branch that were pushed, the oldest first, and which are seen first.

    A new branch has those that no other branch has.
    """
    elsewhere = [f"--exclude={ref}" for ref in others] + ["--all"]
    fresh = git("rev-list", "--reverse", new, "--not", *elsewhere).split()
    if old.strip("0") == "":
        return fresh, set(fresh)
    return git("rev-list", "--reverse", f"{old}..{new}").split(), set(fresh)


def stats(rev):
    """Return the numbers of lines that a commit adds and deletes, by file and in total."""
    output = git(
        "show", "-m", "--first-parent", "--numstat", "-z", "--no-renames", "--format=", rev
    )
    files = {}
    for row in filter(None, output.strip("\n").split("\0")):
        added, deleted, path = row.split("\t", 2)
        # A binary file has no lines.
        numbers = [int(number) if number.isdigit() else 0 for number in (added.strip(), deleted)]
        files[path] = dict(zip(COUNTS, [*numbers, sum(numbers)], strict=True))
    total = {key: sum(each[key] for each in files.values()) for key in COUNTS}
    return {"files": files, "total": {**total, "files": len(files)}}


def describe(rev, branch, seen):
    """Return what is published of a commit."""
    path = os.path.abspath(git("rev-parse", "--git-dir").strip())
    texts = git("log", "-1", f"--format={FORMAT}", rev).rstrip("\n").split("\0")
    commit = dict(zip(FIELDS, texts, strict=True))
    return {
        **commit,
        "username": commit["email"].partition("@")[0],
        "stats": stats(rev),
        "rev": rev,
        "path": path,
        "repo": os.path.basename(path.removesuffix("/.git")).removesuffix(".git"),
        "branch": branch,
        "agent": os.environ.get("GL_USER") or os.environ.get("USER", ""),
        "seen": seen,
    }


def main():
    """Publish the commits of the pushes on standard input, one line for each ref."""
    updates = [line.split() for line in sys.stdin]
    branches = [
        (old, new, ref)
        for old, new, ref in updates
        if ref.startswith("refs/heads/") and new.strip("0")
    ]
    refs = [ref for _, _, ref in branches]
    context = fedmsg.init(name="relay_inbound", cert_prefix="scm", active=True, relay_required=True)
    published = set()
    for old, new, ref in branches:
        revs, fresh = revisions(old, new, refs)
        for rev in revs:
            seen = rev not in fresh or rev in published
            published.add(rev)
            commit = describe(rev, ref.removeprefix("refs/heads/"), seen)
            fedmsg.publish(modname="git", topic="receive", msg={"commit": commit})
    left = context.flush(10)
    if left:
        print(f"fedmsg: {left} messages were not sent", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (FedmsgError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"fedmsg: this push is not announced: {error}")
