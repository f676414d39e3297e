import pytest

from connectors.topics import STREAMS, TopicConfig, load_topics
from schemas.errors import TerminalError


def test_packaged_topics_cover_every_stream_when_no_file_is_given():
    topics = load_topics()
    assert {topic.stream for topic in topics} == STREAMS
    assert TopicConfig("network.faults.mist", "network_fault", "mist") in topics
    assert TopicConfig("crm.changes.debezium", "crm_change", "debezium") in topics
    assert {topic.topic for topic in topics if topic.format == "canonical"} == {
        "network.faults",
        "network.topology",
        "usage.events",
        "crm.changes",
        "billing.events",
        "care.interactions",
    }


def test_load_tells_each_mistake_in_one_line_when_there_are_several(tmp_path):
    path = tmp_path / "topics.toml"
    path.write_text(
        'loose = 1\n["no such name"]\n["a"]\nstream = "usage"\nformat = "canonical"\n'
        '["b"]\nstream = "usage_event"\nformat = 3\ncolour = "red"\n'
    )
    with pytest.raises(TerminalError) as error:
        load_topics(path)
    assert str(error.value).splitlines() == [
        f"{path}: 'loose' stands outside of a table: write [\"topic.name\"] with stream and format below it",
        f"{path}: ['no such name'] is no legal topic name: letters, digits, '.', '_' and '-', at most 249",
        f"{path}: [\"a\"] names the unknown stream 'usage': expected one of billing_event, care_interaction, "
        "crm_change, network_fault, network_topology, usage_event",
        f"{path}: [\"b\"] does not know 'colour': only stream, format and secret_env",
        f'{path}: ["b"] needs format = "…", found int',
    ]


def test_load_says_to_quote_the_name_when_its_dots_made_tables(tmp_path):
    path = tmp_path / "topics.toml"
    path.write_text('[usage.events]\nstream = "usage_event"\nformat = "canonical"\n')
    with pytest.raises(TerminalError) as error:
        load_topics(path)
    assert str(error.value) == f'{path}: [usage.events] must be quoted, for its dots make tables: ["usage.events"]'


@pytest.mark.parametrize("content", ["", "[a.b]\nstream = 'usage_event'\nformat = 'canonical'\n", "= nonsense"])
def test_load_refuses_a_file_when_it_names_no_topic(tmp_path, content):
    path = tmp_path / "topics.toml"
    path.write_text(content)
    with pytest.raises(TerminalError, match=r"topics\.toml"):
        load_topics(path)


def test_load_names_the_file_when_it_is_missing(tmp_path):
    with pytest.raises(TerminalError, match=r"missing\.toml cannot be read as TOML: .*No such file"):
        load_topics(tmp_path / "missing.toml")


SIGNED = '["hooks"]\nstream = "network_fault"\nformat = "mist"\nsecret_env = "SIGNALBOX_MIST_SECRET"\n'


def test_secret_comes_from_the_environment_when_a_topic_names_its_variable(tmp_path):
    path = tmp_path / "topics.toml"
    path.write_text(SIGNED)
    [topic] = load_topics(path)
    assert topic == TopicConfig("hooks", "network_fault", "mist", "SIGNALBOX_MIST_SECRET")
    assert topic.secret({"SIGNALBOX_MIST_SECRET": "s3cret-ő"}) == "s3cret-ő".encode()
    assert TopicConfig("hooks", "network_fault", "mist").secret({"SIGNALBOX_MIST_SECRET": "s3cret"}) is None


@pytest.mark.parametrize("environment", [{}, {"SIGNALBOX_MIST_SECRET": ""}])
def test_topic_is_refused_when_its_secret_is_not_set(environment):
    with pytest.raises(TerminalError) as error:
        TopicConfig("hooks", "network_fault", "mist", "SIGNALBOX_MIST_SECRET").secret(environment)
    assert str(error.value) == (
        '["hooks"] expects its secret in SIGNALBOX_MIST_SECRET, which is not set: set it, or take secret_env out'
    )


@pytest.mark.parametrize(
    "written", ['"hunter2"', '"MIST_SECRET"', '"SIGNALBOX_KAFKA_SECRET"', "7", '""', '"SIGNALBOX_a secret"']
)
def test_load_does_not_quote_it_when_the_secret_itself_may_stand_in_the_file(tmp_path, written):
    path = tmp_path / "topics.toml"
    path.write_text(SIGNED.replace('"SIGNALBOX_MIST_SECRET"', written))
    with pytest.raises(TerminalError) as error:
        load_topics(path)
    assert (
        str(error.value) == f'{path}: ["hooks"] needs secret_env = "SIGNALBOX_…", the name of an environment variable'
    )
