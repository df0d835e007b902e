"""Certificates of keys, by the root that the verifier has pinned."""

import base64
import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from vouchsafe.errors import InvalidToken


class Root:
    def __init__(self, pem):
        self._certificate = x509.load_pem_x509_certificate(pem)
        if not extension(self._certificate, x509.BasicConstraints, lambda it: it.ca):
            raise ValueError("the root certificate does not belong to an authority")

    def check(self, jwk, key, issuer, now=None):
        """Checks that the root certifies `key`, which is that of `jwk`, for `issuer`."""
        try:
            leaf = x509.load_der_x509_certificate(base64.b64decode(jwk["x5c"][0], validate=True))
            leaf.verify_directly_issued_by(self._certificate)
            self._check(leaf, key, issuer, now or datetime.datetime.now(datetime.timezone.utc))
        except (InvalidSignature, IndexError, KeyError, TypeError, ValueError) as error:
            raise InvalidToken("the pinned root does not certify the key of this token") from error

    def _check(self, leaf, key, issuer, now):
        is_valid = (
            leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc
            and not extension(leaf, x509.BasicConstraints, lambda it: it.ca)
            and extension(leaf, x509.KeyUsage, lambda it: it.digital_signature and not it.key_cert_sign)
            # Our keys have none; certificates with one are for other purposes, such as TLS.
            and not extension(leaf, x509.ExtendedKeyUsage, lambda _: True)
            and extension(leaf, x509.SubjectAlternativeName, list) == [x509.UniformResourceIdentifier(issuer)]
            and encoded(leaf.public_key()) == encoded(key)
        )
        if not is_valid:
            raise ValueError("the certificate is for another purpose, issuer, time or key")


def extension(certificate, kind, read):
    """What `read` returns for an extension, or None without it."""
    try:
        return read(certificate.extensions.get_extension_for_class(kind).value)
    except x509.ExtensionNotFound:
        return None


def encoded(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
