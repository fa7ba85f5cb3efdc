"""What Grafana is given: dashboards as a program and as JSON, their checks and their pictures."""
