"""What must not be believed, and the reason that is given.  Each row fails without its check."""

from __future__ import annotations

import base64

import pytest
from cryptography.x509.oid import NameOID
from pki import Authority, Identity, certificate, message, name, other_key, rsa_key, signed_with

from fedmsg import crypto
from fedmsg.crypto import verdict as v
from fedmsg.exceptions import ConfigurationError


def reason(given, config):
    """Return why a message is rejected; empty if it is not."""
    before = sum(crypto.rejections.values())
    verdict = crypto.check(given, **config)
    assert crypto.validate(given, **config) is verdict.valid is (not verdict.reason)
    # Both were counted.
    assert sum(crypto.rejections.values()) - before == (0 if verdict.valid else 2)
    return verdict.reason


@pytest.fixture
def signed(pki):
    """A good message."""
    found = crypto.sign(message(), **pki.config)
    assert reason(found, pki.config) == ""
    return found


@pytest.mark.parametrize(
    "changes",
    [{"msg": {}}, {"topic": "org.fedoraproject.prod.x"}, {"timestamp": 1}, {"msg_id": "x"},
     {"i": 2}, {"username": "eve"}, {"extra": 1}, {"headers": {}}, {"crypto": "x509", "i": 1.0}],
)  # fmt: skip
def test_forged_field(signed, pki, changes):
    """A changed or an added field."""
    assert reason({**signed, **changes}, pki.config) == v.SIGNATURE_MISMATCH


@pytest.mark.parametrize("value", [object(), 5j, {1: 1, "1": 1}])
def test_a_callers_object_that_is_no_json(signed, pki, value):
    """Nobody can have signed it; that is no error of the caller."""
    assert reason({**signed, "msg": value}, pki.config) == v.SIGNATURE_MISMATCH


def test_signature_of_another_message(signed, pki):
    """A signature that is good, for something else."""
    other = crypto.sign(message(i=2), **pki.config)
    forged = {**signed, "signature": other["signature"]}
    assert reason(forged, pki.config) == v.SIGNATURE_MISMATCH


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"signature": "thisisnotmysignature"}, v.SIGNATURE_MISMATCH),
        ({"signature": ""}, v.BAD_FIELD),
        ({"signature": "x"}, v.BAD_FIELD),
        ({"signature": "é"}, v.BAD_FIELD),
        ({"signature": None}, v.BAD_FIELD),
        ({"signature": 5}, v.BAD_FIELD),
        ({"certificate": ""}, v.BAD_FIELD),
        ({"certificate": "AAAA"}, v.BAD_FIELD),
        ({"certificate": "\ud800"}, v.BAD_FIELD),
        ({"certificate": {"a": []}}, v.BAD_FIELD),
        ({"certificate": "QUFB" * 2_500_000}, v.BAD_FIELD),
        ({"signature": "QUFB" * 2_500_000}, v.BAD_FIELD),
        ({"crypto": None}, v.UNKNOWN_BACKEND),
        ({"crypto": "X509"}, v.UNKNOWN_BACKEND),
        ({"crypto": ["x509"]}, v.UNKNOWN_BACKEND),
        ({"crypto": {}}, v.UNKNOWN_BACKEND),
        ({"crypto": "gpg"}, v.BACKEND_NOT_ALLOWED),
    ],
)
def test_bad_field(signed, pki, changes, expected):
    """A field that cannot be read, or is of the wrong kind, or huge."""
    assert reason({**signed, **changes}, pki.config) == expected


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        (["signature"], v.MISSING_FIELD),
        (["certificate"], v.MISSING_FIELD),
        (["crypto", "signature", "certificate"], v.UNSIGNED),
        (["crypto", "certificate"], v.BACKEND_NOT_ALLOWED),
        (["crypto"], v.SIGNATURE_MISMATCH),
    ],
)
def test_missing_field(signed, pki, left_out, expected):
    """Credentials that are not there."""
    given = {key: value for key, value in signed.items() if key not in left_out}
    assert reason(given, pki.config) == expected


@pytest.mark.parametrize("given", [None, [], "x", 5, True])
def test_no_message(pki, given):
    """Something that is not an object."""
    assert reason(given, pki.config) == v.NOT_A_MESSAGE


