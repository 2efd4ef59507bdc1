-- What the assistant needs: money, memory, a client's own provider key, paused chats, events, test questions.

-- A configuration's version also holds who the client is, so that restoring it brings that back, too.
-- NULL: a version from before, which leaves it as it is.
ALTER TABLE client_configs
    ADD COLUMN name text,
    ADD COLUMN language text,
    ADD COLUMN timezone text,
    ADD COLUMN note text NOT NULL DEFAULT '';
GRANT UPDATE (name, language, timezone) ON clients TO orbitbot_gateway;

ALTER TABLE exchanges DROP CONSTRAINT exchanges_source_check;
ALTER TABLE exchanges ADD CONSTRAINT exchanges_source_check
    CHECK (source IN ('provider', 'faq', 'no_answer', 'not_heard', 'cache', 'plugin', 'budget', 'get_back',
                      'silenced'));
ALTER TABLE exchanges ADD COLUMN silenced_reason text;

-- One row per call of a provider, with what it took; no text.
CREATE TABLE ai_calls (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    id uuid NOT NULL,
    turn_id text NOT NULL DEFAULT '',
    purpose text NOT NULL CHECK (purpose IN ('chat', 'summary', 'transcription', 'test', 'judge')),
    model text NOT NULL,
    own_key boolean NOT NULL,            -- paid by the client itself
    outcome text NOT NULL,               -- 'answered', or why not
    prompt_tokens integer NOT NULL DEFAULT 0,
    completion_tokens integer NOT NULL DEFAULT 0,
    cost_usd numeric(14, 8) NOT NULL DEFAULT 0,
    estimated boolean NOT NULL DEFAULT false,  -- the provider named no cost that can be believed
    milliseconds double precision NOT NULL DEFAULT 0,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (client_id, id)
);
CREATE INDEX ai_calls_at ON ai_calls (client_id, at);

-- What was spent, by day in the client's time zone.
CREATE TABLE spending (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    day date NOT NULL,
    model text NOT NULL,
    own_key boolean NOT NULL,
    calls integer NOT NULL DEFAULT 0,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    cost_usd numeric(14, 8) NOT NULL DEFAULT 0,
    PRIMARY KEY (client_id, day, model, own_key)
);

-- Money set aside for calls under way. The row of a process that died stays, and counts as spent.
CREATE TABLE reservations (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    id uuid NOT NULL,
    day date NOT NULL,
    own_key boolean NOT NULL,
    amount_usd numeric(14, 8) NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (client_id, id)
);
CREATE INDEX reservations_day ON reservations (client_id, day);

