"""Contracts of streams and tables, and the ways to read and write their records."""
