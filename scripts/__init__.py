"""Programs around the app: servers for its tests, and what makes its assets."""
