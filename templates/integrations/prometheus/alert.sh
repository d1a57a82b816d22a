curl -X POST '{{ url }}' \
  -H 'Content-Type: application/json' \
  -d '{
    "version": "4",
    "status": "firing",
    "alerts": [{
        "status": "firing",
        "fingerprint": "ilert-try-out",
        "labels": { "alertname": "IlertTryOut", "instance": "web-1", "severity": "critical" },
        "annotations": { "summary": "Try-out: Prometheus reaches ilert" }
    }]
}'