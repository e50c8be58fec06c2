"""One lesion over time: growth laws, schedules, and a series of scans cut from one field."""
