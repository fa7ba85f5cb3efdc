"""Checks of dashboards that catch faults which neither the SDK's types nor promtool see; the tests run them."""
