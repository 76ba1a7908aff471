"""The worker as a member of the fleet: its name, its heartbeats, and the desired state that it follows."""
