-- What bots are told to do. A bot streams its pending rows and acknowledges each.

CREATE TABLE commands (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    kind text NOT NULL,
    body jsonb NOT NULL,                 -- contracts.commands.Order
    state text NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'done', 'failed', 'expired', 'replaced')),
    detail text NOT NULL DEFAULT '',
    author text NOT NULL,
    idempotency_key text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    finished_at timestamptz,
    CHECK ((state = 'pending') = (finished_at IS NULL)),
    UNIQUE (client_id, idempotency_key)
);
CREATE INDEX commands_pending ON commands (client_id, id) WHERE state = 'pending';
CREATE INDEX commands_finished ON commands (client_id, finished_at) WHERE finished_at IS NOT NULL;

ALTER TABLE commands ENABLE ROW LEVEL SECURITY;
ALTER TABLE commands FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON commands USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON commands TO orbitbot_operator USING (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON commands TO orbitbot_gateway;
GRANT SELECT ON commands TO orbitbot_operator;
