//! Runbooks, guards, the script sandbox, runs and their journal.
