"""The ledger of turns and messages: what came in, what became of it, when, and the sums of it."""
