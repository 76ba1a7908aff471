"""What every program that speaks the contract needs, clients too: structs, errors and statuses, channels."""
