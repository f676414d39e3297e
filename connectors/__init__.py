"""One module for each system outside: Kafka, tables, metrics, state segments."""
