"""Settings of well-known data sets, as YAML."""
