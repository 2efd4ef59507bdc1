-- How a bot is, in full; and which process may run it: the lease is a generation, held by one host.

ALTER TABLE bot_status
    ADD COLUMN until timestamptz,                              -- end of `restricted` and `banned`, where known
    ADD COLUMN state_since timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN generation integer NOT NULL DEFAULT 0,          -- that the bot shows
    ADD COLUMN number text NOT NULL DEFAULT '',                -- of the linked phone
    ADD COLUMN phone_seen_at timestamptz;                      -- its own last sign of life

-- A bot that shows a lower generation is refused. It rises only when the old host is known to be stopped.
ALTER TABLE clients
    ADD COLUMN generation integer NOT NULL DEFAULT 0 CHECK (generation >= 0),
    ADD COLUMN host text NOT NULL DEFAULT '';
