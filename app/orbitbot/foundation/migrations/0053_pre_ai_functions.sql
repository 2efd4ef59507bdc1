-- What the AI service asks for every answer, as functions: one statement, one round trip, one transaction each,
-- planned once for a connection. Row security holds in them as everywhere: they run as their caller, and set
-- the client for their own transaction only. (docs/decisions/0050)

CREATE FUNCTION ai_profile(p_client text) RETURNS TABLE (
    name text, language text, timezone text, revision text, personality text, settings text, sealed bytea)
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM set_config('orbitbot.client_id', p_client, true);
    RETURN QUERY
        SELECT c.name, c.language, c.timezone, v.version || '/' || v.created_at, v.personality,
               v.settings::text, k.sealed
        FROM clients c
        LEFT JOIN client_configs v ON v.client_id = c.id AND v.version = c.config_version
        LEFT JOIN provider_keys k ON k.client_id = c.id
        WHERE c.id = p_client AND c.state <> 'removed';
END $$;

-- The turn's exchange if it is stored; else what is remembered of the contact: the newest exchanges that are in
-- no summary first.
CREATE FUNCTION ai_recall(p_client text, p_turn text, p_contact text, p_limit integer) RETURNS json
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
            FROM (SELECT e.question, e.answer, e.created_at FROM exchanges e
                  WHERE e.client_id = p_client AND e.contact = p_contact
                    AND e.source NOT IN ('not_heard', 'silenced')
                    AND e.created_at > coalesce(v_until, '-infinity')
                  ORDER BY e.created_at DESC LIMIT p_limit) h), '[]'));
END $$;

-- Sets money aside, unless that would exceed a limit (NULL: none). Returns '' or the period whose money is used
-- up, which is told as an event, once in p_quiet.
CREATE FUNCTION ai_reserve(p_client text, p_id uuid, p_day date, p_own_key boolean, p_amount numeric,
                           p_day_limit numeric, p_month_limit numeric, p_quiet interval) RETURNS text
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

-- Replaces a reservation by what the call took.
CREATE FUNCTION ai_settle(p_client text, p_id uuid, p_day date, p_own_key boolean, p_turn text, p_purpose text,
                          p_model text, p_outcome text, p_prompt_tokens integer, p_completion_tokens integer,
                          p_cost numeric, p_estimated boolean, p_milliseconds double precision) RETURNS void
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

-- Keeps an answered turn; false if it is kept already.
CREATE FUNCTION ai_keep(p_client text, p_turn text, p_contact text, p_question text, p_answer text, p_model text,
                        p_source text, p_prompt_tokens integer, p_completion_tokens integer, p_cost numeric,
                        p_provider_ms double precision, p_silenced text) RETURNS boolean
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