def test_damaged_certificate(signed, pki):
    """PEM armour around bytes that are no certificate, and a cut one."""
    der = base64.b64encode(b"0\x82").decode()
    for text in (f"-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n",
                 pki.leaf.pem[:200] + "\n-----END CERTIFICATE-----\n"):  # fmt: skip
        given = {**signed, "certificate": base64.b64encode(text.encode()).decode()}
        assert reason(given, pki.config) == v.BAD_FIELD


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"until": -0.1}, v.CERTIFICATE_EXPIRED),
        ({"since": 1}, v.CERTIFICATE_NOT_YET_VALID),
        ({"key": other_key("ec")}, v.NOT_RSA),
        ({"key": other_key("dsa")}, v.NOT_RSA),
        ({"subject": name()}, v.NO_SINGLE_NAME),
        ({"subject": name("leaf", "admin")}, v.NO_SINGLE_NAME),
        ({"key": rsa_key("short", 1024)}, ""),
    ],
)
def test_certificate_of_the_ca(pki, settings, expected):
    """Certificates that the CA did issue, and that are still no good; 1024 bits are deployed."""
    assert reason(signed_with(pki.ca.issue(**settings)), pki.config) == expected


def test_rsa_key_of_512_bits(pki, tmp_path, openssl):
    """It can be factored at home; OpenSSL's store does not mind.  Nobody signs with it either."""
    path = tmp_path / "short.key"
    openssl("genrsa", "-out", path, "512")
    openssl("req", "-new", "-key", path, "-subj", "/CN=short", "-out", tmp_path / "short.csr")
    (tmp_path / "ca.key").write_bytes(Identity(pki.ca.key, pki.ca.certificate).key_pem)
    openssl("x509", "-req", "-in", tmp_path / "short.csr", "-CA", pki.folder / "ca.crt",
            "-CAkey", tmp_path / "ca.key", "-set_serial", "5", "-days", "9",
            "-out", tmp_path / "short.crt")  # fmt: skip
    text = (tmp_path / "short.crt").read_text()
    assert reason(signed_with(pki.leaf, text), pki.config) == v.KEY_TOO_SHORT
    pki.write("leaf.key", path.read_bytes())
    with pytest.raises(ConfigurationError, match="is no RSA key of 1024 bits or more"):
        crypto.sign(message(), **pki.config)


def test_other_ca_of_the_same_name(pki):
    """Names are for everybody to choose."""
    impostor = Authority("other ca").issue()
    assert reason(signed_with(impostor), pki.config) == v.CERTIFICATE_NOT_TRUSTED


def test_self_signed(pki):
    """A certificate that vouches for itself."""
    key = rsa_key("leaf")
    own = Identity(key, certificate(name("leaf"), key, name("leaf"), key, ca=True))
    assert reason(signed_with(own), pki.config) == v.CERTIFICATE_NOT_TRUSTED


def test_intermediate_ca(pki):
    """No intermediates: neither in the message nor beside the CA."""
    middle = pki.ca.issue("middle", rsa_key("middle"), ca=True)
    leaf = Identity(
        rsa_key("leaf"), certificate(name("leaf"), rsa_key("leaf"), name("middle"), middle.key)
    )
    given = signed_with(leaf, leaf.pem + middle.pem)
    pki.write("ca.crt", pki.ca.pem + middle.pem)
    assert reason(given, {**pki.config, "crl_location": None}) == v.CERTIFICATE_NOT_TRUSTED


def test_anchor_that_is_not_self_signed(pki):
    """The first certificate at the CA's location must be a root."""
    middle = pki.ca.issue("middle", rsa_key("middle"), ca=True)
    leaf = Identity(
        rsa_key("leaf"), certificate(name("leaf"), rsa_key("leaf"), name("middle"), middle.key)
    )
    pki.write("ca.crt", middle.pem)
    config = {**pki.config, "crl_location": None}
    assert reason(signed_with(leaf), config) == v.CERTIFICATE_NOT_TRUSTED


def test_revoked(pki, signed, clock):
    """Listed certificates; and everything, if the CA lists itself."""
    pki.write("crl.pem", pki.ca.crl(pki.leaf.certificate))
    clock.ahead += 1
    assert reason(signed, pki.config) == v.CERTIFICATE_REVOKED
    pki.write("crl.pem", pki.ca.crl(pki.ca.certificate))
    clock.ahead += 1
    assert reason(signed, pki.config) == v.CA_REVOKED


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda ca: ca.crl(since=-9, until=-1), v.CRL_EXPIRED),
        (lambda ca: ca.crl(since=1), v.CRL_NOT_YET_VALID),
        (lambda ca: Authority("other ca").crl(), v.CRL_MISMATCH),
        (lambda ca: Authority("other ca", "Other CA").crl(), v.CRL_MISMATCH),
        (lambda ca: ca.pem, v.CA_UNAVAILABLE),
        (lambda ca: "", v.CA_UNAVAILABLE),
        (lambda ca: b"\xff\xfe", v.CA_UNAVAILABLE),
        (lambda ca: "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", v.CA_UNAVAILABLE),
    ],
)
def test_bad_crl(pki, make, expected):
    """A list that is old, somebody else's, or none: nothing is accepted."""
    pki.write("crl.pem", make(pki.ca))
    assert reason(signed_with(pki.leaf), pki.config) == expected


