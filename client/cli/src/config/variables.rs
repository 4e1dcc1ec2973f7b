//! Variables of the environment that are probably misspelt.

use std::collections::BTreeSet;

use clap::Command;

use crate::near::nearest;

/// A sentence for each variable that nobody reads and whose name is near one that somebody does. Others may
/// mean something to other programs.
pub(crate) fn misspelt(command: &Command, variables: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut known = BTreeSet::new();
    gather(command, &mut known);
    let after = |variable: &'_ str| variable.strip_prefix(PREFIX).map(str::to_owned);
    let names: Vec<String> = known.iter().filter_map(|variable| after(variable)).collect();
    let meant = |variable: String| {
        let name = after(&variable)?;
        // nearest() says nothing of a name that is there.
        let meant = nearest(&name, names.iter().map(String::as_str)).filter(|_| !known.contains(&variable))?;
        Some(format!("nobody reads the environment variable {variable}; did you mean {PREFIX}{meant}?"))
    };
    variables.into_iter().filter_map(meant).collect()
}

fn gather(command: &Command, known: &mut BTreeSet<String>) {
    known.extend(command.get_arguments().filter_map(|flag| Some(flag.get_env()?.to_str()?.to_owned())));
    command.get_subcommands().for_each(|inner| gather(inner, known));
}

const PREFIX: &str = "RHEOS_";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::command;

    #[test]
    fn only_what_is_near_is_spoken_of() {
        for (variable, meant) in [
            ("RHEOS_LISEN", Some("RHEOS_LISTEN")),
            ("RHEOS_LOGLEVEL", Some("RHEOS_LOG_LEVEL")),
            ("RHEOS_CONFIGS", Some("RHEOS_CONFIG")),
            ("RHEOS_LISTEN", None),
            ("RHEOS_DATA", None),
            ("RHEOS_SERVICE_HOST", None),
            ("RHEO_LISTEN", None),
            ("PATH", None),
        ] {
            let said = misspelt(&command(), [variable.to_owned()]);
            let expected = meant.map(|meant| format!("variable {variable}; did you mean {meant}?"));
            assert_eq!(said.len(), usize::from(meant.is_some()), "{variable}: {said:?}");
            assert!(said.iter().zip(expected).all(|(said, expected)| said.ends_with(&expected)), "{said:?}");
        }
    }
}
