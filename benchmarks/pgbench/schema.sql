-- The least that the job needs: one open incident per source and key, and every event stored with it.
DROP TABLE IF EXISTS limit_event, limit_incident;
CREATE TABLE limit_incident (
    id bigserial PRIMARY KEY, source_id bigint NOT NULL, key text NOT NULL, status smallint NOT NULL DEFAULT 1,
    summary text NOT NULL, event_count int NOT NULL DEFAULT 1,
    reported_at timestamptz NOT NULL DEFAULT now(), last_event_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX limit_incident_open ON limit_incident (source_id, key) WHERE status < 3;
CREATE TABLE limit_event (
    id bigserial PRIMARY KEY, incident_id bigint NOT NULL, source_id bigint NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(), body jsonb NOT NULL
);
CREATE INDEX limit_event_incident ON limit_event (incident_id, id);
