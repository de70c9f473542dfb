"""The operator's keys of provenance: a secret for watermarks, and a certificate chain that signs pictures."""

import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SECRET, KEY, CHAIN = "watermark.key", "signing.key", "signing.pem"
SECRET_BYTES = 32
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
YEARS = 30  # that a signature can be made; a picture's stays valid as long as well
ORGANIZATION = "Atelier"


@dataclass(frozen=True, kw_only=True)
class ProvenanceKeys:
    """The secret of watermarks; PEM texts of the signer's key and of its chain."""

    secret: bytes
    key: bytes
    chain: bytes

    def __repr__(self) -> str:
        """Nothing of it, so that no log has it."""
        return "ProvenanceKeys()"


def open_keys(folder: Path) -> ProvenanceKeys:
    """The keys in this folder, made at the first start; only this user may read them. Raises OSError."""
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    if not (folder / SECRET).exists():
        _write(folder / SECRET, secrets.token_bytes(SECRET_BYTES))
    if not all((folder / name).exists() for name in (KEY, CHAIN)):
        key, chain = _make_chain()
        for name, content in ((KEY, key), (CHAIN, chain)):
            _write(folder / name, content)
    secret, key, chain = ((folder / name).read_bytes() for name in (SECRET, KEY, CHAIN))
    return ProvenanceKeys(secret=secret, key=key, chain=chain)


def _write(path: Path, content: bytes) -> None:
    """Write it whole or not at all, readable by this user alone from the start."""
    new = path.with_suffix(f"{path.suffix}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _make_chain() -> tuple[bytes, bytes]:
    """The signer's key and its chain, as C2PA 2.2, section 14.5, wants them."""
    root_key, key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    installation = secrets.token_hex(4)  # tells two apart, and says nothing of the machine
    root = _certify(f"Root {installation}", root_key, root_key, f"Root {installation}", authority=True)
    signer = _certify(f"Signer {installation}", key, root_key, f"Root {installation}", authority=False)
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key_pem, signer.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)


def _certify(
    subject: str,
    key: EllipticCurvePrivateKey,
    issuer_key: EllipticCurvePrivateKey,
    issuer: str,
    *,
    authority: bool,
) -> x509.Certificate:
    start = datetime.now(UTC) - timedelta(days=1)
    usage = x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=365 * YEARS))
        .add_extension(
            x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True
        )
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if not authority:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purposes, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, text),
        ]
    )
