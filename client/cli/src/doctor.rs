//! `rheos doctor`: looks at everything that a broker needs of this machine, and says what to do about what is not
//! as it should be.

mod broker;
mod lines;

use clap::Args;
use rheos_broker::{DoctorOptions, Finding, Grade, examine};
use serde_json::json;

use crate::arguments::{Global, Output};
use crate::config::Configured;
use crate::failure::Failure;
use crate::on_runtime;
use crate::output::{self, count};

use lines::Lines;

/// Look at what a broker needs of this machine, and say what to do about it
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DoctorCommand {
    #[command(flatten)]
    pub(crate) configured: Configured,
}

const AFTER_HELP: &str = "\
Looks at the kernel and io_uring, limits, the data directory and its disk, the network, cores and clocks, and \
at the broker, if one answers. Changes nothing, and may be run while a broker serves. Each finding is ok, a \
note, a warning (the broker starts, and promises or performs less) or a problem (it does not start), and says \
what to do: run it as the user of the broker, because limits and permissions are that user's, and with its flags \
or file of settings.

The exit code is 1 when there is a problem.

Examples:
  rheos doctor --data /var/lib/rheos
  sudo -u rheos rheos doctor --config /etc/rheos/rheos.toml
  rheos doctor --output json | jq '.findings[] | select(.grade != \"ok\")'";

pub(crate) fn run(command: &DoctorCommand, global: &Global) -> Result<(), Failure> {
    let settings = &command.configured.settings;
    settings.check()?;
    let options = DoctorOptions {
        data: global.data.clone(),
        listen: settings.listen,
        lanes: settings.lanes(),
        cores: settings.cores.clone(),
        dev: settings.dev,
    };
    let mut told = Told { findings: Vec::new(), lines: Lines::new(), how: global.output, outcome: Ok(()) };
    examine(&options, |finding| told.tell(finding));
    let of_broker: Result<Vec<Finding>, Failure> = on_runtime(async { Ok(broker::findings(global).await) });
    of_broker?.into_iter().for_each(|finding| told.tell(finding));
    told.end()
}

/// What was told so far.
struct Told {
    findings: Vec<Finding>,
    lines: Lines,
    how: Output,
    /// That nobody reads any more does not end the examination, which is short.
    outcome: Result<(), Failure>,
}

impl Told {
    fn tell(&mut self, finding: Finding) {
        let printed = match self.how {
            Output::Text => self.lines.of(&finding).iter().try_for_each(|line| output::line(line)),
            Output::Ndjson => output::json(&json!(finding)),
            Output::Json => Ok(()),
        };
        if self.outcome.is_ok() {
            self.outcome = printed;
        }
        self.findings.push(finding);
    }

    fn end(self) -> Result<(), Failure> {
        self.outcome?;
        let of = |grade: Grade| self.findings.iter().filter(|finding| finding.grade == grade).count() as u64;
        let (problems, warnings, notes) = (of(Grade::Problem), of(Grade::Warning), of(Grade::Note));
        match self.how {
            Output::Text => output::line(&format!(
                "\n{}, {}, {}: {}",
                count(problems, "problem"),
                count(warnings, "warning"),
                count(notes, "note"),
                if problems == 0 { "a broker starts here" } else { "a broker does not start here" }
            ))?,
            Output::Json => output::json(&json!({ "findings": self.findings, "starts": problems == 0 }))?,
            Output::Ndjson => {}
        }
        if problems == 0 { Ok(()) } else { Err(Failure::Said) }
    }
}
