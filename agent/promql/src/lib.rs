//! Evaluates PromQL: a pure function of expression, series and time.
