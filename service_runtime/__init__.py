"""What a server process needs: settings, logging, gRPC server, health, supervisor, group commit."""
