"""The errors Signalbox raises on purpose.

A message says what was expected, what came (a type or a place, never a value: it may be personal) and what to do.
"""


class SignalboxError(Exception):
    """Whatever Signalbox raises on purpose."""


class TransientError(SignalboxError):
    """May go away by itself: the supervisor starts the flow again."""


class TerminalError(SignalboxError):
    """Will not go away by itself: the flow stops, and the message says what to do."""


class RecordError(SignalboxError):
    """One record cannot be read; it goes to the dead letters, and its neighbours go on.

    Args:
        reason: A member of `schemas.codec.REASONS`, used as a metric label and a dead-letter header.
        message: Names the column, the type expected and the type that came.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
