-- When the database, or one client's rows, were brought back from a backup. Bots tell again what they finished since.
CREATE TABLE restores (
    id text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    since timestamptz NOT NULL,          -- the moment that was restored, and a margin
    client_id text                       -- of one client alone; no reference: the client may have come back with it
);
CREATE INDEX restores_at ON restores (at);

ALTER TABLE restores ENABLE ROW LEVEL SECURITY;
ALTER TABLE restores FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON restores USING (client_id IS NULL OR client_id = (SELECT current_client()));
CREATE POLICY every_client ON restores TO orbitbot_operator USING (true);
GRANT SELECT ON restores TO orbitbot_gateway, orbitbot_operator;

-- What was said since comes back from the bots' journals, into the conversation, too.
ALTER TABLE exchanges DROP CONSTRAINT exchanges_source_check;
ALTER TABLE exchanges ADD CONSTRAINT exchanges_source_check
    CHECK (source IN ('provider', 'faq', 'no_answer', 'not_heard', 'cache', 'plugin', 'budget', 'get_back',
                      'silenced', 'journal'));
GRANT INSERT ON exchanges TO orbitbot_gateway;
