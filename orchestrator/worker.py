"""What runs inside a Ray Train worker: one trial, from its order to its result. Knows no ray."""
