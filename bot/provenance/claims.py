"""Reads what the C2PA Content Credentials of a file claim, where files of strangers are read."""

import io
from pathlib import Path
from typing import Any

from c2pa import C2paError, Context, Reader
from cryptography.x509 import load_pem_x509_certificates

FORMATS = ("png", "jpeg", "webp", "avif", "heif")
LONGEST = 60  # characters of a name that somebody chose


def read_claim(content: bytes, kind: str, chain: Path | None) -> dict[str, Any] | None:
    """What a file's credentials claim, as the fields of a ContentClaim; None without any.

    `kind`: Pillow's name of the format. `chain`: our own certificates. Nothing is asked of a network.
    """
    if kind.lower() not in FORMATS:
        return None
    own = chain.read_bytes() if chain is not None and chain.exists() else b""
    settings: dict[str, Any] = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    if own:
        settings["trust"] = {"trust_anchors": own.decode()}
    try:
        with Context.from_dict(settings) as context:
            reader = Reader.try_create(f"image/{kind.lower()}", io.BytesIO(content), context=context)
            return None if reader is None else _claim(reader, own)
    except C2paError:
        return {"valid": False}


def _claim(reader: Reader, own: bytes) -> dict[str, Any]:
    active = reader.get_active_manifest() or {}
    signature = active.get("signature_info") or {}
    state = reader.get_validation_state()
    generators = active.get("claim_generator_info") or [{}]
    serial = str(load_pem_x509_certificates(own)[0].serial_number) if own else None
    return {
        "valid": state in ("Valid", "Trusted"),
        # Trusted may also be who is on a list that the library brings.
        "ours": state == "Trusted" and signature.get("cert_serial_number") == serial,
        "signer": _shorten(signature.get("issuer") or signature.get("common_name")),
        "software": _shorten(generators[0].get("name") or active.get("claim_generator")),
        "title": _shorten(active.get("title")),
    }


def _shorten(value: object) -> str:
    text = " ".join("".join(letter for letter in str(value or "") if letter.isprintable()).split())
    return text[:LONGEST]
