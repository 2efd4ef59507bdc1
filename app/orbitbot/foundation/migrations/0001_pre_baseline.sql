-- The tables of clients, conversations and accounts, and who may see what of them.
--
-- Database roles (made by the PostgreSQL role of the playbook, or by a test's fixture):
--   orbitbot_owner     owns the tables, runs migrations
--   orbitbot_gateway   the gateway for clients' routes; row security shows it one client at a time
--   orbitbot_operator  the gateway for operators' routes; sees every client
--   orbitbot_ai        the AI service; one client at a time

CREATE FUNCTION current_client() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('orbitbot.client_id', true), '') $$;

CREATE TABLE operators (
    name text PRIMARY KEY,
    password_hash text NOT NULL,
    token_version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE clients (
    id text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9-]{1,30}$'),
    name text NOT NULL,
    channel text NOT NULL CHECK (channel IN ('simulator', 'neonize', 'cloud')),
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'removed')),
    language text NOT NULL,
    timezone text NOT NULL,
    token_version integer NOT NULL DEFAULT 1,
    config_version integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Every change of a client's configuration is a new row; any of them can be made the newest again.
CREATE TABLE client_configs (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    version integer NOT NULL,
    personality text NOT NULL,
    settings jsonb NOT NULL,
    author text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (client_id, version)
);

-- A credential's id begins with its kind and its client ("bot.padaria.8f3c…"), so that it can be looked
-- up under row security.
CREATE TABLE credentials (
    id text PRIMARY KEY,
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('bot', 'integrator')),
    secret_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX credentials_client ON credentials (client_id);

CREATE TABLE bot_status (
    client_id text PRIMARY KEY REFERENCES clients ON DELETE CASCADE,
    state text NOT NULL,
    reason text NOT NULL DEFAULT '',
    channel text NOT NULL,
    release text NOT NULL,
    pid integer NOT NULL DEFAULT 0,
    journal_backlog integer NOT NULL DEFAULT 0,
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- The ledger. A turn is a contact's burst and its answer; its id is the caller's idempotency key.
CREATE TABLE turns (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    id text NOT NULL,
    contact text NOT NULL,
    type text NOT NULL CHECK (type IN ('text', 'voice')),
    origin text NOT NULL CHECK (origin IN ('bot', 'api')),
    fingerprint bytea NOT NULL,          -- SHA-256 of the post, to tell a repeat from a reused key
    message text NOT NULL,               -- as posted; without the voice notes' words
    transcription text,
    state text NOT NULL CHECK (state IN ('received', 'transcribed', 'answering', 'answered',
                                         'delivering', 'delivered', 'silenced', 'failed')),
    reason text NOT NULL DEFAULT '',
    response text NOT NULL DEFAULT '',
    model text NOT NULL DEFAULT '',
    source text NOT NULL DEFAULT '',
    prompt_tokens integer NOT NULL DEFAULT 0,
    completion_tokens integer NOT NULL DEFAULT 0,
    cost_usd numeric(12, 6) NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 1,
    maybe_repeated boolean NOT NULL DEFAULT false,
    claimed_by text,                     -- the gateway worker that runs it
    claimed_until timestamptz,
    journaled_at timestamptz,            -- of the first member, by the bot's clock
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    transcribed_at timestamptz,
    answering_at timestamptz,
    answered_at timestamptz,
    delivering_at timestamptz,
    finished_at timestamptz,             -- delivered, silenced or failed
    provider_ms double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (client_id, id)
);
CREATE INDEX turns_received ON turns (client_id, received_at);

-- One row per message of a contact. While it belongs to a turn its state is the turn's; without one
-- it was set aside by the bot, which says why.
CREATE TABLE messages (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    id text NOT NULL,
    turn_id text,
    contact text NOT NULL,
    type text NOT NULL CHECK (type IN ('text', 'voice')),
    sent_at timestamptz NOT NULL,
    journaled_at timestamptz NOT NULL,
    silenced_reason text,
    silenced_at timestamptz,
    PRIMARY KEY (client_id, id),
    FOREIGN KEY (client_id, turn_id) REFERENCES turns (client_id, id) ON DELETE CASCADE,
    CHECK ((turn_id IS NULL) = (silenced_reason IS NOT NULL))
);
CREATE INDEX messages_turn ON messages (client_id, turn_id);
CREATE INDEX messages_journaled ON messages (client_id, journaled_at);

-- Both sides of every answered turn: the AI service's memory.
CREATE TABLE exchanges (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    turn_id text NOT NULL,
    contact text NOT NULL,
    question text NOT NULL,
    answer text NOT NULL,
    model text NOT NULL,
    source text NOT NULL CHECK (source IN ('provider', 'faq', 'no_answer', 'not_heard')),
    prompt_tokens integer NOT NULL DEFAULT 0,
    completion_tokens integer NOT NULL DEFAULT 0,
    cost_usd numeric(12, 6) NOT NULL DEFAULT 0,
    provider_ms double precision NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (client_id, turn_id)
);
CREATE INDEX exchanges_contact ON exchanges (client_id, contact, created_at);

-- Row security. The sub-select makes PostgreSQL evaluate the setting once per statement.
ALTER TABLE clients ENABLE ROW LEVEL SECURITY;
ALTER TABLE clients FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON clients USING (id = (SELECT current_client()));
CREATE POLICY every_client ON clients TO orbitbot_operator USING (true);

ALTER TABLE client_configs ENABLE ROW LEVEL SECURITY;
ALTER TABLE client_configs FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON client_configs USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON client_configs TO orbitbot_operator USING (true);

ALTER TABLE credentials ENABLE ROW LEVEL SECURITY;
ALTER TABLE credentials FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON credentials USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON credentials TO orbitbot_operator USING (true);

ALTER TABLE bot_status ENABLE ROW LEVEL SECURITY;
ALTER TABLE bot_status FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON bot_status USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON bot_status TO orbitbot_operator USING (true);

ALTER TABLE turns ENABLE ROW LEVEL SECURITY;
ALTER TABLE turns FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON turns USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON turns TO orbitbot_operator USING (true);

ALTER TABLE messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE messages FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON messages USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON messages TO orbitbot_operator USING (true);

ALTER TABLE exchanges ENABLE ROW LEVEL SECURITY;
ALTER TABLE exchanges FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON exchanges USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON exchanges TO orbitbot_operator USING (true);

GRANT USAGE ON SCHEMA public TO orbitbot_gateway, orbitbot_operator, orbitbot_ai;
GRANT SELECT ON clients, client_configs, credentials TO orbitbot_gateway;
GRANT UPDATE (config_version, updated_at) ON clients TO orbitbot_gateway;
GRANT INSERT ON client_configs TO orbitbot_gateway;
GRANT SELECT, INSERT, UPDATE ON bot_status, turns, messages TO orbitbot_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON clients, credentials TO orbitbot_operator;
GRANT SELECT, INSERT ON client_configs TO orbitbot_operator;
GRANT SELECT ON operators, bot_status, turns, messages, exchanges TO orbitbot_operator;
GRANT DELETE ON bot_status TO orbitbot_operator;
GRANT SELECT ON clients, client_configs TO orbitbot_ai;
GRANT SELECT, INSERT ON exchanges TO orbitbot_ai;
