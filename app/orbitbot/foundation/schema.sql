-- The schema as all migrations together leave it, for people to read. Written by `make schema`; a test
-- proves it equal to the migrations, which alone are ever run on a host.

CREATE FUNCTION public.ai_keep(p_client text, p_turn text, p_contact text, p_question text, p_answer text, p_model text, p_source text, p_prompt_tokens integer, p_completion_tokens integer, p_cost numeric, p_provider_ms double precision, p_silenced text) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM set_config('orbitbot.client_id', p_client, true);
    INSERT INTO exchanges (client_id, turn_id, contact, question, answer, model, source, prompt_tokens,
                           completion_tokens, cost_usd, provider_ms, silenced_reason)
        VALUES (p_client, p_turn, p_contact, p_question, p_answer, p_model, p_source, p_prompt_tokens,
                p_completion_tokens, p_cost, p_provider_ms, nullif(p_silenced, ''))
        ON CONFLICT (client_id, turn_id) DO NOTHING;
    RETURN FOUND;
END $$;

CREATE FUNCTION public.ai_profile(p_client text) RETURNS TABLE(name text, language text, timezone text, revision text, personality text, settings text, sealed bytea)
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM set_config('orbitbot.client_id', p_client, true);
    RETURN QUERY
        SELECT c.name, c.language, c.timezone,
               CASE WHEN s.version IS NULL THEN v.version || '/' || v.created_at
                    ELSE concat_ws('/', v.version, v.created_at, 'shared', s.version, s.created_at) END,
               coalesce(nullif(v.personality, ''), s.personality, v.personality),
               CASE WHEN s.version IS NULL THEN v.settings::text
                    ELSE (s.settings || coalesce(v.settings, '{}'))::text END,
               k.sealed
        FROM clients c
        LEFT JOIN client_configs v ON v.client_id = c.id AND v.version = c.config_version
        LEFT JOIN provider_keys k ON k.client_id = c.id
        LEFT JOIN (SELECT all_.version, all_.created_at, all_.personality, all_.settings
                   FROM shared_configurations all_ ORDER BY all_.version DESC LIMIT 1) AS s ON true
        WHERE c.id = p_client AND c.state <> 'removed';
END $$;

CREATE FUNCTION public.ai_recall(p_client text, p_turn text, p_contact text, p_limit integer) RETURNS json
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

CREATE FUNCTION public.ai_reserve(p_client text, p_id uuid, p_day date, p_own_key boolean, p_amount numeric, p_day_limit numeric, p_month_limit numeric, p_quiet interval) RETURNS text
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_month date := date_trunc('month', p_day);
    v_day_used numeric;
    v_month_used numeric;
    v_period text;
    v_data jsonb;
BEGIN
    PERFORM set_config('orbitbot.client_id', p_client, true);
    IF p_day_limit IS NOT NULL OR p_month_limit IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('orbitbot.budget:' || p_client, 0));
        SELECT coalesce(sum(each.usd) FILTER (WHERE each.day = p_day), 0), coalesce(sum(each.usd), 0)
            INTO v_day_used, v_month_used
            FROM (SELECT s.day, s.cost_usd AS usd FROM spending s
                  WHERE s.client_id = p_client AND s.day >= v_month AND s.own_key = p_own_key
                  UNION ALL
                  SELECT r.day, r.amount_usd FROM reservations r
                  WHERE r.client_id = p_client AND r.day >= v_month AND r.own_key = p_own_key) AS each;
        v_period := CASE WHEN v_day_used + p_amount > p_day_limit THEN 'day'
                         WHEN v_month_used + p_amount > p_month_limit THEN 'month' END;
    END IF;
    IF v_period IS NULL THEN
        INSERT INTO reservations (client_id, id, day, own_key, amount_usd)
            VALUES (p_client, p_id, p_day, p_own_key, p_amount);
        RETURN '';
    END IF;
    v_data := jsonb_build_object('period', v_period,
                                 'of', CASE v_period WHEN 'day' THEN p_day ELSE v_month END);
    INSERT INTO client_events (client_id, kind, data)
        SELECT p_client, 'budget_reached', v_data
        WHERE NOT EXISTS (SELECT FROM client_events e WHERE e.client_id = p_client
                          AND e.kind = 'budget_reached' AND e.data = v_data AND e.at > now() - p_quiet);
    RETURN v_period;
END $$;

