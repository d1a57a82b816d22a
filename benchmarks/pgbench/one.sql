\set number 1
WITH incident AS (
    INSERT INTO limit_incident (source_id, key, summary) VALUES (1, 'hot', 'Disk usage of web-1 is above 95 % on /var')
    ON CONFLICT (source_id, key) WHERE status < 3
    DO UPDATE SET event_count = limit_incident.event_count + 1, last_event_at = now()
    RETURNING id
)
INSERT INTO limit_event (incident_id, source_id, body)
SELECT id, 1, '{"backToNormal": "false", "ruleType": "AF_VALUE", "description": "Disk usage of web-1 is above 95 % on /var", "title": "Sematext", "applicationId": "22846", "url": "https://apps.sematext.com", "createTimestamp": "2026-03-01T03:00:00Z"}'::jsonb
FROM incident;
