"""CA certificates and revocation lists, from files and from a server."""

from __future__ import annotations

import threading
from unittest import mock

import pytest
import requests
from pki import Authority, message, signed_with
from secure_server import Server

from fedmsg import crypto
from fedmsg.crypto import utils
from fedmsg.crypto import verdict as v


@pytest.fixture
def server(pki, monkeypatch):
    """A server that requests trusts."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pki.folder / "ca.crt"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = Server(pki)
    yield found
    found.close()


@pytest.fixture
def remote(pki, server):
    """Settings with CA and list on the server."""
    server.pages.update({"/ca.crt": pki.ca.pem, "/crl.pem": pki.ca.crl()})
    return {
        **pki.config,
        "ca_cert_location": f"{server.url}/ca.crt",
        "crl_location": f"{server.url}/crl.pem",
    }


def test_remote(pki, server, remote):
    """CA and list from https; they are loaded once."""
    for _ in range(10):
        assert crypto.validate(signed_with(pki.leaf), **remote)
    assert server.asked == ["/ca.crt", "/crl.pem"]


def test_remote_list_expires(pki, server, remote, clock):
    """A revocation counts after crl_cache_expiry; the CA is not loaded again."""
    given = signed_with(pki.leaf)
    assert crypto.validate(given, **remote)
    server.pages["/crl.pem"] = pki.ca.crl(pki.leaf.certificate)
    clock.ahead = 3500
    assert crypto.validate(given, **remote)
    clock.ahead = 3700
    assert crypto.check(given, **remote).reason == v.CERTIFICATE_REVOKED
    assert server.asked.count("/crl.pem") == 2


def test_first_load_is_waited_for(server, remote, eventually):
    """Threads that have nothing wait for the one that loads; it loads for all of them."""
    server.answering.clear()
    places = remote["ca_cert_location"], remote["crl_location"]
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(utils.load_certificates(*places)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: server.asked, "the request")
    threads[1].join(0.1)
    assert found == []
    server.answering.set()
    for thread in threads:
        thread.join(20)
    assert found[0] is not None
    assert found[0] is found[1]
    assert server.asked == ["/ca.crt", "/crl.pem"]


def test_nobody_waits_for_a_newer_one(pki, server, remote, clock, eventually):
    """While one thread loads again, the others go on with what there is."""
    given = signed_with(pki.leaf)
    assert crypto.validate(given, **remote)
    clock.ahead = 3700
    server.answering.clear()
    loading = threading.Thread(target=crypto.validate, args=(given,), kwargs=remote)
    loading.start()
    eventually(lambda: server.asked.count("/crl.pem") == 2, "the request")
    assert crypto.validate(given, **remote)
    assert loading.is_alive()
    server.answering.set()
    loading.join(20)


def test_expiries_are_configured(pki, server, remote, clock):
    """Both ages, in seconds."""
    config = {**remote, "crl_cache_expiry": 100, "ca_cert_cache_expiry": 500}
    for clock.ahead in (0, 90, 190, 290, 390, 490, 590):
        assert crypto.validate(signed_with(pki.leaf), **config)
    assert (server.asked.count("/crl.pem"), server.asked.count("/ca.crt")) == (6, 2)
    with pytest.raises(ValueError, match="crl_cache_expiry must be a number of seconds"):
        crypto.validate(signed_with(pki.leaf), **{**config, "crl_cache_expiry": "soon"})


def test_the_age_of_the_ca_alone_is_configured(pki, server, remote, clock):
    """It does not take the other setting, too."""
    for clock.ahead in (0, 90, 190):
        assert crypto.validate(signed_with(pki.leaf), **{**remote, "ca_cert_cache_expiry": 100})
    assert server.asked.count("/ca.crt") == 2


def test_failed_reload_keeps_the_old_content(pki, server, remote, clock, caplog):
    """Until it expires by itself; the log says so."""
    given = signed_with(pki.leaf)
    assert crypto.validate(given, **remote)
    server.pages["/crl.pem"] = 500
    clock.ahead = 3700
    assert crypto.validate(given, **remote)
    assert "cannot be loaded again" in caplog.text
    clock.ahead = 91 * 86400
    assert crypto.check(given, **remote).reason == v.CRL_EXPIRED


@pytest.mark.parametrize("page", [404, 500, 302, "é", "x" * (17 * 2**20)])
def test_bad_answer(pki, server, remote, page, caplog):
    """An error, a way out of https, what is not ASCII, or too much: nothing is accepted."""
    server.pages.update({"/crl.pem": page, "/plain.pem": pki.ca.crl()})
    for _ in range(5):
        assert crypto.check(signed_with(pki.leaf), **remote).reason == v.CA_UNAVAILABLE
    assert server.asked.count("/crl.pem") == 1
    assert caplog.text.count("no message can be validated") == 1


def test_large_answer_is_not_read_to_its_end(server, remote, monkeypatch, eventually):
    """A server cannot fill our memory; what was cut, even where a piece ends, is not used."""
    monkeypatch.setattr(utils, "_MOST_BYTES", 4096)
    server.pages["/ca.crt"] = "x" * 50_000_000
    with pytest.raises(ValueError, match="larger than 4096 bytes"):
        utils.load_certificates(remote["ca_cert_location"])
    eventually(lambda: server.cut == 1, "the end of the connection")


def test_untrusted_server(pki, server, remote, monkeypatch):
    """The certificate of the server is checked."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert crypto.check(signed_with(pki.leaf), **remote).reason == v.CA_UNAVAILABLE
    with pytest.raises(requests.RequestException):
        utils._load_certificate(f"{server.url}/ca.crt")


