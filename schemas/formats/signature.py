"""Signatures of webhooks: an HMAC over the body, in a header that whoever writes to Kafka has to take along."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from schemas.errors import RecordError
from schemas.formats.adapter import Record
from schemas.formats.fields import listed


def require_signature(record: Record, secret: bytes, hash_of_header: Mapping[str, str]) -> None:
    """Refuse a record that was not signed with a secret.

    Args:
        record: Its value must be the body byte for byte, for that is what was signed.
        secret: The secret.
        hash_of_header: The hash of each header that may hold the HMAC, in hexadecimal digits; the first header that
            is there decides.

    Raises:
        RecordError: `bad_signature`: there is none, or it is another.
    """
    for name, hash_name in hash_of_header.items():
        came = record.header(name)
        if came is None:
            continue
        expected = hmac.digest(secret, record.raw or b"", hash_name).hex().encode()
        if hmac.compare_digest(came.strip().lower(), expected):
            return
        raise RecordError("bad_signature", f"header {name}: expected the value's HMAC by the secret, came another")
    raise RecordError("bad_signature", f"header {listed(hash_of_header)}: expected a signature, came none")