CREATE FUNCTION public.ai_settle(p_client text, p_id uuid, p_day date, p_own_key boolean, p_turn text, p_purpose text, p_model text, p_outcome text, p_prompt_tokens integer, p_completion_tokens integer, p_cost numeric, p_estimated boolean, p_milliseconds double precision) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_day date;
BEGIN
    PERFORM set_config('orbitbot.client_id', p_client, true);
    DELETE FROM reservations r WHERE r.client_id = p_client AND r.id = p_id RETURNING r.day INTO v_day;
    INSERT INTO ai_calls (client_id, id, turn_id, purpose, model, own_key, outcome, prompt_tokens,
                          completion_tokens, cost_usd, estimated, milliseconds)
        VALUES (p_client, p_id, p_turn, p_purpose, p_model, p_own_key, p_outcome, p_prompt_tokens,
                p_completion_tokens, p_cost, p_estimated, p_milliseconds);
    INSERT INTO spending AS s (client_id, day, model, own_key, calls, prompt_tokens, completion_tokens, cost_usd)
        VALUES (p_client, coalesce(v_day, p_day), p_model, p_own_key, 1, p_prompt_tokens, p_completion_tokens,
                p_cost)
        ON CONFLICT (client_id, day, model, own_key) DO UPDATE
        SET calls = s.calls + 1, prompt_tokens = s.prompt_tokens + EXCLUDED.prompt_tokens,
            completion_tokens = s.completion_tokens + EXCLUDED.completion_tokens,
            cost_usd = s.cost_usd + EXCLUDED.cost_usd;
END $$;

CREATE FUNCTION public.current_client() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('orbitbot.client_id', true), '') $$;

CREATE TABLE public.ai_calls (
    client_id text NOT NULL,
    id uuid NOT NULL,
    turn_id text DEFAULT ''::text NOT NULL,
    purpose text NOT NULL,
    model text NOT NULL,
    own_key boolean NOT NULL,
    outcome text NOT NULL,
    prompt_tokens integer DEFAULT 0 NOT NULL,
    completion_tokens integer DEFAULT 0 NOT NULL,
    cost_usd numeric(14,8) DEFAULT 0 NOT NULL,
    estimated boolean DEFAULT false NOT NULL,
    milliseconds double precision DEFAULT 0 NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT ai_calls_purpose_check CHECK ((purpose = ANY (ARRAY['chat'::text, 'summary'::text, 'transcription'::text, 'test'::text, 'judge'::text])))
);

ALTER TABLE ONLY public.ai_calls FORCE ROW LEVEL SECURITY;

CREATE TABLE public.bot_status (
    client_id text NOT NULL,
    state text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    channel text NOT NULL,
    release text NOT NULL,
    pid integer DEFAULT 0 NOT NULL,
    journal_backlog integer DEFAULT 0 NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    until timestamp with time zone,
    state_since timestamp with time zone DEFAULT now() NOT NULL,
    generation integer DEFAULT 0 NOT NULL,
    number text DEFAULT ''::text NOT NULL,
    phone_seen_at timestamp with time zone,
    reconnects integer DEFAULT 0 NOT NULL,
    new_chats integer DEFAULT 0 NOT NULL,
    new_chats_limit integer DEFAULT 0 NOT NULL,
    undelivered integer DEFAULT 0 NOT NULL,
    lid text DEFAULT ''::text NOT NULL
);

ALTER TABLE ONLY public.bot_status FORCE ROW LEVEL SECURITY;

CREATE TABLE public.client_configs (
    client_id text NOT NULL,
    version integer NOT NULL,
    personality text NOT NULL,
    settings jsonb NOT NULL,
    author text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    name text,
    language text,
    timezone text,
    note text DEFAULT ''::text NOT NULL
);

ALTER TABLE ONLY public.client_configs FORCE ROW LEVEL SECURITY;

