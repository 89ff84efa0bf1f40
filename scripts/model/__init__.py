"""How the bundled model and corpus were made; nobody who runs the app needs it."""
