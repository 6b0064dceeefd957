//! Input that hangs, exhausts memory or pretends to be something else.
