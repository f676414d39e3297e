"""A real schema registry (Apicurio, by Confluent's interface), as a process of the tests."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from connectors.broker import free_port

LIBRARIES = Path(__file__).parents[1] / "build" / "registry"
_START_SECONDS = 60.0


@contextmanager
def running_registry(log: Path) -> Iterator[str]:
    """Start one that keeps everything in memory; gives its url, and ends it with the block.

    Args:
        log: Where its output goes.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    (runner,) = LIBRARIES.glob("*-runner.jar")
    command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command += ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}", "-jar", str(runner)]
    with log.open("wb") as out, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out) as process:
        try:
            _wait_until_it_answers(process, f"{url}/subjects", log)
            yield url
        finally:
            process.kill()


def _wait_until_it_answers(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(URLError, OSError), urlopen(address, timeout=1) as answer:
            assert answer.status == 200
            return
        time.sleep(0.1)
    raise AssertionError(f"no answer from the schema registry in {_START_SECONDS:.0f} s: {log.read_text()}")
