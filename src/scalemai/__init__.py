"""ScaleMAI."""
