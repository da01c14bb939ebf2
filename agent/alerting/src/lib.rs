//! Rule files and the alert state machine.
