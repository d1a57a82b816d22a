amtool alert add IlertTryOut severity=critical instance=web-1 \
  --annotation=summary='Try-out: Prometheus reaches ilert' \
  --end="$(date -u -d '+1 minute' +%Y-%m-%dT%H:%M:%SZ)" \
  --alertmanager.url=http://localhost:9093