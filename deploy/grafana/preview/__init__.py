"""Pictures of the dashboards: what each panel asks a real Prometheus, drawn by matplotlib; no screenshots."""
