//! Connection strings under names, for one user: what `rheos context` keeps.
//!
//! ```text
//! $RHEOS_CONFIG_DIR, else $XDG_CONFIG_HOME/rheos, else ~/.config/rheos
//!     contexts/NAME     a connection string, mode 0600
//!     current           the name of the one in use
//!     previous          the name of the one that was in use before
//! ```
//!
//! What must hold: a context appears whole or not at all, and only its owner can read it at any moment;
//! one that others can read is refused. Nothing here connects.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rheos_client::ConnectOptions;
use rheos_client::protocol::limits::NAME_CHARS_MAX;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::near::suggestion_or;

/// The contexts of this user.
pub(crate) struct Contexts {
    directory: PathBuf,
}

impl Contexts {
    /// The contexts where the environment says that they are.
    pub(crate) fn open() -> Result<Contexts, Failure> {
        let set = |name: &str| std::env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
        let directory = set("RHEOS_CONFIG_DIR")
            .or_else(|| set("XDG_CONFIG_HOME").map(|config| config.join("rheos")))
            .or_else(|| set("HOME").map(|home| home.join(".config/rheos")));
        let missing = || Failure::new("no place for contexts is known; set RHEOS_CONFIG_DIR or HOME");
        Ok(Contexts { directory: directory.ok_or_else(missing)? })
    }

    /// Keeps a connection string under a name that is free.
    pub(crate) fn add(&self, name: &str, url: &str) -> Result<(), Failure> {
        self.check_free(name)?;
        self.write(&self.path(name), url)
    }

    /// That a context of this name can be added.
    pub(crate) fn check_free(&self, name: &str) -> Result<(), Failure> {
        check_name(name)?;
        if self.path(name).exists() {
            let exists =
                format!("context {name} exists; choose another name, or remove it: rheos context remove {name}");
            return Err(Failure::Told(Exit::Exists, exists));
        }
        make_directory(&self.contexts_dir())
    }

    /// How to connect to the broker of a context.
    pub(crate) fn options(&self, name: &str) -> Result<ConnectOptions, Failure> {
        self.check_there(name)?;
        Ok(ConnectOptions::from_file(self.path(name))?)
    }

    /// The connection string of a context, with its secret.
    pub(crate) fn url(&self, name: &str) -> Result<String, Failure> {
        self.options(name)?;
        let path = self.path(name);
        let text = fs::read_to_string(&path).map_err(|error| unusable("read", &path, error))?;
        Ok(text.trim().to_owned())
    }

    /// All names, in order.
    pub(crate) fn names(&self) -> Result<Vec<String>, Failure> {
        let directory = self.contexts_dir();
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unusable("read", &directory, error)),
        };
        let names = entries.map_while(Result::ok).filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| check_name(name).is_ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The name of the context in use, if one was chosen.
    pub(crate) fn current(&self) -> Result<Option<String>, Failure> {
        self.chosen(CURRENT)
    }

    /// The name of the context that was in use before.
    pub(crate) fn previous(&self) -> Result<String, Failure> {
        let none = || Failure::Told(Exit::NotFound, "no context was in use before".to_owned());
        self.chosen(PREVIOUS)?.ok_or_else(none)
    }

    /// Makes a context the one in use.
    pub(crate) fn choose(&self, name: &str) -> Result<(), Failure> {
        self.options(name)?;
        match self.current()? {
            Some(current) if current == name => return Ok(()),
            Some(current) => self.write(&self.directory.join(PREVIOUS), &current)?,
            None => {}
        }
        self.write(&self.directory.join(CURRENT), name)
    }

    /// Makes none the one in use.
    pub(crate) fn choose_none(&self) -> Result<(), Failure> {
        let Some(current) = self.current()? else { return Ok(()) };
        self.write(&self.directory.join(PREVIOUS), &current)?;
        remove(&self.directory.join(CURRENT))
    }

    /// Gives a context another name, under which it stays in use.
    pub(crate) fn rename(&self, name: &str, new: &str) -> Result<(), Failure> {
        self.check_there(name)?;
        self.check_free(new)?;
        let (from, to) = (self.path(name), self.path(new));
        // Unlike renaming, this replaces nothing that came to be in between.
        fs::hard_link(&from, &to).map_err(|error| unusable("make", &to, error))?;
        for choice in [CURRENT, PREVIOUS] {
            if self.chosen(choice)?.as_deref() == Some(name) {
                self.write(&self.directory.join(choice), new)?;
            }
        }
        remove(&from)
    }

    /// Removes a context. None is in use when it was the one.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        self.check_there(name)?;
        for choice in [CURRENT, PREVIOUS] {
            if self.chosen(choice)?.as_deref() == Some(name) {
                remove(&self.directory.join(choice))?;
            }
        }
        remove(&self.path(name))
    }

    /// The name in one of the two files that hold one.
    fn chosen(&self, file: &str) -> Result<Option<String>, Failure> {
        let path = self.directory.join(file);
        match fs::read_to_string(&path) {
            Ok(name) => Ok(Some(name.trim().to_owned()).filter(|name| !name.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable("read", &path, error)),
        }
    }

    fn check_there(&self, name: &str) -> Result<(), Failure> {
        check_name(name)?;
        if self.path(name).exists() {
            return Ok(());
        }
        let names = self.names()?;
        let all = || "; `rheos context list` shows what there is".to_owned();
        let hint = suggestion_or(name, names.iter().map(String::as_str), all);
        Err(Failure::Told(Exit::NotFound, format!("there is no context {name}{hint}")))
    }

    /// Writes a line beside its place, for its owner alone, and puts it there.
    fn write(&self, path: &Path, line: &str) -> Result<(), Failure> {
        let name = path.file_name().expect("it has a name").to_string_lossy();
        let unfinished = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let written = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            writeln!(file, "{line}")?;
            file.sync_all()?;
            fs::rename(&unfinished, path)
        };
        written().map_err(|error| {
            let _ = fs::remove_file(&unfinished);
            unusable("write", path, error)
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.contexts_dir().join(name)
    }

    fn contexts_dir(&self) -> PathBuf {
        self.directory.join("contexts")
    }
}

const CURRENT: &str = "current";
const PREVIOUS: &str = "previous";

fn remove(path: &Path) -> Result<(), Failure> {
    fs::remove_file(path).map_err(|error| unusable("remove", path, error))
}

fn check_name(name: &str) -> Result<(), Failure> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || name.len() > NAME_CHARS_MAX || name.starts_with('.') || !name.chars().all(allowed) {
        return Err(Failure::Usage(format!(
            "{name:?} is not a context name: use 1 to {NAME_CHARS_MAX} of a-z A-Z 0-9 _ . -, with no dot first"
        )));
    }
    Ok(())
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| unusable("make", path, error))
}

fn unusable(doing: &str, path: &Path, error: io::Error) -> Failure {
    Failure::new(format!("cannot {doing} {}: {error}", path.display()))
}
