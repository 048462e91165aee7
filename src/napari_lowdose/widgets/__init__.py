"""The widgets of the plugin and their small parts."""
