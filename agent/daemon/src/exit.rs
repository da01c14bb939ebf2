//! The exit codes that scripts may rely on. Wrong usage is mostly found by clap, which ends the program with 2 by itself.

use std::process::ExitCode;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for was done.
    Done,
    /// It was not, for a reason that lies outside the configuration.
    Failed,
    /// What was asked for is no such thing.
    WrongUsage,
    /// The configuration or a checked file has errors.
    Errors,
    /// A test failed.
    TestFailed,
    /// A guard or the policy refuses it.
    Refused,
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::WrongUsage => 2,
            Self::Errors => 3,
            Self::TestFailed => 4,
            Self::Refused => 5,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stay_as_documented() {
        let exits =
            [Exit::Done, Exit::Failed, Exit::WrongUsage, Exit::Errors, Exit::TestFailed, Exit::Refused];
        assert_eq!(exits.map(Exit::code), [0, 1, 2, 3, 4, 5]);
    }
}