CREATE TABLE public.client_events (
    client_id text NOT NULL,
    id bigint NOT NULL,
    kind text NOT NULL,
    contact text DEFAULT ''::text NOT NULL,
    data jsonb DEFAULT '{}'::jsonb NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ONLY public.client_events FORCE ROW LEVEL SECURITY;

ALTER TABLE public.client_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.client_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.clients (
    id text NOT NULL,
    name text NOT NULL,
    channel text NOT NULL,
    state text DEFAULT 'active'::text NOT NULL,
    language text NOT NULL,
    timezone text NOT NULL,
    token_version integer DEFAULT 1 NOT NULL,
    config_version integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    generation integer DEFAULT 0 NOT NULL,
    host text DEFAULT ''::text NOT NULL,
    CONSTRAINT clients_channel_check CHECK ((channel = ANY (ARRAY['simulator'::text, 'neonize'::text, 'cloud'::text]))),
    CONSTRAINT clients_generation_check CHECK ((generation >= 0)),
    CONSTRAINT clients_id_check CHECK ((id ~ '^[a-z][a-z0-9-]{1,30}$'::text)),
    CONSTRAINT clients_state_check CHECK ((state = ANY (ARRAY['active'::text, 'paused'::text, 'removed'::text])))
);

ALTER TABLE ONLY public.clients FORCE ROW LEVEL SECURITY;

CREATE TABLE public.commands (
    id bigint NOT NULL,
    client_id text NOT NULL,
    kind text NOT NULL,
    body jsonb NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    author text NOT NULL,
    idempotency_key text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT commands_check CHECK (((state = 'pending'::text) = (finished_at IS NULL))),
    CONSTRAINT commands_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'done'::text, 'failed'::text, 'expired'::text, 'replaced'::text])))
);

ALTER TABLE ONLY public.commands FORCE ROW LEVEL SECURITY;