-- A client's own key, encrypted with a key that only AI hosts have.
CREATE TABLE provider_keys (
    client_id text PRIMARY KEY REFERENCES clients ON DELETE CASCADE,
    sealed bytea NOT NULL,
    hint text NOT NULL,                  -- its last characters, to recognise it by
    author text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The older part of a conversation in a few words; exchanges up to `until` are in it.
CREATE TABLE summaries (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    contact text NOT NULL,
    text text NOT NULL,
    until timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (client_id, contact)
);

-- What the client's own people say of a contact.
CREATE TABLE contact_facts (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    contact text NOT NULL,
    facts jsonb NOT NULL,
    author text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (client_id, contact)
);

-- A chat that a person has taken over: the assistant is silent in it.
CREATE TABLE paused_chats (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    contact text NOT NULL,
    reason text NOT NULL,
    author text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    until timestamptz,                   -- NULL: until somebody resumes it
    PRIMARY KEY (client_id, contact)
);

-- What the client's people should know: a contact asks for a person, the budget is used up …
CREATE TABLE client_events (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    contact text NOT NULL DEFAULT '',
    data jsonb NOT NULL DEFAULT '{}',
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (client_id, id)
);
CREATE INDEX client_events_at ON client_events (client_id, at);

CREATE TABLE question_sets (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    name text NOT NULL,
    questions jsonb NOT NULL,
    author text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (client_id, name)
);

-- A set of questions put to a draft, or to a version of the configuration.
CREATE TABLE question_runs (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    id uuid NOT NULL,
    set_name text NOT NULL,
    version integer,                     -- the version that was asked; NULL for a draft …
    draft_digest text NOT NULL,          -- … which becomes a version's if it is saved
    state text NOT NULL CHECK (state IN ('running', 'done', 'stopped')),
    questions integer NOT NULL,
    passed integer NOT NULL DEFAULT 0,
    results jsonb NOT NULL DEFAULT '[]',
    cost_usd numeric(14, 8) NOT NULL DEFAULT 0,
    author text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (client_id, id)
);
CREATE INDEX question_runs_started ON question_runs (client_id, started_at);

-- That a contact's data was erased, and when; who it was cannot be read from it.
CREATE TABLE erasures (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    id uuid NOT NULL,
    author text NOT NULL,
    counts jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (client_id, id)
);
CREATE INDEX turns_contact ON turns (client_id, contact);
CREATE INDEX messages_contact ON messages (client_id, contact);

ALTER TABLE ai_calls ENABLE ROW LEVEL SECURITY;
ALTER TABLE ai_calls FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON ai_calls USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON ai_calls TO orbitbot_operator USING (true);

ALTER TABLE spending ENABLE ROW LEVEL SECURITY;
ALTER TABLE spending FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON spending USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON spending TO orbitbot_operator USING (true);

ALTER TABLE reservations ENABLE ROW LEVEL SECURITY;
ALTER TABLE reservations FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON reservations USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON reservations TO orbitbot_operator USING (true);

ALTER TABLE provider_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE provider_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON provider_keys USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON provider_keys TO orbitbot_operator USING (true);

ALTER TABLE summaries ENABLE ROW LEVEL SECURITY;
ALTER TABLE summaries FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON summaries USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON summaries TO orbitbot_operator USING (true);

ALTER TABLE contact_facts ENABLE ROW LEVEL SECURITY;
ALTER TABLE contact_facts FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON contact_facts USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON contact_facts TO orbitbot_operator USING (true);

ALTER TABLE paused_chats ENABLE ROW LEVEL SECURITY;
ALTER TABLE paused_chats FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON paused_chats USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON paused_chats TO orbitbot_operator USING (true);

ALTER TABLE client_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE client_events FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON client_events USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON client_events TO orbitbot_operator USING (true);

ALTER TABLE question_sets ENABLE ROW LEVEL SECURITY;
ALTER TABLE question_sets FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON question_sets USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON question_sets TO orbitbot_operator USING (true);

ALTER TABLE question_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE question_runs FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON question_runs USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON question_runs TO orbitbot_operator USING (true);

ALTER TABLE erasures ENABLE ROW LEVEL SECURITY;
ALTER TABLE erasures FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON erasures USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON erasures TO orbitbot_operator USING (true);

GRANT SELECT, INSERT ON ai_calls TO orbitbot_ai;
GRANT SELECT, INSERT, UPDATE ON spending TO orbitbot_ai;
GRANT SELECT, INSERT, DELETE ON reservations TO orbitbot_ai;
GRANT SELECT, INSERT, UPDATE, DELETE ON provider_keys, summaries, question_sets TO orbitbot_ai;
GRANT SELECT ON contact_facts TO orbitbot_ai;
GRANT SELECT, INSERT, UPDATE, DELETE ON paused_chats TO orbitbot_ai;
GRANT SELECT, INSERT ON client_events TO orbitbot_ai;
GRANT SELECT, INSERT, UPDATE ON question_runs TO orbitbot_ai;

GRANT SELECT ON ai_calls, spending, reservations TO orbitbot_gateway;
GRANT SELECT, DELETE ON exchanges, summaries TO orbitbot_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON contact_facts, paused_chats TO orbitbot_gateway;
GRANT SELECT, DELETE ON client_events TO orbitbot_gateway;
GRANT SELECT, INSERT ON erasures TO orbitbot_gateway;
GRANT SELECT, UPDATE, DELETE ON turns, messages TO orbitbot_operator;
GRANT SELECT, DELETE ON exchanges, summaries, client_events TO orbitbot_operator;
GRANT SELECT ON ai_calls, spending, reservations, provider_keys, contact_facts, paused_chats, question_sets,
                question_runs, erasures TO orbitbot_operator;
