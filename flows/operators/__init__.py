"""Columnar operators: each a function or a stateful logic over frames, with a thin Bytewax step."""
