"""Real upstream systems, as processes of the tests, feeding our formats and flows."""
