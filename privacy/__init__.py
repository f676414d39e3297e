"""Personal data is tokenized on the way in, and only holders of the keyring can read it back."""

from privacy.errors import KeyringError
from privacy.keyring import Keyring
from privacy.sealing import Sealer
from privacy.tokens import PII_CLASSES, Tokenizer

__all__ = ["PII_CLASSES", "Keyring", "KeyringError", "Sealer", "Tokenizer"]
