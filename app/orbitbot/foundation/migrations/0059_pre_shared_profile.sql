-- The AI service's view of a client: what it has not chosen itself is what all clients share (0045).
CREATE OR REPLACE FUNCTION ai_profile(p_client text) RETURNS TABLE (
    name text, language text, timezone text, revision text, personality text, settings text, sealed bytea)
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
