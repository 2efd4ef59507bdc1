"""The msgspec Structs that services exchange, one file per call. Field names are camelCase on the wire."""
