"""A CRM's table of customers in PostgreSQL: how it changes at random, and what its rows say by our contract."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

from schemas.formats.customers import COLUMNS
from tests.upstream.postgres import Postgres, Session

_FIRST_COLUMNS = {
    "name": "text NOT NULL",
    "email": "text",
    "phone": "text",
    "address": "text",
    "birth_date": "date",
    "site_id": "text",
    "segment": "text",
    "services": "text[]",
    "language": "varchar(8)",
    "channels": "text[]",
    "consent": "text[]",
    "status": "text NOT NULL DEFAULT 'active'",
    "contract_start": "timestamptz",
    "contract_end": "date",
    "credit": "numeric(12, 2)",
    "extra": "jsonb",
}
KEYS = ("text", "bigint", "numeric", "numeric(12)")
"""Types that `customer_id` may have."""

_LONG = ("address", "services")
_CHANNELS = ["email", "sms", "whatsapp", "push"]
_AT_A_TIME = 12
_SEATS = 2
_APART = -1


class Customers:
    """The table, and two sessions that write to it in turns, each to customers of its own.

    They write to a few customers at a time, and leave them for others: the last change of each is of another moment.

    Args:
        database: Where a database and a role `crm` are made, and the table in it.
        rng: Chooses everything.
        key: The type of `customer_id`.
    """

    def __init__(self, database: Postgres, rng: random.Random, key: str) -> None:
        self._database, self._rng, self._key = database, rng, key
        self._written = 0
        self._columns = list(_FIRST_COLUMNS)
        columns = ", ".join(f"{name} {kind}" for name, kind in _FIRST_COLUMNS.items())
        database.run("CREATE ROLE crm LOGIN REPLICATION; CREATE DATABASE crm OWNER crm", "postgres")
        database.run(f"SET ROLE crm; CREATE TABLE customers (customer_id {key} PRIMARY KEY, {columns})")
        for column in _LONG:
            # uncompressed: what is long is stored apart from its row, however well it compresses
            database.run(f"ALTER TABLE customers ALTER {column} SET STORAGE EXTERNAL")
        self._sessions: list[Session] = []
        self.reconnect()

    def reconnect(self) -> None:
        """Open the sessions anew; transactions that were under way are lost."""
        self.close()
        self._sessions = [self._database.session() for _ in range(_SEATS)]

    def close(self) -> None:
        """End the sessions."""
        for session in self._sessions:
            session.close()
        self._sessions = []

    def write(self) -> None:
        """Write a transaction in each session, their statements mixed."""
        waiting = [(session, self._transaction(seat)) for seat, session in enumerate(self._sessions)]
        while waiting := [each for each in waiting if each[1]]:
            session, statements = self._rng.choice(waiting)
            _say(session, statements.pop(0))
        self._written += 1

    def begin(self) -> None:
        """Write the beginning of a transaction in each session."""
        for seat, session in enumerate(self._sessions):
            for statement in self._transaction(seat)[:2]:
                _say(session, statement)

    def write_apart(self) -> None:
        """Write a row of a customer whom nothing else is about."""
        apart = _quoted(self._id(_APART))
        insert = f"INSERT INTO customers (customer_id, name) VALUES ({apart}, 'Apart')"
        _say(self._sessions[0], f"{insert} ON CONFLICT (customer_id) DO UPDATE SET name = 'Apart';")

    def ask(self, query: str) -> str:
        """The answer to a query, asked in a session that is open already."""
        return self._sessions[0].run(f"{query};").strip()

    def alter(self, action: str) -> None:
        """Change the table."""
        self._database.run(f"ALTER TABLE customers {action}")
        match action.split():
            case ["ADD", column, _]:
                self._columns.append(column)
            case ["DROP", column]:
                self._columns.remove(column)
            case ["RENAME", column, "TO", other]:
                self._columns[self._columns.index(column)] = other

    def touch(self) -> None:
        """Write every row as it is."""
        self._database.run("UPDATE customers SET credit = credit")

    def truncate(self) -> set[str]:
        """Truncate the table; gives the ids of the customers that were in it."""
        gone = set(self.rows())
        self._database.run("TRUNCATE customers")
        return gone

    def delete_before_truncate(self) -> None:
        """From now on have the rows deleted, one by one, before the table is truncated."""
        self._database.run(
            "CREATE FUNCTION delete_customers() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN DELETE FROM customers; RETURN NULL; END $$; "
            "CREATE TRIGGER delete_customers BEFORE TRUNCATE ON customers EXECUTE FUNCTION delete_customers()"
        )

    def write_long_values_again(self, customers: set[str]) -> None:
        """Write the values that may be long as new ones, equal to the old."""
        ids = ", ".join(_quoted(each) for each in customers) or "NULL"
        # to append nothing to no array gives an empty one, not null
        services = "CASE WHEN services IS NOT NULL THEN services || '{}' END"
        self._database.run(
            f"UPDATE customers SET address = address || '', services = {services} WHERE customer_id::text IN ({ids})"
        )

    def rows(self) -> dict[str, dict[str, Any]]:
        """The table's rows as our contract has them, by customer."""
        said = self._database.run("SELECT row_to_json(customers) FROM customers")
        found = [json.loads(line) for line in said.splitlines()]
        return {str(row["customer_id"]): by_contract(row) for row in found}

    def _transaction(self, seat: int) -> list[str]:
        rng = self._rng
        statements = [self._statement(seat) for _ in range(rng.randint(1, 4))]
        if rng.random() < 0.2:
            statements.insert(rng.randint(0, len(statements)), "SAVEPOINT here;")
            statements.append("ROLLBACK TO here;")
        return ["BEGIN;", *statements, "ROLLBACK;" if rng.random() < 0.1 else "COMMIT;"]

    def _statement(self, seat: int) -> str:
        one, other = (self._id(_SEATS * (self._written + self._rng.randrange(_AT_A_TIME)) + seat) for _ in range(2))
        named, renamed = _quoted(one), _quoted(other)
        match self._rng.choices(["insert", "copy", "update", "rename", "delete"], [5, 1, 9, 3, 2])[0]:
            case "insert":
                row = _record({"customer_id": one, **self._cells(self._columns)})
                cells = ", ".join(f"{column} = excluded.{column}" for column in self._columns)
                return f"INSERT INTO customers SELECT * FROM {row} ON CONFLICT (customer_id) DO UPDATE SET {cells};"
            case "copy":
                # rows that are copied may share a place in the log
                lines = "\n".join(each.replace("\\", "\\\\") + "\tBulk" for each in sorted({one, other}))
                gone = f"DELETE FROM customers WHERE customer_id IN ({named}, {renamed});"
                return f"{gone}\nCOPY customers (customer_id, name) FROM STDIN;\n{lines}\n\\."
            case "update":
                columns = self._rng.sample(self._columns, self._rng.randint(1, 4))
                row, names = _record(self._cells(columns)), ", ".join(columns)
                return f"UPDATE customers SET ({names}) = (SELECT {names} FROM {row}) WHERE customer_id = {named};"
            case "rename":
                taken = f"EXISTS (SELECT FROM customers WHERE customer_id = {renamed})"
                return f"UPDATE customers SET customer_id = {renamed} WHERE customer_id = {named} AND NOT {taken};"
            case _:
                return f"DELETE FROM customers WHERE customer_id = {named};"

    def _id(self, number: int) -> str:
        if self._key != "text":
            return str(number * 100)
        return f"C \"{number}\\Č'" if number % 7 == 0 else f"C-{number}"

    def _cells(self, columns: list[str]) -> dict[str, Any]:
        return {column: self._cell(column) for column in columns}

    def _cell(self, column: str) -> object:
        rng = self._rng
        long = rng.randbytes(1500).hex()
        day = f"{rng.randint(1930, 2030)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        match column:
            case "status":
                return rng.choice(["active", "active", "suspended", "left"])
            case "birth_date":
                return rng.choice([None, day, day, "0001-01-01", "9999-12-31", "infinity", "-infinity"])
            case "contract_start":
                clock = f"{rng.randrange(24):02}:59:59.{rng.randrange(10**6):06}+01"
                return rng.choice([None, f"{day} {clock}", "infinity", "-infinity", "20000-01-01", "0044-03-15 BC"])
            case "contract_end":
                return rng.choice([None, day, "9999-12-31", "20000-01-01", "infinity", "-infinity"])
            case "services":
                known = rng.sample(["voice", "sms", "data"], rng.randint(0, 3))
                return rng.choice([None, known, [*known, None], [*known, f"tv {long}"]])
            case "channels" | "consent":
                return rng.choice([None, rng.sample([*_CHANNELS, "letter", None], rng.randint(0, 6))])
            case "address":
                return rng.choice([None, f"Fő utca {rng.randint(1, 99)}, Győr", long])
            case "credit":
                return rng.randint(0, 10**6) / 100
            case "extra":
                return {"a": rng.random()}
        word = f"{rng.randint(0, 99)} {column[:2]}'Ő\"\\\n"
        return word if column == "name" else rng.choice([None, "", word[:8]])


