"""What a token costs that can be forgotten with its customer, against one that cannot.

`python -m benchmarks.tokens` makes tokens of the e-mail addresses and telephone numbers of 200,000 customers, in
batches as the flow does, the ways by turns, and prints the CPU time of each as a ratio of the first.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import polars as pl

from privacy import Keyring, Tokenizer

CUSTOMERS = 200_000
BATCH = 10_000
ROUNDS = 5
FORGOTTEN = 100


def main() -> None:
    """Measure and print."""
    number = pl.int_range(CUSTOMERS, eager=True).cast(pl.String).str.zfill(9)
    rows = pl.DataFrame({"customer_id": "C" + number, "email": number + "@example.org", "msisdn": "+447" + number})
    with tempfile.TemporaryDirectory() as directory:
        fresh = Keyring.create(Path(directory) / "keyring.json")
        forgetful = fresh
        for customer in Tokenizer(fresh).customer_numbers("X" + number.head(FORGOTTEN)):
            forgetful = forgetful.forget(customer)
        ways = {
            "the same for everybody": (fresh, False),
            "each customer's own": (fresh, True),
            f"each customer's own, {FORGOTTEN} forgotten": (forgetful, True),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, (keyring, owned) in ways.items():
                taken[name].append(seconds(rows, Tokenizer(keyring), owned=owned))
    print("customer keys, and tokens of e-mail address and telephone number")
    first = min(taken["the same for everybody"])
    for name, times in taken.items():
        print(f"{name:<40} {2 * CUSTOMERS / min(times):>10,.0f} tokens/s   x {min(times) / first:.2f}")


def seconds(rows: pl.DataFrame, tokenizer: Tokenizer, *, owned: bool) -> float:
    """The CPU time that all batches take."""
    began = time.process_time()
    for batch in rows.iter_slices(BATCH):
        _, numbers = tokenizer.customers(batch["customer_id"])
        owners = tokenizer.owners(numbers) if owned else None
        tokenizer.tokens(batch["email"], "email", owners)
        tokenizer.tokens(batch["msisdn"], "msisdn", owners)
    return time.process_time() - began


if __name__ == "__main__":
    main()
