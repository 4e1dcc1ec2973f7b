//! Where each setting comes from: the flag, else the environment, else the file, else the default.
//!
//! What lies below the flags is given to clap as defaults of the flags, so that it is parsed and shown by the
//! same code, wherever it comes from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command};

use super::file::{ConfigFile, take};
use crate::settings::{self, Settings, name};

/// The settings with the file that they may come from.
#[derive(Debug, Args)]
pub(crate) struct Configured {
    /// File with settings (TOML): what flags and environment do not say. By default /etc/rheos/rheos.toml,
    /// where it exists
    #[arg(long, env = "RHEOS_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Every setting of the table, in its order.
    #[arg(skip)]
    pub(crate) told: Vec<Told>,
}

/// A setting with its value and who says so.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) setting: Arg,
    /// None when nobody says anything.
    pub(crate) values: Vec<String>,
    pub(crate) origin: Origin,
}

/// Who says what a setting is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment(String),
    File { path: PathBuf, line: usize },
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Environment(variable) => write!(f, "environment {variable}"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// What is said of settings below the flags, by the name of the setting.
#[derive(Debug, Default)]
pub(super) struct Layers(BTreeMap<String, (Vec<String>, Origin)>);

impl Layers {
    /// The environment over the file; an empty variable says nothing.
    ///
    /// # Errors
    /// What is wrong in one of them.
    pub(super) fn read(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Layers, Vec<String>> {
        let mut layers = match file {
            Some(path) => Layers::of_file(ConfigFile::read(path)?),
            None => Layers::default(),
        };
        let known = settings::table();
        for setting in known.get_arguments() {
            let Some(variable) = setting.get_env().and_then(|name| name.to_str()) else { continue };
            let Some(value) = environment(variable).filter(|value| !value.is_empty()) else { continue };
            let value = value.into_string().map_err(|_| vec![format!("{variable}: it is no text in UTF-8")])?;
            let values = match setting.get_value_delimiter() {
                Some(delimiter) => value.split(delimiter).map(str::to_owned).collect(),
                None => vec![value],
            };
            take(&known, setting, variable, &values).map_err(|why| vec![why])?;
            layers.0.insert(name(setting).to_owned(), (values, Origin::Environment(variable.to_owned())));
        }
        Ok(layers)
    }

    pub(super) fn of_file(file: ConfigFile) -> Layers {
        let path = file.path;
        let told = |line| Origin::File { path: path.clone(), line };
        Layers(file.entries.into_iter().map(|(key, entry)| (key, (entry.values, told(entry.line)))).collect())
    }

    /// The same command, whose flags have what is said here as their default.
    pub(super) fn below(&self, command: Command) -> Command {
        command.mut_args(|flag| match flag.get_long().and_then(|long| self.0.get(long)) {
            Some((values, _)) => flag.env(None).default_values(values.clone()),
            None => flag,
        })
    }

    /// Every setting, once the flags have been read.
    pub(super) fn told(&self, matches: &ArgMatches) -> Vec<Told> {
        let known = settings::table();
        let told = |setting: &Arg| {
            let id = setting.get_id().as_str();
            // Yes and no come in many words.
            let values = match matches.try_get_one::<bool>(id) {
                Ok(Some(is_so)) => vec![is_so.to_string()],
                _ => matches
                    .get_raw(id)
                    .map_or_else(Vec::new, |values| values.map(|value| value.to_string_lossy().into_owned()).collect()),
            };
            let origin = match (matches.value_source(id), self.0.get(name(setting))) {
                (Some(ValueSource::CommandLine), _) => Origin::Flag,
                (_, Some((_, origin))) => origin.clone(),
                _ => Origin::Default,
            };
            Told { setting: setting.clone(), values, origin }
        };
        known.get_arguments().map(told).collect()
    }
}

/// The file that settings come from: the one that is named, else the usual one where it exists.
pub(super) fn file_of(matches: &ArgMatches) -> Option<PathBuf> {
    let usual = || Path::new(USUAL_FILE).exists().then(|| PathBuf::from(USUAL_FILE));
    matches.get_one::<PathBuf>("config").cloned().or_else(usual)
}

const USUAL_FILE: &str = "/etc/rheos/rheos.toml";

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(file: &str, variables: &[(&str, &str)]) -> Result<Layers, Vec<String>> {
        let scratch = tempfile::tempdir().expect("there is room");
        let path = scratch.path().join("rheos.toml");
        std::fs::write(&path, file).expect("it is writable");
        let of = |name: &str| variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.into());
        Layers::read(Some(&path), of)
            .map_err(|wrong| wrong.iter().map(|line| line.replace(&format!("{}:", path.display()), "line ")).collect())
    }

    fn told(layers: &Layers, typed: &[&str], setting: &str) -> (String, String) {
        let command = layers.below(settings::table());
        let matches = command.get_matches_from([&["rheos"], typed].concat());
        let told = layers.told(&matches).into_iter().find(|told| name(&told.setting) == setting);
        let Told { values, origin, .. } = told.expect("it is in the table");
        let origin = match origin {
            Origin::File { line, .. } => format!("line {line}"),
            origin => origin.to_string(),
        };
        (values.join(" "), origin)
    }

    #[test]
    fn the_flag_is_stronger_than_the_variable_than_the_file_than_the_default() {
        let file = "# a comment\nlisten = '127.0.0.1:3'\nmtu = \"6KiB\"\ndev = true\ncores = [4, 0x5]\n\ndata = '/srv/streams'\n";
        let layers = layers(file, &[("RHEOS_LISTEN", "127.0.0.1:2"), ("RHEOS_MTU", ""), ("RHEOS_CONFIG", "unread")]);
        let layers = layers.expect("nothing is wrong with it");
        for (typed, setting, value, origin) in [
            (&["--listen=127.0.0.1:1"][..], "listen", "127.0.0.1:1", "flag"),
            (&[], "listen", "127.0.0.1:2", "environment RHEOS_LISTEN"),
            (&[], "mtu", "6KiB", "line 3"),
            (&[], "dev", "true", "line 4"),
            (&["--dev=no"], "dev", "false", "flag"),
            (&["--dev"], "dev", "true", "flag"),
            (&[], "cores", "4 5", "line 5"),
            (&["--cores", "1"], "cores", "1", "flag"),
            (&[], "data", "/srv/streams", "line 7"),
            (&[], "log-level", "info", "default"),
            (&[], "lanes", "", "default"),
        ] {
            assert_eq!(told(&layers, typed, setting), (value.to_owned(), origin.to_owned()), "{typed:?} {setting}");
        }
        let variables = Layers::read(None, |name| (name == "RHEOS_CORES").then(|| "2,3".into())).expect("it is a list");
        assert_eq!(told(&variables, &[], "cores").0, "2 3");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (file, wrong) in [
            ("lanes = 1\nlisen = ''", "line 2: there is no setting lisen; did you mean listen?"),
            ("tls_cert = 'x'", "line 1: there is no setting tls_cert; did you mean tls-cert?"),
            ("\n[serve]\nlanes = 1", "line 2: there is no setting serve; `rheos config schema` has all of them"),
            ("lanes = 'many'", "line 1: lanes: \"many\": invalid digit found in string"),
            ("lanes = [1]", "line 1: lanes: this is an array, and not one value"),
            ("cores = 1", "line 1: cores: this is an integer, and not an array, such as [2, 3]"),
            ("cores = [1.5]", "line 1: cores: this is an array, and not an array, such as [2, 3]"),
            ("mtu = 9000", "line 1: mtu: \"9000\": 9000 is not in 1200 to 6500"),
            ("\nlog-level = 'loud'", "line 2: log-level: \"loud\" is none of error, warn, info, debug"),
            ("listen = 4567", "line 1: listen: \"4567\": invalid socket address syntax"),
            ("lanes = 1\nlanes = 2", "line 2: duplicate key"),
            ("lanes = \n", "line 1: string values must be quoted, expected literal string"),
        ] {
            assert_eq!(layers(file, &[]).expect_err(file), [wrong], "{file}");
        }
        let all = layers("lanes = 'a'\nlisten = 'b'\nx = 1", &[]).expect_err("three things are wrong");
        assert_eq!(all.len(), 3, "{all:?}");
        let wrong = layers("", &[("RHEOS_LANES", "all")]).expect_err("it is no number");
        assert_eq!(wrong, ["RHEOS_LANES: \"all\": invalid digit found in string"]);
        let missing = Layers::read(Some(Path::new("/nowhere/rheos.toml")), |_| None).expect_err("it is not there");
        assert!(missing[0].starts_with("cannot read /nowhere/rheos.toml: No such file"), "{missing:?}");
    }
}