def by_contract(row: dict[str, Any]) -> dict[str, Any]:
    """What a row of the table says in the terms of `crm_change`: the columns that a CRM may fill."""
    found: dict[str, Any] = {column: row.get(column) or None for column in COLUMNS}
    found["account_type"] = "postpaid"
    found["birth_date"] = None if "infinity" in (row["birth_date"] or "") else row["birth_date"]
    for column in ("contract_start", "contract_end"):
        found[column] = _micros(row[column] or "")
    for column, words in {"services": None, "channels": _CHANNELS, "consent": _CHANNELS}.items():
        if row[column] is not None:
            found[column] = [each for each in row[column] if (each in words if words else each is not None)]
    return found


def _micros(moment: str) -> int | None:
    """A time or a day as microseconds; None outside the years 1970 to 9999."""
    if len(moment.split("-")[0]) != 4 or moment.endswith("BC") or not "1970" <= moment < "9999-12-31T":
        return None
    found = datetime.fromisoformat(moment)
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def _say(session: Session, statement: str) -> None:
    said = session.run(statement)
    assert said == "", said


def _record(cells: dict[str, Any]) -> str:
    """Cells as a row of the table; columns that are not given are null."""
    return f"jsonb_populate_record(NULL::customers, {_quoted(json.dumps(cells))})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
