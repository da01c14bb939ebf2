//! Smoke checks: asks a service whether it answers. Calls out, and does nothing else.
