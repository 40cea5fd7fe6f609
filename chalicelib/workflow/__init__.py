"""What the Lambda steps of the state machine do."""
