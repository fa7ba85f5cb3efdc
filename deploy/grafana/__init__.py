"""Dashboards for Grafana: the program that writes them, their JSON, their checks and their pictures."""
