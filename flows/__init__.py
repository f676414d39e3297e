"""Dataflows, their operators, and the command that runs them."""