@pytest.mark.parametrize("key", ["ca_cert_location", "crl_location"])
@pytest.mark.parametrize("location", ["/nowhere/x.pem", "http://127.0.0.1/x.pem", "", "\0"])
def test_unreadable_location(pki, caplog, key, location):
    """A file that is not there, for the CA or the list: False, and the log says why."""
    assert reason(signed_with(pki.leaf), {**pki.config, key: location}) == v.CA_UNAVAILABLE
    assert "no message can be validated" in caplog.text


@pytest.mark.parametrize(
    ("times", "expected"),
    [({"since": -9, "until": -1}, v.CA_EXPIRED), ({"since": 1}, v.CA_NOT_YET_VALID)],
)
def test_ca_out_of_its_time(pki, times, expected):
    """A CA counts only while it is valid itself."""
    pki.write("ca.crt", Authority(**times).pem)
    assert reason(signed_with(pki.leaf), pki.config) == expected


def test_policy(pki, signed):
    """Only who is listed may send on a topic; nitpicky, nobody on a topic that is not listed."""
    topic = signed["topic"]
    for policy, nitpicky, expected in [
        ({topic: ["leaf"]}, True, ""),
        ({topic: ["other"]}, False, v.NOT_ALLOWED),
        ({topic: []}, False, v.NOT_ALLOWED),
        # Text is no list: "leaf" is a part of it.
        ({topic: "my leaf"}, False, v.NOT_ALLOWED),
        ({"other": ["leaf"]}, False, ""),
        ({"other": ["leaf"]}, True, v.NOT_ALLOWED),
        (None, True, v.NOT_ALLOWED),
        (None, False, ""),
    ]:
        config = {**pki.config, "routing_policy": policy, "routing_nitpicky": nitpicky}
        assert reason(signed, config) == expected


def test_envelope_topic(pki, signed):
    """The topic that subscribers were chosen by must be the signed one."""
    topic = signed["topic"]
    assert crypto.check_received(topic, signed, **pki.config).valid
    assert crypto.check_received("other", signed, **pki.config).reason == v.TOPIC_DIFFERS
    assert crypto.rejections == {v.TOPIC_DIFFERS: 1}
    assert crypto.check_received("other", message(), **pki.config).reason == v.UNSIGNED
    without = signed_with(pki.leaf, topic=None)
    assert crypto.check_received(topic, without, **pki.config).reason == v.TOPIC_DIFFERS


@pytest.mark.parametrize("headers", [None, {"a": "b"}])
def test_doubt_counts_a_message_once(pki, signed, headers):
    """Also one from a broker, which may be signed with its headers or without them."""
    topic = signed["topic"]
    good = signed if headers is None else {**signed, "headers": headers}
    accepted = crypto.accepted
    assert crypto.doubt(topic, good, pki.config) == ""
    assert (crypto.accepted, crypto.rejections) == (accepted + 1, {})
    assert crypto.doubt(topic, {**good, "i": "other"}, pki.config) == "(invalid signature!)"
    assert crypto.rejections == {v.SIGNATURE_MISMATCH: 1}


def test_rejections_are_logged_at_a_bounded_rate(pki, caplog):
    """Anybody can cause them; hostile text does not reach the log as it is."""
    for _ in range(200):
        crypto.check(message(topic="a\nb\x1b[2J"), **pki.config)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) <= 60
    assert "\\n" in lines[0]
    assert not {"\n", "\x1b"} & set("".join(lines))


def test_common_name_is_what_counts():
    """The tests' own certificates have the names that they say."""
    subject = Authority().issue("leaf").certificate.subject
    assert [item.value for item in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["leaf"]


def test_valid_messages_are_counted(pki):
    """However often somebody looks, and whichever way they are checked."""
    message = crypto.sign({"topic": "org.test.a", "msg": {}}, **pki.config)
    before = crypto.accepted
    assert crypto.validate(message, **pki.config)
    assert crypto.check(message, **pki.config).valid
    assert crypto.check_received("org.test.a", message, **pki.config).valid
    assert not crypto.validate({**message, "msg": {"x": 1}}, **pki.config)
    assert [crypto.accepted - before for _ in range(3)] == [3, 3, 3]
