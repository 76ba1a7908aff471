"""What every gRPC process here does: settings, logging, server, errors, and JSON objects as protobuf Struct."""
