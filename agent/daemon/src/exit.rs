//! The exit codes that scripts may rely on. Wrong usage is 2: clap ends the program with it by itself.

use std::process::ExitCode;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for was done.
    Done,
    /// It was not, for a reason that lies outside the configuration.
    Failed,
    /// The configuration or a checked file has errors.
    Errors,
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Errors => 3,
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
        let codes = [Exit::Done, Exit::Failed, Exit::Errors].map(Exit::code);
        assert_eq!(codes, [0, 1, 3]);
    }
}
