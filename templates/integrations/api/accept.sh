curl -X POST '{{ at.events }}' \
  -H 'Content-Type: application/json' \
  -d '{
    "integrationKey": "{{ at.key }}",
    "eventType": "ACCEPT",
    "alertKey": "try-out"
}'