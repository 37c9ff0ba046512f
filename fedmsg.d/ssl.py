"""Signatures.  Turn both switches on together, once the certificates are in place."""

config = {
    "sign_messages": False,
    # True rejects every message that is not signed.
    "validate_signatures": False,
    "crypto_backend": "x509",
    "crypto_validate_backends": ["x509"],
    # Directory of the certificates and keys of this machine's services.
    "ssldir": "/etc/pki/fedmsg",
    "ca_cert_location": "/etc/pki/fedmsg/ca.crt",
    "crl_location": "/etc/pki/fedmsg/crl.pem",
    # The Fedora Project had its own here:
    # "ca_cert_location": "https://fedoraproject.org/fedmsg/ca.crt",
    # "crl_location": "https://fedoraproject.org/fedmsg/crl.pem",
    #
    # <service>.<host> to the stem of the file names in ssldir:
    # "shell.app01": "shell-app01.example.com"
    "certnames": {},
    # Full topic to the certificate names that may send it, for example:
    # "org.fedoraproject.prod.announce.announcement": [
    #     "announce-lockbox.phx2.fedoraproject.org",
    # ],
    "routing_policy": {},
    # True rejects topics that routing_policy does not list.
    "routing_nitpicky": False,
}
