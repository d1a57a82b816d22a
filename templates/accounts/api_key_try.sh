curl -H "Authorization: Bearer {{ text }}" {{ example_url }}
