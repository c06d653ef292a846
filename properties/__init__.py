"""Defaults of the plugin and of its models, as YAML."""
