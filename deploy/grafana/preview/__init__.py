"""Pictures of the dashboards: the queries of each panel, answered by a real Prometheus and drawn by matplotlib."""
