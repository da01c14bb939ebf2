//! Timelines of incidents and drafts of their post-mortems.
