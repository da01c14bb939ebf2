//! Typed actions, the policy that allows them, and the only code that changes the host.
