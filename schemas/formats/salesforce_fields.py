"""What of Salesforce's events is read, and as what; see `salesforce_cdc`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

COLUMN_OF_FIELD: Mapping[str, str] = MappingProxyType(
    {
        "AccountType__c": "account_type",
        "Name": "name",
        "Email": "email",  # Contact
        "PersonEmail": "email",  # Account of a person
        "MSISDN__c": "msisdn",
        "BillingAddress": "address",  # Account
        "MailingAddress": "address",  # Contact
        "Birthdate": "birth_date",  # Contact
        "PersonBirthdate": "birth_date",  # Account of a person
        "SiteId__c": "site_id",
        "Segment__c": "segment",
        "Plan__c": "plan",
        "Services__c": "services",
        "Language__c": "language",
        "Channels__c": "channels",
        "Consent__c": "consent",
        "Status__c": "status",
        "ContractStart__c": "contract_start",
        "ContractEnd__c": "contract_end",
    }
)

ENTITIES = ("Account", "Contact")
OPS: Mapping[str, str] = MappingProxyType(
    {"CREATE": "create", "UNDELETE": "create", "UPDATE": "update", "DELETE": "delete"}
)


@dataclass(frozen=True, slots=True)
class Compound:
    """A field that has parts."""

    parts: tuple[str, ...]  # in the order they are written
    essential: frozenset[str]  # without these it is not whole
    glue: str


COMPOUNDS: Mapping[str, Compound] = MappingProxyType(
    {
        "address": Compound(
            ("Street", "PostalCode", "City", "State", "Country"),
            frozenset(("Street", "PostalCode", "City", "Country")),
            ", ",
        ),
        "name": Compound(("FirstName", "MiddleName", "LastName", "Suffix"), frozenset(("FirstName", "LastName")), " "),
    }
)

SEQUENCES = 10_000
LAST_COMMIT = (2**63 - 1) // SEQUENCES - 1


def columns_of(fields: list[str]) -> set[str]:
    """Columns that the fields feed; `BillingAddress.Street` is a part of `BillingAddress`."""
    bases = (field.partition(".")[0] for field in fields)
    return {COLUMN_OF_FIELD[base] for base in bases if base in COLUMN_OF_FIELD}
