"""From what is wanted to what is drawn: place, shape, look, ducts closed. The one random step."""