def test_forged_messages_do_not_cause_downloads(pki, server, remote, clock):
    """A flood of bad certificates: one more download a minute."""
    forged = [signed_with(Authority("other ca").issue(f"n{number}")) for number in range(20)]
    assert crypto.validate(signed_with(pki.leaf), **remote)
    for clock.ahead in (0, 30, 61, 90):
        for each in forged:
            assert crypto.check(each, **remote).reason == v.CERTIFICATE_NOT_TRUSTED
    assert server.asked == ["/ca.crt", "/crl.pem"] * 2


def test_garbage_does_not_cause_downloads(pki, server, remote, clock):
    """What is no certificate at all is none under a newer CA either."""
    garbage = {**signed_with(pki.leaf), "certificate": "AAAA"}
    assert crypto.validate(signed_with(pki.leaf), **remote)
    for clock.ahead in (0, 61, 130):
        assert crypto.check(garbage, **remote).reason == v.BAD_FIELD
    assert server.asked == ["/ca.crt", "/crl.pem"]


def test_changed_files(pki, clock):
    """A list or a CA in a file counts within a second of its change."""
    given = signed_with(pki.leaf)
    assert crypto.validate(given, **pki.config)
    pki.write("crl.pem", pki.ca.crl(pki.leaf.certificate))
    clock.ahead += 1
    assert not crypto.validate(given, **pki.config)
    pki.write("crl.pem", pki.ca.crl())
    clock.ahead += 1
    assert crypto.validate(given, **pki.config)


def test_first_certificate_is_the_anchor(pki):
    """Text and other certificates around it are ignored."""
    other = Authority("other ca", "Other CA")
    pki.write("ca.crt", "A bundle\n" + pki.ca.pem + other.pem)
    assert crypto.validate(signed_with(pki.leaf), **pki.config)
    assert not crypto.validate(signed_with(other.issue()), **pki.config)


def test_list_of_version_1(pki, openssl, tmp_path):
    """Deployed lists have no version field."""
    (tmp_path / "index.txt").touch()
    (tmp_path / "ca.cnf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ndefault_md=sha1\ndefault_crl_days=9\n"
    )
    (tmp_path / "ca.key").write_bytes(type(pki.leaf)(pki.ca.key, pki.ca.certificate).key_pem)
    openssl("ca", "-gencrl", "-config", "ca.cnf", "-keyfile", "ca.key", "-cert",
            pki.folder / "ca.crt", "-out", pki.folder / "crl.pem", cwd=tmp_path)  # fmt: skip
    shown = openssl("crl", "-in", pki.folder / "crl.pem", "-noout", "-text")
    assert "Version 1" in shown
    assert crypto.validate(signed_with(pki.leaf), **pki.config)


@pytest.mark.parametrize("given", [{}, {"crl_location": None}])
def test_default_location(pki, given, caplog):
    """Without the keys: ca.crt in ssldir and no list, never the network; said once."""
    config = {"ssldir": str(pki.folder), **given}
    for _ in range(3):
        assert crypto.validate(signed_with(pki.leaf), **config)
    assert caplog.text.count("'ca_cert_location' is not set") == 1


