"""Which Kafka topics a flow reads and writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from connectors.topics import TopicConfig
from flows.operators.profiles import CHANNELS
from schemas.errors import TerminalError
from schemas.formats import decoder_for

NOTIFICATION_TOPICS = tuple(f"notifications.{channel}" for channel in CHANNELS)

FLOW_STREAMS: Mapping[str, tuple[str, ...]] = {
    "fault-notifications": ("network_fault", "network_topology", "usage_event", "crm_change"),
}
"""The streams each flow reads."""


def require_flow(flow: str) -> None:
    """Refuse a name that is no flow.

    Raises:
        TerminalError: There is no such flow.
    """
    if flow not in FLOW_STREAMS:
        raise TerminalError(f"expected a flow ({', '.join(FLOW_STREAMS)}), got another name: {flow}")


def inputs_of(flow: str, topics: Iterable[TopicConfig]) -> list[TopicConfig]:
    """The topics that a flow reads."""
    return [each for each in topics if each.stream in FLOW_STREAMS[flow]]


def require_readable(topics: Iterable[TopicConfig]) -> None:
    """Refuse topics in a format that their stream does not come in, and those whose secret is not set.

    Raises:
        TerminalError: One line per topic.
    """
    mistakes = []
    for each in topics:
        try:
            decoder_for(each.stream, each.format, None, each.secret())
        except TerminalError as error:
            named = f'["{each.topic}"]'
            mistakes.append(str(error) if str(error).startswith(named) else f"{named} {error}")
    if mistakes:
        raise TerminalError("\n".join(mistakes))


def dead_letter_topics(inputs: Iterable[str]) -> list[str]:
    """Where unreadable records of these topics go."""
    return [f"{topic}.dlq" for topic in inputs]


def reject_topics(inputs: Iterable[str]) -> list[str]:
    """Where unreadable and late records of these topics go."""
    return [f"{topic}.{ending}" for topic in inputs for ending in ("dlq", "late")]


def planned_partitions(topics: Sequence[TopicConfig], partitions: int, output_partitions: int) -> dict[str, int]:
    """Every topic of an installation and its number of partitions.

    Args:
        topics: The input topics.
        partitions: Of each input topic.
        output_partitions: Of each output topic; the writers share them by number, so all have the same.
    """
    inputs = [each.topic for each in topics]
    outputs = [*NOTIFICATION_TOPICS, *reject_topics(inputs)]
    return dict.fromkeys(inputs, partitions) | dict.fromkeys(outputs, output_partitions)
