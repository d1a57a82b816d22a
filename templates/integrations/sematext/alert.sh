{% load tz %}{% timezone "UTC" %}curl -X POST '{{ url }}' \
  -H 'Content-Type: application/json' \
  -d '{
    "backToNormal": "false",
    "ruleType": "AF_VALUE",
    "description": "Try-out: CPU usage of web-1 is above 90 %",
    "title": "Sematext",
    "applicationId": "1",
    "url": "https://example.com",
    "createTimestamp": "{% now "Y-m-d\TH:i:s\Z" %}"
}'{% endtimezone %}