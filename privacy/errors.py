"""What privacy raises on purpose. No message holds a key, a token or a value."""


class PrivacyError(Exception):
    """Whatever privacy raises on purpose. The message says what was expected and what to do."""


class KeyringError(PrivacyError):
    """The keyring cannot be used, or does not open what it was given.

    The message says what was expected and what to do. It never holds a key, a token or a value.
    """


class ForgottenError(KeyringError):
    """The customer whose token it is was forgotten: nobody can open it any more."""


class PolicyError(PrivacyError):
    """The reveal policy cannot be used; the message names the file and the place in it."""


class RefusedError(PrivacyError):
    """The policy does not let a role open a token."""


class AuditError(PrivacyError):
    """The audit log cannot be used; without it nothing is revealed."""


class AuditDamageError(AuditError):
    """The audit log is not what was written; the message names the first line that shows it."""
