-- Linking a phone: what the bot told last, and the one-time links to the page that shows it.

CREATE TABLE pairings (
    client_id text PRIMARY KEY REFERENCES clients ON DELETE CASCADE,
    event jsonb NOT NULL,                -- contracts.pairing.PairingEvent
    valid_until timestamptz,             -- of a code
    reported_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A link's secret and the cookie of the browser that it is bound to are stored as SHA-256.
CREATE TABLE pairing_links (
    secret_hash text PRIMARY KEY,
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    author text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    opened_at timestamptz,               -- when the first browser took it
    browser_hash text,                   -- … and which
    used_at timestamptz,                 -- when a phone was linked through it
    replaced_at timestamptz,             -- when a newer link took its place
    CHECK ((opened_at IS NULL) = (browser_hash IS NULL))
);
CREATE INDEX pairing_links_client ON pairing_links (client_id, created_at);

ALTER TABLE pairings ENABLE ROW LEVEL SECURITY;
ALTER TABLE pairings FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON pairings USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON pairings TO orbitbot_operator USING (true);

ALTER TABLE pairing_links ENABLE ROW LEVEL SECURITY;
ALTER TABLE pairing_links FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON pairing_links USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON pairing_links TO orbitbot_operator USING (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON pairings, pairing_links TO orbitbot_gateway;
GRANT SELECT ON pairings, pairing_links TO orbitbot_operator;
