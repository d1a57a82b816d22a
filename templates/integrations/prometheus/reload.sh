amtool check-config /etc/alertmanager/alertmanager.yml
curl -X POST http://localhost:9093/-/reload