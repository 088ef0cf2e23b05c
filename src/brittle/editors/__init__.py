"""TODO-owner."""
