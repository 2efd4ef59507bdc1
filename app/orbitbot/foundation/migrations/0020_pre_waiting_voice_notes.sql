-- A voice note that no speech node can take waits in the ledger: since when, and what its contact is told meanwhile.

ALTER TABLE turns
    ADD COLUMN waiting_since timestamptz,
    ADD COLUMN notice text NOT NULL DEFAULT '';
