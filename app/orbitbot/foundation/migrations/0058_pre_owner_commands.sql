-- What admin numbers have commanded in the chat, and what came of it.
CREATE TABLE owner_commands (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    turn_id text NOT NULL,
    contact text NOT NULL,
    command text NOT NULL,
    arguments text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('done', 'asked', 'confirmed', 'refused')),
    reply text NOT NULL,                 -- a repeated turn gets it again
    code text,                           -- that confirms it
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (client_id, turn_id)
);
CREATE INDEX owner_commands_at ON owner_commands (client_id, at);
ALTER TABLE owner_commands ENABLE ROW LEVEL SECURITY;
ALTER TABLE owner_commands FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON owner_commands USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON owner_commands TO orbitbot_operator USING (true);
GRANT SELECT, INSERT, UPDATE ON owner_commands TO orbitbot_gateway;
GRANT SELECT, DELETE ON owner_commands TO orbitbot_operator;

-- Something that the client's people should know can come from the gateway, too.
GRANT INSERT ON client_events TO orbitbot_gateway;
