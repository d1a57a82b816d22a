curl -X POST '{{ at.events }}' \
  -H 'Content-Type: application/json' \
  -d '{
    "integrationKey": "{{ at.key }}",
    "eventType": "ALERT",
    "alertKey": "try-out",
    "summary": "Try-out: the backup of db-1 has failed",
    "details": "The **nightly** backup ended with status 2.",
    "priority": "HIGH",
    "links": [{ "href": "https://example.com/jobs/17", "text": "Log of the job" }]
}'