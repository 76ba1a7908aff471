"""Publishing to Kafka, and how far the consumers are."""
