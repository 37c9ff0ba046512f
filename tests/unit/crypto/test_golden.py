"""Messages that were published on a production bus."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from fedmsg import crypto
from fedmsg.crypto import utils
from fedmsg.crypto import verdict as v

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "golden"
#: Within the time of the CA, which was made again in 2022, and of every leaf.
MOMENT = datetime(2023, 6, 1, tzinfo=timezone.utc).timestamp()


def rows():
    """Return the rows of the file, none if it is not here."""
    path = FOLDER / "signed_messages.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


ROWS = rows()
pytestmark = pytest.mark.skipif(not ROWS, reason="the golden messages are not here")
CONFIG = {"ca_cert_location": str(FOLDER / "ca.crt"), "crl_location": None}


@pytest.fixture(autouse=True)
def then(clock):
    """It is 2023."""
    clock.fixed = MOMENT


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_message(row):
    """Good ones are valid and have their signer; the edited one is not."""
    verdict = crypto.check(row["message"], **CONFIG)
    reason = "" if row["signature_ok"] else v.SIGNATURE_MISMATCH
    assert verdict == (row["signature_ok"], row["signer"], reason)


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_edited_copy(row):
    """Any edit of any signed field is noticed."""
    for field in set(row["message"]) - {"signature", "certificate", "crypto"}:
        edited = copy.deepcopy(row["message"])
        edited[field] = [edited[field]]
        assert crypto.check(edited, **CONFIG).reason == v.SIGNATURE_MISMATCH


@pytest.mark.parametrize("row", [row for row in ROWS if row["transform"]])
def test_archive_copy(row):
    """A copy from datagrepper is valid after the fix."""
    assert crypto.validate(utils.fix_datagrepper_message(row["raw"]), **CONFIG)


def test_today(clock):
    """Their certificates have expired since."""
    clock.fixed = None
    assert crypto.check(ROWS[0]["message"], **CONFIG).reason == v.CERTIFICATE_EXPIRED
