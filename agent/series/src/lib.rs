//! Recent samples in memory, bounded; names and aliases.
