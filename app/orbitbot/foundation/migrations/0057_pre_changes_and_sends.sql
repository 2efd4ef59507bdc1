-- What changed after it was said, as the assistant remembers it: exchanges stay as they were written.
CREATE TABLE turn_changes (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    turn_id text NOT NULL,               -- no reference: the change may be known before the turn
    contact text NOT NULL,
    hidden boolean NOT NULL DEFAULT false,  -- another turn has taken its place
    question text,                       -- null: as it was
    answer text,                         -- what has really been sent of it; null: as it was
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (client_id, turn_id)
);
CREATE INDEX turn_changes_contact ON turn_changes (client_id, contact);
ALTER TABLE turn_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE turn_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON turn_changes USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON turn_changes TO orbitbot_operator USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON turn_changes TO orbitbot_gateway;
GRANT SELECT ON turn_changes TO orbitbot_ai;
GRANT SELECT, DELETE ON turn_changes TO orbitbot_operator;

-- What people of the client wrote (person), and what contacts sent that nobody answers (note), is remembered, too.
ALTER TABLE exchanges DROP CONSTRAINT exchanges_source_check;
ALTER TABLE exchanges ADD CONSTRAINT exchanges_source_check
    CHECK (source IN ('provider', 'faq', 'no_answer', 'not_heard', 'cache', 'plugin', 'budget', 'get_back',
                      'silenced', 'journal', 'person', 'note'));

-- One contact has two names; its rows go under the number.
GRANT UPDATE (contact) ON exchanges, summaries, client_events TO orbitbot_gateway;

-- Messages that the API sends.
CREATE TABLE sends (
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    id text NOT NULL,
    contact text NOT NULL,
    type text NOT NULL,
    text text NOT NULL DEFAULT '',
    author text NOT NULL,
    idempotency_key text,
    fingerprint bytea NOT NULL,
    state text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'waiting', 'sent', 'delivered', 'read', 'failed')),
    reason text NOT NULL DEFAULT '',
    message_id text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    sent_at timestamptz,
    delivered_at timestamptz,
    read_at timestamptz,
    file bytea,                          -- until the bot has sent it, or never will
    PRIMARY KEY (client_id, id),
    UNIQUE (client_id, idempotency_key)
);
CREATE INDEX sends_contact ON sends (client_id, contact);
CREATE INDEX sends_message ON sends (client_id, message_id) WHERE message_id <> '';
CREATE INDEX sends_created ON sends (client_id, created_at);
ALTER TABLE sends ENABLE ROW LEVEL SECURITY;
ALTER TABLE sends FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON sends USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON sends TO orbitbot_operator USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON sends TO orbitbot_gateway;
GRANT SELECT, UPDATE, DELETE ON sends TO orbitbot_operator;

-- How a number does.
ALTER TABLE bot_status ADD COLUMN reconnects integer NOT NULL DEFAULT 0;
ALTER TABLE bot_status ADD COLUMN new_chats integer NOT NULL DEFAULT 0;
ALTER TABLE bot_status ADD COLUMN new_chats_limit integer NOT NULL DEFAULT 0;
ALTER TABLE bot_status ADD COLUMN undelivered integer NOT NULL DEFAULT 0;

-- The turn's exchange if it is stored; else what is remembered of the contact: the newest exchanges that are in
-- no summary first. What was said while a person had the chat is remembered; edits, and answers that were not
-- sent, count as they are.
CREATE OR REPLACE FUNCTION ai_recall(p_client text, p_turn text, p_contact text, p_limit integer) RETURNS json
    LANGUAGE plpgsql
AS $$
DECLARE
    v_found json;
    v_summary text;
    v_until timestamptz;
BEGIN
    PERFORM set_config('orbitbot.client_id', p_client, true);
    SELECT json_build_object('stored', json_build_object(
               'turn', e.turn_id, 'contact', e.contact, 'question', e.question, 'answer', json_build_object(
                   'text', e.answer, 'model', e.model, 'source', e.source, 'prompt_tokens', e.prompt_tokens,
                   'completion_tokens', e.completion_tokens, 'cost_usd', e.cost_usd,
                   'provider_ms', e.provider_ms, 'silenced', coalesce(e.silenced_reason, ''))))
        INTO v_found
        FROM exchanges e WHERE e.client_id = p_client AND e.turn_id = p_turn;
    IF FOUND THEN
        RETURN v_found;
    END IF;
    SELECT s.text, s.until INTO v_summary, v_until
        FROM summaries s WHERE s.client_id = p_client AND s.contact = p_contact;
    RETURN json_build_object(
        'summary', coalesce(v_summary, ''),
        'facts', coalesce((SELECT f.facts FROM contact_facts f
                           WHERE f.client_id = p_client AND f.contact = p_contact), '[]'),
        'paused', coalesce((SELECT p.reason FROM paused_chats p
                            WHERE p.client_id = p_client AND p.contact = p_contact
                              AND (p.until IS NULL OR p.until > now())), ''),
        'history', coalesce((
            SELECT json_agg(json_build_object('question', h.question, 'answer', h.answer, 'at', h.created_at)
                            ORDER BY h.created_at DESC)
            FROM (SELECT coalesce(c.question, e.question) AS question, coalesce(c.answer, e.answer) AS answer,
                         e.created_at
                  FROM exchanges e
                  LEFT JOIN turn_changes c ON c.client_id = p_client AND c.turn_id = e.turn_id
                  WHERE e.client_id = p_client AND e.contact = p_contact
                    AND e.source <> 'not_heard'
                    AND (e.source <> 'silenced' OR e.silenced_reason = 'human_took_over')
                    AND NOT coalesce(c.hidden, false)
                    AND e.created_at > coalesce(v_until, '-infinity')
                  ORDER BY e.created_at DESC LIMIT p_limit) h), '[]'));
END $$;
