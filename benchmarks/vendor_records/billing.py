"""Payments and bills as Stripe and bill management systems write them."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.vendor_records.moments import FIRST_SECOND, iso


def stripe(number: int, random: np.random.Generator) -> dict[str, Any]:
    """A charge that was paid."""
    customer, amount = random.integers(0, (100_000, 10_000)).tolist()
    return {
        "id": f"evt_{number:020d}",
        "object": "event",
        "api_version": "2025-06-30.basil",
        "created": FIRST_SECOND + number,
        "type": "charge.succeeded",
        "livemode": True,
        "pending_webhooks": 1,
        "request": {"id": f"req_{number:014x}", "idempotency_key": f"{number:08x}-0000-4000-8000-{customer:012x}"},
        "data": {
            "object": {
                "id": f"ch_{number:020d}",
                "object": "charge",
                "amount": amount + 1,
                "amount_captured": amount + 1,
                "amount_refunded": 0,
                "currency": "eur",
                "customer": f"cus_{customer:08d}",
                "paid": True,
                "captured": True,
                "disputed": False,
                "failure_code": None,
                "outcome": {"type": "authorized", "reason": None},
                "billing_details": {"email": f"c{customer}@example.org", "name": f"Customer {customer}", "phone": None},
                "payment_intent": f"pi_{number:020d}",
                "invoice": f"in_{number:020d}",
                "created": FIRST_SECOND + number - 5,
                "metadata": {"customer_id": f"C{customer:08d}"},
            }
        },
    }


def tmf678(number: int, random: np.random.Generator) -> dict[str, Any]:
    """A bill that was sent."""
    customer, amount = random.integers(0, (100_000, 10_000)).tolist()
    bill = f"CB-{number:010d}"
    return {
        "eventId": f"e-{number:010d}",
        "eventTime": iso(number),
        "eventType": "CustomerBillStateChangeEvent",
        "event": {
            "customerBill": {
                "id": bill,
                "href": f"/customerBillManagement/v4/customerBill/{bill}",
                "billNo": str(780_000_000 + number),
                "billDate": iso(number),
                "paymentDueDate": iso(number + 14 * 86_400),
                "category": "normal",
                "runType": "onCycle",
                "state": "sent",
                "amountDue": {"unit": "EUR", "value": amount / 100},
                "taxIncludedAmount": {"unit": "EUR", "value": amount / 100},
                "billingAccount": {"id": f"BA-{customer}", "name": f"Customer {customer}"},
                "relatedParty": [
                    {"id": "OP-1", "role": "issuer"},
                    {"id": f"C{customer:08d}", "role": "Customer", "@referredType": "Individual"},
                ],
            }
        },
    }
