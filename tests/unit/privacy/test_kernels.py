"""The compiled loops: compiled beforehand for what they are called with, so that no record waits for a compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from privacy import Keyring

PROGRAM = """
import sys
import polars as pl
from privacy import Keyring, Tokenizer, kernels
kernels.warm_up()
keyring = Keyring.load(sys.argv[1])
tokenizer = Tokenizer(keyring.forget(Tokenizer(keyring).customer_numbers(pl.Series(["C2"]))[0]))
for customers in (["C1"], ["C1", "C2"], ["C1", "C2"] * 1000):
    numbers = tokenizer.customer_numbers(pl.Series(customers))
    owners = tokenizer.owners(numbers)
    for values in (["ada@example.com"], [""], [None], ["x" * 1000]):
        column = pl.Series(values * len(customers), dtype=pl.String)
        for token in tokenizer.tokens(column, "email", owners).drop_nulls().head(2):
            tokenizer.open(token)
print(len(kernels.write_tokens.signatures), len(kernels.walk_down.signatures))
"""


def test_nothing_is_compiled_anew_when_all_was_compiled_before(tmp_path: Path) -> None:
    keyring = Keyring.create(tmp_path / "keyring.json")
    done = subprocess.run([sys.executable, "-c", PROGRAM, keyring.path], check=True, capture_output=True, text=True)
    assert done.stdout == "1 1\n"
