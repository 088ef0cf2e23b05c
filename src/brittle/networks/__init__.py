"""Networks that see pictures, for metrics, budgets and protections; an image goes through once."""
