"""What every program needs that uses the contract, clients too: structs, errors, channels, hedged calls."""
