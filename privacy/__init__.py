"""Personal data is tokenized on the way in, and only holders of the keyring can read it back."""

from privacy.audit import AuditLog
from privacy.audit_counts import AuditCounts
from privacy.customer_tokens import RowKeys
from privacy.errors import (
    AuditDamageError,
    AuditError,
    ForgottenError,
    KeyringError,
    PolicyError,
    PrivacyError,
    RefusedError,
)
from privacy.forget import forget
from privacy.keyring import Keyring
from privacy.keyring_watch import KeyringWatch
from privacy.policy import Policy
from privacy.redact import redact
from privacy.reveal import RevealRequest, reveal
from privacy.sealing import Sealer
from privacy.tokens import PII_CLASSES, Tokenizer

__all__ = [
    "PII_CLASSES",
    "Keyring",
    "KeyringWatch",
    "Sealer",
    "Tokenizer",
    "RowKeys",
    "Policy",
    "RevealRequest",
    "reveal",
    "forget",
    "AuditLog",
    "AuditCounts",
    "redact",
    "PrivacyError",
    "AuditDamageError",
    "AuditError",
    "ForgottenError",
    "KeyringError",
    "PolicyError",
    "RefusedError",
]
