//! What a look at the machine has found: said by a start where it matters, and by `rheos doctor` in full.
//!
//! What must hold: a check is one function, and a start and the doctor both call it. What would stop a
//! start is a [`StartError`]; everything else is told and the start goes on.

use serde::Serialize;

use crate::start_error::StartError;

/// What is to be thought of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// The broker starts, and promises or performs less.
    Warning,
    /// The broker does not start.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub topic: &'static str,
    /// What is to be thought of it.
    pub grade: Grade,
    /// What was found, in one line.
    pub what: String,
    /// What is to be done about it: a command or a setting.
    pub fix: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub(crate) fn ok(topic: &'static str, what: impl Into<String>) -> Finding {
        Finding { topic, grade: Grade::Ok, what: what.into(), fix: None }
    }

    /// It is worth knowing.
    pub(crate) fn note(topic: &'static str, what: impl Into<String>) -> Finding {
        Finding { topic, grade: Grade::Note, what: what.into(), fix: None }
    }

    /// The broker starts all the same.
    pub(crate) fn warning(topic: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { topic, grade: Grade::Warning, what: what.into(), fix: Some(fix.into()) }
    }

    /// The broker does not start.
    pub(crate) fn problem(topic: &'static str, error: &StartError) -> Finding {
        let (what, fix) = error.what_and_fix();
        Finding { topic, grade: Grade::Problem, what, fix }
    }

    /// A finding with what could be done about it.
    pub(crate) fn with_fix(self, fix: impl Into<String>) -> Finding {
        Finding { fix: Some(fix.into()), ..self }
    }

    /// What a start says of it: a sentence, when it is a warning.
    pub(crate) fn said_at_start(&self) -> Option<String> {
        let fix = self.fix.as_ref().map_or_else(String::new, |fix| format!(" ({fix})"));
        (self.grade == Grade::Warning).then(|| format!("{}{fix}", self.what))
    }
}

impl From<(&'static str, Result<Finding, StartError>)> for Finding {
    fn from((topic, outcome): (&'static str, Result<Finding, StartError>)) -> Finding {
        outcome.unwrap_or_else(|error| Finding::problem(topic, &error))
    }
}
