-- Where bots may run, and how they get from one host to another. `clients.host` says where each one belongs.

CREATE TABLE hosts (
    name text PRIMARY KEY,
    measure jsonb NOT NULL DEFAULT '{}',  -- contracts.fleet.HostMeasure, the last one
    measured_at timestamptz,
    draining boolean NOT NULL DEFAULT false
);

-- One journey of a bot. Its data are whole at `from_host` until the stage is `copied`, at `to_host` afterwards.
CREATE TABLE moves (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id text NOT NULL REFERENCES clients ON DELETE CASCADE,
    from_host text NOT NULL,
    to_host text NOT NULL,
    stage text NOT NULL DEFAULT 'begun' CHECK (stage IN ('begun', 'copied', 'starting', 'done', 'failed')),
    without_state boolean NOT NULL DEFAULT false,  -- the old host is dead: there is nothing to copy
    back_to text NOT NULL DEFAULT '',    -- it did not start where it was to go, and returns to this host
    reason text NOT NULL DEFAULT '',
    silent_seconds double precision,     -- from the stop to the first sign of life
    author text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CHECK ((stage IN ('done', 'failed')) = (finished_at IS NOT NULL))
);
CREATE UNIQUE INDEX moves_under_way ON moves (client_id) WHERE finished_at IS NULL;
CREATE INDEX moves_started ON moves (started_at);

ALTER TABLE moves ENABLE ROW LEVEL SECURITY;
ALTER TABLE moves FORCE ROW LEVEL SECURITY;
CREATE POLICY one_client ON moves USING (client_id = (SELECT current_client()));
CREATE POLICY every_client ON moves TO orbitbot_operator USING (true);

-- What every client has that has not chosen something else itself.
CREATE TABLE shared_configurations (
    version integer PRIMARY KEY,
    personality text NOT NULL,
    settings jsonb NOT NULL,
    author text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE, DELETE ON hosts, moves TO orbitbot_operator;
GRANT SELECT, INSERT ON shared_configurations TO orbitbot_operator;
GRANT SELECT ON shared_configurations TO orbitbot_gateway, orbitbot_ai;
-- One order to all bots at once.
GRANT INSERT, UPDATE ON commands TO orbitbot_operator;
