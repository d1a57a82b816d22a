{% load tz %}{% timezone "UTC" %}curl -X POST '{{ url }}' \
  -H 'Content-Type: application/json' \
  -d '{
    "watch_id": "ilert-try-out",
    "execution_time": "{% now "Y-m-d\TH:i:s\Z" %}",
    "metadata": { "name": "Try-out: a watch has fired" },
    "payload": { "hits": { "total": 1, "hits": [] } }
}'{% endtimezone %}