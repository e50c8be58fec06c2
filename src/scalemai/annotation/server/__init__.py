"""The server of a review: pages, and what they ask for."""