ALTER TABLE public.commands ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.commands_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.contact_facts (
    client_id text NOT NULL,
    contact text NOT NULL,
    facts jsonb NOT NULL,
    author text NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.contact_facts FORCE ROW LEVEL SECURITY;

CREATE TABLE public.credentials (
    id text NOT NULL,
    client_id text NOT NULL,
    kind text NOT NULL,
    secret_hash text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT credentials_kind_check CHECK ((kind = ANY (ARRAY['bot'::text, 'integrator'::text])))
);

ALTER TABLE ONLY public.credentials FORCE ROW LEVEL SECURITY;

CREATE TABLE public.erasures (
    client_id text NOT NULL,
    id uuid NOT NULL,
    author text NOT NULL,
    counts jsonb NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.erasures FORCE ROW LEVEL SECURITY;

CREATE TABLE public.exchanges (
    client_id text NOT NULL,
    turn_id text NOT NULL,
    contact text NOT NULL,
    question text NOT NULL,
    answer text NOT NULL,
    model text NOT NULL,
    source text NOT NULL,
    prompt_tokens integer DEFAULT 0 NOT NULL,
    completion_tokens integer DEFAULT 0 NOT NULL,
    cost_usd numeric(12,6) DEFAULT 0 NOT NULL,
    provider_ms double precision DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    silenced_reason text,
    CONSTRAINT exchanges_source_check CHECK ((source = ANY (ARRAY['provider'::text, 'faq'::text, 'no_answer'::text, 'not_heard'::text, 'cache'::text, 'plugin'::text, 'budget'::text, 'get_back'::text, 'silenced'::text, 'journal'::text, 'person'::text, 'note'::text])))
);

ALTER TABLE ONLY public.exchanges FORCE ROW LEVEL SECURITY;

CREATE TABLE public.hosts (
    name text NOT NULL,
    measure jsonb DEFAULT '{}'::jsonb NOT NULL,
    measured_at timestamp with time zone,
    draining boolean DEFAULT false NOT NULL
);

CREATE TABLE public.messages (
    client_id text NOT NULL,
    id text NOT NULL,
    turn_id text,
    contact text NOT NULL,
    type text NOT NULL,
    sent_at timestamp with time zone NOT NULL,
    journaled_at timestamp with time zone NOT NULL,
    silenced_reason text,
    silenced_at timestamp with time zone,
    CONSTRAINT messages_check CHECK (((turn_id IS NULL) = (silenced_reason IS NOT NULL))),
    CONSTRAINT messages_type_check CHECK ((type = ANY (ARRAY['text'::text, 'voice'::text])))
);

ALTER TABLE ONLY public.messages FORCE ROW LEVEL SECURITY;

CREATE TABLE public.moves (
    id bigint NOT NULL,
    client_id text NOT NULL,
    from_host text NOT NULL,
    to_host text NOT NULL,
    stage text DEFAULT 'begun'::text NOT NULL,
    without_state boolean DEFAULT false NOT NULL,
    back_to text DEFAULT ''::text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    silent_seconds double precision,
    author text NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT moves_check CHECK (((stage = ANY (ARRAY['done'::text, 'failed'::text])) = (finished_at IS NOT NULL))),
    CONSTRAINT moves_stage_check CHECK ((stage = ANY (ARRAY['begun'::text, 'copied'::text, 'starting'::text, 'done'::text, 'failed'::text])))
);

ALTER TABLE ONLY public.moves FORCE ROW LEVEL SECURITY;

ALTER TABLE public.moves ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.moves_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.operators (
    name text NOT NULL,
    password_hash text NOT NULL,
    token_version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.owner_commands (
    client_id text NOT NULL,
    turn_id text NOT NULL,
    contact text NOT NULL,
    command text NOT NULL,
    arguments text NOT NULL,
    outcome text NOT NULL,
    reply text NOT NULL,
    code text,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT owner_commands_outcome_check CHECK ((outcome = ANY (ARRAY['done'::text, 'asked'::text, 'confirmed'::text, 'refused'::text])))
);

ALTER TABLE ONLY public.owner_commands FORCE ROW LEVEL SECURITY;

CREATE TABLE public.pairing_links (
    secret_hash text NOT NULL,
    client_id text NOT NULL,
    author text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    opened_at timestamp with time zone,
    browser_hash text,
    used_at timestamp with time zone,
    replaced_at timestamp with time zone,
    CONSTRAINT pairing_links_check CHECK (((opened_at IS NULL) = (browser_hash IS NULL)))
);

ALTER TABLE ONLY public.pairing_links FORCE ROW LEVEL SECURITY;

CREATE TABLE public.pairings (
    client_id text NOT NULL,
    event jsonb NOT NULL,
    valid_until timestamp with time zone,
    reported_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ONLY public.pairings FORCE ROW LEVEL SECURITY;

CREATE TABLE public.paused_chats (
    client_id text NOT NULL,
    contact text NOT NULL,
    reason text NOT NULL,
    author text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    until timestamp with time zone
);

ALTER TABLE ONLY public.paused_chats FORCE ROW LEVEL SECURITY;

CREATE TABLE public.provider_keys (
    client_id text NOT NULL,
    sealed bytea NOT NULL,
    hint text NOT NULL,
    author text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.provider_keys FORCE ROW LEVEL SECURITY;

CREATE TABLE public.question_runs (
    client_id text NOT NULL,
    id uuid NOT NULL,
    set_name text NOT NULL,
    version integer,
    draft_digest text NOT NULL,
    state text NOT NULL,
    questions integer NOT NULL,
    passed integer DEFAULT 0 NOT NULL,
    results jsonb DEFAULT '[]'::jsonb NOT NULL,
    cost_usd numeric(14,8) DEFAULT 0 NOT NULL,
    author text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT question_runs_state_check CHECK ((state = ANY (ARRAY['running'::text, 'done'::text, 'stopped'::text])))
);

ALTER TABLE ONLY public.question_runs FORCE ROW LEVEL SECURITY;

CREATE TABLE public.question_sets (
    client_id text NOT NULL,
    name text NOT NULL,
    questions jsonb NOT NULL,
    author text NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.question_sets FORCE ROW LEVEL SECURITY;

CREATE TABLE public.reservations (
    client_id text NOT NULL,
    id uuid NOT NULL,
    day date NOT NULL,
    own_key boolean NOT NULL,
    amount_usd numeric(14,8) NOT NULL,
    made_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ONLY public.reservations FORCE ROW LEVEL SECURITY;

CREATE TABLE public.restores (
    id text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    since timestamp with time zone NOT NULL,
    client_id text
);

ALTER TABLE ONLY public.restores FORCE ROW LEVEL SECURITY;

CREATE TABLE public.sends (
    client_id text NOT NULL,
    id text NOT NULL,
    contact text NOT NULL,
    type text NOT NULL,
    text text DEFAULT ''::text NOT NULL,
    author text NOT NULL,
    idempotency_key text,
    fingerprint bytea NOT NULL,
    state text DEFAULT 'queued'::text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    message_id text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone,
    delivered_at timestamp with time zone,
    read_at timestamp with time zone,
    file bytea,
    CONSTRAINT sends_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'waiting'::text, 'sent'::text, 'delivered'::text, 'read'::text, 'failed'::text])))
);

ALTER TABLE ONLY public.sends FORCE ROW LEVEL SECURITY;

CREATE TABLE public.shared_configurations (
    version integer NOT NULL,
    personality text NOT NULL,
    settings jsonb NOT NULL,
    author text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.spending (
    client_id text NOT NULL,
    day date NOT NULL,
    model text NOT NULL,
    own_key boolean NOT NULL,
    calls integer DEFAULT 0 NOT NULL,
    prompt_tokens bigint DEFAULT 0 NOT NULL,
    completion_tokens bigint DEFAULT 0 NOT NULL,
    cost_usd numeric(14,8) DEFAULT 0 NOT NULL
);

ALTER TABLE ONLY public.spending FORCE ROW LEVEL SECURITY;

CREATE TABLE public.summaries (
    client_id text NOT NULL,
    contact text NOT NULL,
    text text NOT NULL,
    until timestamp with time zone NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.summaries FORCE ROW LEVEL SECURITY;

CREATE TABLE public.turn_changes (
    client_id text NOT NULL,
    turn_id text NOT NULL,
    contact text NOT NULL,
    hidden boolean DEFAULT false NOT NULL,
    question text,
    answer text,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ONLY public.turn_changes FORCE ROW LEVEL SECURITY;

CREATE TABLE public.turns (
    client_id text NOT NULL,
    id text NOT NULL,
    contact text NOT NULL,
    type text NOT NULL,
    origin text NOT NULL,
    fingerprint bytea NOT NULL,
    message text NOT NULL,
    transcription text,
    state text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    response text DEFAULT ''::text NOT NULL,
    model text DEFAULT ''::text NOT NULL,
    source text DEFAULT ''::text NOT NULL,
    prompt_tokens integer DEFAULT 0 NOT NULL,
    completion_tokens integer DEFAULT 0 NOT NULL,
    cost_usd numeric(12,6) DEFAULT 0 NOT NULL,
    attempts integer DEFAULT 1 NOT NULL,
    maybe_repeated boolean DEFAULT false NOT NULL,
    claimed_by text,
    claimed_until timestamp with time zone,
    journaled_at timestamp with time zone,
    received_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    transcribed_at timestamp with time zone,
    answering_at timestamp with time zone,
    answered_at timestamp with time zone,
    delivering_at timestamp with time zone,
    finished_at timestamp with time zone,
    provider_ms double precision DEFAULT 0 NOT NULL,
    waiting_since timestamp with time zone,
    notice text DEFAULT ''::text NOT NULL,
    CONSTRAINT turns_origin_check CHECK ((origin = ANY (ARRAY['bot'::text, 'api'::text]))),
    CONSTRAINT turns_state_check CHECK ((state = ANY (ARRAY['received'::text, 'transcribed'::text, 'answering'::text, 'answered'::text, 'delivering'::text, 'delivered'::text, 'silenced'::text, 'failed'::text]))),
    CONSTRAINT turns_type_check CHECK ((type = ANY (ARRAY['text'::text, 'voice'::text])))
);

ALTER TABLE ONLY public.turns FORCE ROW LEVEL SECURITY;

ALTER TABLE ONLY public.ai_calls
    ADD CONSTRAINT ai_calls_pkey PRIMARY KEY (client_id, id);

ALTER TABLE ONLY public.bot_status
    ADD CONSTRAINT bot_status_pkey PRIMARY KEY (client_id);

ALTER TABLE ONLY public.client_configs
    ADD CONSTRAINT client_configs_pkey PRIMARY KEY (client_id, version);

ALTER TABLE ONLY public.client_events
    ADD CONSTRAINT client_events_pkey PRIMARY KEY (client_id, id);

ALTER TABLE ONLY public.clients
    ADD CONSTRAINT clients_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.commands
    ADD CONSTRAINT commands_client_id_idempotency_key_key UNIQUE (client_id, idempotency_key);

ALTER TABLE ONLY public.commands
    ADD CONSTRAINT commands_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.contact_facts
    ADD CONSTRAINT contact_facts_pkey PRIMARY KEY (client_id, contact);

ALTER TABLE ONLY public.credentials
    ADD CONSTRAINT credentials_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT erasures_pkey PRIMARY KEY (client_id, id);

ALTER TABLE ONLY public.exchanges
    ADD CONSTRAINT exchanges_pkey PRIMARY KEY (client_id, turn_id);

ALTER TABLE ONLY public.hosts
    ADD CONSTRAINT hosts_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (client_id, id);

ALTER TABLE ONLY public.moves
    ADD CONSTRAINT moves_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.operators
    ADD CONSTRAINT operators_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.owner_commands
    ADD CONSTRAINT owner_commands_pkey PRIMARY KEY (client_id, turn_id);

ALTER TABLE ONLY public.pairing_links
    ADD CONSTRAINT pairing_links_pkey PRIMARY KEY (secret_hash);

ALTER TABLE ONLY public.pairings
    ADD CONSTRAINT pairings_pkey PRIMARY KEY (client_id);

ALTER TABLE ONLY public.paused_chats
    ADD CONSTRAINT paused_chats_pkey PRIMARY KEY (client_id, contact);

ALTER TABLE ONLY public.provider_keys
    ADD CONSTRAINT provider_keys_pkey PRIMARY KEY (client_id);

ALTER TABLE ONLY public.question_runs
    ADD CONSTRAINT question_runs_pkey PRIMARY KEY (client_id, id);

ALTER TABLE ONLY public.question_sets
    ADD CONSTRAINT question_sets_pkey PRIMARY KEY (client_id, name);

ALTER TABLE ONLY public.reservations
    ADD CONSTRAINT reservations_pkey PRIMARY KEY (client_id, id);

ALTER TABLE ONLY public.restores
    ADD CONSTRAINT restores_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.sends
    ADD CONSTRAINT sends_client_id_idempotency_key_key UNIQUE (client_id, idempotency_key);

ALTER TABLE ONLY public.sends
    ADD CONSTRAINT sends_pkey PRIMARY KEY (client_id, id);

ALTER TABLE ONLY public.shared_configurations
    ADD CONSTRAINT shared_configurations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.spending
    ADD CONSTRAINT spending_pkey PRIMARY KEY (client_id, day, model, own_key);

ALTER TABLE ONLY public.summaries
    ADD CONSTRAINT summaries_pkey PRIMARY KEY (client_id, contact);

ALTER TABLE ONLY public.turn_changes
    ADD CONSTRAINT turn_changes_pkey PRIMARY KEY (client_id, turn_id);

ALTER TABLE ONLY public.turns
    ADD CONSTRAINT turns_pkey PRIMARY KEY (client_id, id);

CREATE INDEX ai_calls_at ON public.ai_calls USING btree (client_id, at);

CREATE INDEX client_events_at ON public.client_events USING btree (client_id, at);

CREATE INDEX commands_finished ON public.commands USING btree (client_id, finished_at) WHERE (finished_at IS NOT NULL);

CREATE INDEX commands_pending ON public.commands USING btree (client_id, id) WHERE (state = 'pending'::text);

CREATE INDEX credentials_client ON public.credentials USING btree (client_id);

CREATE INDEX exchanges_contact ON public.exchanges USING btree (client_id, contact, created_at);

CREATE INDEX messages_contact ON public.messages USING btree (client_id, contact);

CREATE INDEX messages_journaled ON public.messages USING btree (client_id, journaled_at);

CREATE INDEX messages_turn ON public.messages USING btree (client_id, turn_id);

CREATE INDEX moves_started ON public.moves USING btree (started_at);

CREATE UNIQUE INDEX moves_under_way ON public.moves USING btree (client_id) WHERE (finished_at IS NULL);

CREATE INDEX owner_commands_at ON public.owner_commands USING btree (client_id, at);

CREATE INDEX pairing_links_client ON public.pairing_links USING btree (client_id, created_at);

CREATE INDEX question_runs_started ON public.question_runs USING btree (client_id, started_at);

CREATE INDEX reservations_day ON public.reservations USING btree (client_id, day);

CREATE INDEX restores_at ON public.restores USING btree (at);

CREATE INDEX sends_contact ON public.sends USING btree (client_id, contact);

CREATE INDEX sends_created ON public.sends USING btree (client_id, created_at);

CREATE INDEX sends_message ON public.sends USING btree (client_id, message_id) WHERE (message_id <> ''::text);

CREATE INDEX turn_changes_contact ON public.turn_changes USING btree (client_id, contact);

CREATE INDEX turns_contact ON public.turns USING btree (client_id, contact);

CREATE INDEX turns_received ON public.turns USING btree (client_id, received_at);

ALTER TABLE ONLY public.ai_calls
    ADD CONSTRAINT ai_calls_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.bot_status
    ADD CONSTRAINT bot_status_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.client_configs
    ADD CONSTRAINT client_configs_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.client_events
    ADD CONSTRAINT client_events_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.commands
    ADD CONSTRAINT commands_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.contact_facts
    ADD CONSTRAINT contact_facts_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.credentials
    ADD CONSTRAINT credentials_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT erasures_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.exchanges
    ADD CONSTRAINT exchanges_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_client_id_turn_id_fkey FOREIGN KEY (client_id, turn_id) REFERENCES public.turns(client_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.moves
    ADD CONSTRAINT moves_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.owner_commands
    ADD CONSTRAINT owner_commands_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.pairing_links
    ADD CONSTRAINT pairing_links_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.pairings
    ADD CONSTRAINT pairings_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.paused_chats
    ADD CONSTRAINT paused_chats_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.provider_keys
    ADD CONSTRAINT provider_keys_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.question_runs
    ADD CONSTRAINT question_runs_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.question_sets
    ADD CONSTRAINT question_sets_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.reservations
    ADD CONSTRAINT reservations_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.sends
    ADD CONSTRAINT sends_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.spending
    ADD CONSTRAINT spending_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.summaries
    ADD CONSTRAINT summaries_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.turn_changes
    ADD CONSTRAINT turn_changes_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.turns
    ADD CONSTRAINT turns_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.clients(id) ON DELETE CASCADE;

ALTER TABLE public.ai_calls ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.bot_status ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.client_configs ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.client_events ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.clients ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.commands ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.contact_facts ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.credentials ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.erasures ENABLE ROW LEVEL SECURITY;

CREATE POLICY every_client ON public.ai_calls TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.bot_status TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.client_configs TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.client_events TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.clients TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.commands TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.contact_facts TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.credentials TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.erasures TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.exchanges TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.messages TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.moves TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.owner_commands TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.pairing_links TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.pairings TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.paused_chats TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.provider_keys TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.question_runs TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.question_sets TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.reservations TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.restores TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.sends TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.spending TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.summaries TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.turn_changes TO orbitbot_operator USING (true);

CREATE POLICY every_client ON public.turns TO orbitbot_operator USING (true);

ALTER TABLE public.exchanges ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.messages ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.moves ENABLE ROW LEVEL SECURITY;

CREATE POLICY one_client ON public.ai_calls USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.bot_status USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.client_configs USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.client_events USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.clients USING ((id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.commands USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.contact_facts USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.credentials USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.erasures USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.exchanges USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.messages USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.moves USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.owner_commands USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.pairing_links USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.pairings USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.paused_chats USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.provider_keys USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.question_runs USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.question_sets USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.reservations USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.restores USING (((client_id IS NULL) OR (client_id = ( SELECT public.current_client() AS current_client))));

CREATE POLICY one_client ON public.sends USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.spending USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.summaries USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.turn_changes USING ((client_id = ( SELECT public.current_client() AS current_client)));

CREATE POLICY one_client ON public.turns USING ((client_id = ( SELECT public.current_client() AS current_client)));

ALTER TABLE public.owner_commands ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.pairing_links ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.pairings ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.paused_chats ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.provider_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.question_runs ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.question_sets ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.reservations ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.restores ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.sends ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.spending ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.summaries ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.turn_changes ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.turns ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA public TO orbitbot_gateway;
GRANT USAGE ON SCHEMA public TO orbitbot_operator;
GRANT USAGE ON SCHEMA public TO orbitbot_ai;

GRANT SELECT,INSERT ON TABLE public.ai_calls TO orbitbot_ai;
GRANT SELECT ON TABLE public.ai_calls TO orbitbot_gateway;
GRANT SELECT ON TABLE public.ai_calls TO orbitbot_operator;

GRANT SELECT,INSERT,UPDATE ON TABLE public.bot_status TO orbitbot_gateway;
GRANT SELECT,DELETE ON TABLE public.bot_status TO orbitbot_operator;

GRANT SELECT,INSERT ON TABLE public.client_configs TO orbitbot_gateway;
GRANT SELECT,INSERT ON TABLE public.client_configs TO orbitbot_operator;
GRANT SELECT ON TABLE public.client_configs TO orbitbot_ai;

GRANT SELECT,INSERT ON TABLE public.client_events TO orbitbot_ai;
GRANT SELECT,INSERT,DELETE ON TABLE public.client_events TO orbitbot_gateway;
GRANT SELECT,DELETE ON TABLE public.client_events TO orbitbot_operator;

GRANT UPDATE(contact) ON TABLE public.client_events TO orbitbot_gateway;

GRANT SELECT ON TABLE public.clients TO orbitbot_gateway;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.clients TO orbitbot_operator;
GRANT SELECT ON TABLE public.clients TO orbitbot_ai;

GRANT UPDATE(name) ON TABLE public.clients TO orbitbot_gateway;

GRANT UPDATE(language) ON TABLE public.clients TO orbitbot_gateway;

GRANT UPDATE(timezone) ON TABLE public.clients TO orbitbot_gateway;

GRANT UPDATE(config_version) ON TABLE public.clients TO orbitbot_gateway;

GRANT UPDATE(updated_at) ON TABLE public.clients TO orbitbot_gateway;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.commands TO orbitbot_gateway;
GRANT SELECT,INSERT,UPDATE ON TABLE public.commands TO orbitbot_operator;

GRANT SELECT ON TABLE public.contact_facts TO orbitbot_ai;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.contact_facts TO orbitbot_gateway;
GRANT SELECT ON TABLE public.contact_facts TO orbitbot_operator;

GRANT SELECT ON TABLE public.credentials TO orbitbot_gateway;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.credentials TO orbitbot_operator;

GRANT SELECT,INSERT ON TABLE public.erasures TO orbitbot_gateway;
GRANT SELECT ON TABLE public.erasures TO orbitbot_operator;

GRANT SELECT,DELETE ON TABLE public.exchanges TO orbitbot_operator;
GRANT SELECT,INSERT ON TABLE public.exchanges TO orbitbot_ai;
GRANT SELECT,INSERT,DELETE ON TABLE public.exchanges TO orbitbot_gateway;

GRANT UPDATE(contact) ON TABLE public.exchanges TO orbitbot_gateway;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.hosts TO orbitbot_operator;

GRANT SELECT,INSERT,UPDATE ON TABLE public.messages TO orbitbot_gateway;
GRANT SELECT,DELETE,UPDATE ON TABLE public.messages TO orbitbot_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.moves TO orbitbot_operator;

GRANT SELECT ON TABLE public.operators TO orbitbot_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.owner_commands TO orbitbot_gateway;
GRANT SELECT,DELETE ON TABLE public.owner_commands TO orbitbot_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.pairing_links TO orbitbot_gateway;
GRANT SELECT ON TABLE public.pairing_links TO orbitbot_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.pairings TO orbitbot_gateway;
GRANT SELECT ON TABLE public.pairings TO orbitbot_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.paused_chats TO orbitbot_ai;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.paused_chats TO orbitbot_gateway;
GRANT SELECT ON TABLE public.paused_chats TO orbitbot_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.provider_keys TO orbitbot_ai;
GRANT SELECT ON TABLE public.provider_keys TO orbitbot_operator;

GRANT SELECT,INSERT,UPDATE ON TABLE public.question_runs TO orbitbot_ai;
GRANT SELECT ON TABLE public.question_runs TO orbitbot_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.question_sets TO orbitbot_ai;
GRANT SELECT ON TABLE public.question_sets TO orbitbot_operator;

GRANT SELECT,INSERT,DELETE ON TABLE public.reservations TO orbitbot_ai;
GRANT SELECT ON TABLE public.reservations TO orbitbot_gateway;
GRANT SELECT ON TABLE public.reservations TO orbitbot_operator;

GRANT SELECT ON TABLE public.restores TO orbitbot_gateway;
GRANT SELECT ON TABLE public.restores TO orbitbot_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.sends TO orbitbot_gateway;
GRANT SELECT,DELETE,UPDATE ON TABLE public.sends TO orbitbot_operator;

GRANT SELECT,INSERT ON TABLE public.shared_configurations TO orbitbot_operator;
GRANT SELECT ON TABLE public.shared_configurations TO orbitbot_gateway;
GRANT SELECT ON TABLE public.shared_configurations TO orbitbot_ai;

GRANT SELECT,INSERT,UPDATE ON TABLE public.spending TO orbitbot_ai;
GRANT SELECT ON TABLE public.spending TO orbitbot_gateway;
GRANT SELECT ON TABLE public.spending TO orbitbot_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.summaries TO orbitbot_ai;
GRANT SELECT,DELETE ON TABLE public.summaries TO orbitbot_gateway;
GRANT SELECT,DELETE ON TABLE public.summaries TO orbitbot_operator;

GRANT UPDATE(contact) ON TABLE public.summaries TO orbitbot_gateway;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.turn_changes TO orbitbot_gateway;
GRANT SELECT ON TABLE public.turn_changes TO orbitbot_ai;
GRANT SELECT,DELETE ON TABLE public.turn_changes TO orbitbot_operator;

GRANT SELECT,INSERT,UPDATE ON TABLE public.turns TO orbitbot_gateway;
GRANT SELECT,DELETE,UPDATE ON TABLE public.turns TO orbitbot_operator;