def test_no_location_at_all(pki, caplog):
    """The CA is looked for in the default of ssldir."""
    assert not crypto.validate(signed_with(pki.leaf))
    assert "'ca_cert_location' is not set: using /etc/pki/fedmsg/ca.crt" in caplog.text


def test_each_configuration_has_its_list(pki):
    """One without a list, or with another one, does not lend it to the next."""
    given = signed_with(pki.leaf)
    revoking = pki.write("other.pem", pki.ca.crl(pki.leaf.certificate))
    places = (None, revoking, pki.config["crl_location"], revoking)
    found = [crypto.validate(given, **{**pki.config, "crl_location": each}) for each in places]
    assert found == [True, False, True, False]


@pytest.mark.parametrize(
    ("pairs", "valid"),
    [
        (["good"], True), (["other", "good"], True), (["old list", "good"], True),
        (["other", "other"], False), (["expired", "expired"], False),
    ],
)  # fmt: skip
def test_one_retry(pki, pairs, valid):
    """The seam of 1.1.7's tests: what load_certificates returns, at most twice a validation."""
    known = {
        "good": (pki.ca.pem, None),
        "other": (Authority("other ca").pem, None),
        "old list": (pki.ca.pem, pki.ca.crl(since=-9, until=-1)),
        "expired": (Authority(since=-9, until=-1).pem, None),
    }
    with mock.patch("fedmsg.crypto.utils.load_certificates") as load:
        load.side_effect = [known[name] for name in pairs]
        assert crypto.validate(signed_with(pki.leaf), **pki.config) is valid
    assert load.call_count == len(pairs)
    locations = (pki.config["ca_cert_location"], pki.config["crl_location"])
    expected = [mock.call(*locations), mock.call(*locations, invalidate_cache=True)]
    assert load.call_args_list == expected[: len(pairs)]


def test_memo_of_1_1_7():
    """Its keys, its pairs, one look at each location; a patched row may refresh."""
    with mock.patch("fedmsg.crypto.utils._cached_certificates", {}) as memo:
        with mock.patch("fedmsg.crypto.utils._load_certificate", side_effect=str.upper) as load:
            assert utils.load_certificates("/ca") == utils.load_certificates("/ca") == ("/CA", None)
            assert utils.load_certificates("/ca", "/crl") == ("/CA", "/CRL")
            memo["/old"] = ("old", None)
            assert utils.load_certificates("/old") == ("old", None)
            assert utils.load_certificates("/old", invalidate_cache=True) == ("/OLD", None)
        assert [call.args[0] for call in load.call_args_list] == ["/ca", "/ca", "/crl", "/old"]
        assert set(memo) == {"/ca", ("/ca", "/crl"), "/old"}


def test_what_is_put_into_the_memo_counts_at_once(pki):
    """An application's tests put a CA of theirs there; or take it out."""
    other = Authority("other ca", "Other CA")
    given = signed_with(other.issue())
    assert crypto.validate(signed_with(pki.leaf), **pki.config)
    row = (pki.config["ca_cert_location"], pki.config["crl_location"])
    with mock.patch.dict(utils._cached_certificates, {row: (other.pem, None)}):
        assert crypto.validate(given, **pki.config)
    assert not crypto.validate(given, **pki.config)


@pytest.mark.parametrize(
    ("given", "fixed"),
    [
        ({"timestamp": 1.0}, None),
        ({"source_name": "d", "timestamp": 1.0}, None),
        ({"timestamp": 1.5, "headers": {}}, {"timestamp": 1}),
        ({"timestamp": "x", "headers": {"a": 1}}, {"timestamp": "x", "headers": {"a": 1}}),
        ({}, {}),
    ],
)
def test_datagrepper_messages(given, fixed):
    """What the archive added goes; other messages are returned as they are."""
    if fixed is not None:
        given = {**given, "source_name": "datanommer", "source_version": "0.6.5"}
    before = dict(given)
    found = utils.fix_datagrepper_message(given)
    assert (found, given) == (given if fixed is None else fixed, before)
    assert (found is given) is (fixed is None)


def test_policy_function():
    """validate_policy has the arguments of 1.1.7."""
    assert utils.validate_policy("t", "me", {"t": ["me"]}, nitpicky=True)
    assert not utils.validate_policy("t", "you", {"t": ["me"]})
    assert utils.validate_policy("u", "you", {"t": ["me"]})
    assert message()["topic"]
