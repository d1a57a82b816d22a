curl -X POST '{{ at.events }}' \
  -H 'Content-Type: application/json' \
  -d '{
    "integrationKey": "{{ at.key }}",
    "eventType": "COMMENT",
    "alertKey": "try-out",
    "summary": "A second try is running"
}'