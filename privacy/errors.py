"""What privacy raises on purpose."""


class KeyringError(Exception):
    """The keyring cannot be used, or does not open what it was given.

    The message says what was expected and what to do. It never holds a key, a token or a value.
    """
