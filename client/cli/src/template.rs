//! Templates: text with `{{names}}` in it, for records that are printed or made up.
//!
//! A field is named in double braces, so that JSON can stand around it. A backslash begins what cannot be
//! typed. What must hold: a template that was read can be filled in; a name that is not there was refused.

use std::io::{self, Write};

use crate::near::suggestion_or;

/// How templates are written, for the pages of `--help`.
pub(crate) const ESCAPES: &str = r"\n \t \r \0 \e \\ \{ and \xHH";

/// A template whose fields are of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template<F> {
    parts: Vec<Part<F>>,
    /// Whether `\c` stands at its end: nothing is to follow it.
    pub(crate) is_closed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<F> {
    Text(Vec<u8>),
    Field(F),
}

impl<F: Copy> Template<F> {
    /// Reads a template with these fields.
    pub(crate) fn parse(text: &str, fields: &[(&str, F)]) -> Result<Template<F>, String> {
        let mut template = Template { parts: Vec::new(), is_closed: false };
        let mut rest = text;
        while !rest.is_empty() {
            if template.is_closed {
                return Err(r"\c ends a template; nothing can follow it".to_owned());
            }
            if let Some(begun) = rest.strip_prefix("{{") {
                let (name, after) = begun
                    .split_once("}}")
                    .ok_or_else(|| r"a {{ has no }} behind it; write \{{ for the braces themselves".to_owned())?;
                template.parts.push(Part::Field(field(name.trim(), fields)?));
                rest = after;
            } else if let Some(escaped) = rest.strip_prefix('\\') {
                rest = template.escape(escaped)?;
            } else {
                // A brace that stands alone is text, too.
                let first = rest.chars().next().map_or(0, char::len_utf8);
                let next = rest[first..].find(['{', '\\']).map_or(rest.len(), |next| first + next);
                template.text(&rest.as_bytes()[..next]);
                rest = &rest[next..];
            }
        }
        Ok(template)
    }

    /// Fills it in.
    pub(crate) fn write<W: Write>(
        &self,
        out: &mut W,
        mut write_field: impl FnMut(F, &mut W) -> io::Result<()>,
    ) -> io::Result<()> {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => out.write_all(text),
            Part::Field(field) => write_field(*field, out),
        })
    }

    fn text(&mut self, text: &[u8]) {
        match self.parts.last_mut() {
            Some(Part::Text(before)) => before.extend_from_slice(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    /// Reads what follows a backslash; gives what is behind it.
    fn escape<'a>(&mut self, escaped: &'a str) -> Result<&'a str, String> {
        let wrong = |what: &str| format!(r"\{what} stands for nothing; there are {ESCAPES}, and \c at the end");
        let Some(first) = escaped.chars().next() else { return Err(wrong("")) };
        let rest = &escaped[first.len_utf8()..];
        let byte = match first {
            'n' => b'\n',
            't' => b'\t',
            'r' => b'\r',
            '0' => 0,
            'e' => 0x1b,
            '\\' => b'\\',
            '{' if rest.starts_with('{') => {
                self.text(b"{{");
                return Ok(&rest[1..]);
            }
            '{' => b'{',
            'x' => {
                let digits = rest.get(..2).ok_or_else(|| wrong("x"))?;
                let byte = u8::from_str_radix(digits, 16).map_err(|_| wrong(&format!("x{digits}")))?;
                self.text(&[byte]);
                return Ok(&rest[2..]);
            }
            'c' => {
                self.is_closed = true;
                return Ok(rest);
            }
            other => return Err(wrong(&other.to_string())),
        };
        self.text(&[byte]);
        Ok(rest)
    }
}

fn field<F: Copy>(name: &str, fields: &[(&str, F)]) -> Result<F, String> {
    let found = fields.iter().find(|(known, _)| *known == name);
    found.map(|(_, field)| *field).ok_or_else(|| {
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let hint = suggestion_or(name, names.iter().copied(), || format!("; there are {}", names.join(", ")));
        format!("there is no {{{{{name}}}}}{hint}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [(&str, char); 2] = [("key", 'K'), ("data", 'D')];

    fn filled(text: &str) -> Result<String, String> {
        let template = Template::parse(text, &FIELDS)?;
        let mut out = Vec::new();
        template.write(&mut out, |field, out| write!(out, "<{field}>")).unwrap();
        Ok(String::from_utf8(out).unwrap() + if template.is_closed { "" } else { "$" })
    }

    #[test]
    fn fields_and_escapes_are_filled_in() {
        for (text, expected) in [
            ("", "$"),
            ("{{key}}: {{ data }}", "<K>: <D>$"),
            (r#"{"k":"{{key}}","n":{{data}}}"#, r#"{"k":"<K>","n":<D>}$"#),
            (r"a\tb\n\\\x41\0", "a\tb\n\\A\0$"),
            (r"\{{key}} \{x} {", "{{key}} {x} {$"),
            (r"{{key}}\0\c", "<K>\0"),
            ("é{é", "é{é$"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_refused() {
        for (text, why) in [
            ("{{kye}}", "there is no {{kye}}; did you mean key?"),
            ("{{offset}}", "there is no {{offset}}; there are key, data"),
            ("{{key", "has no }} behind it"),
            (r"a\q", r"\q stands for nothing"),
            (r"a\", r"\ stands for nothing"),
            (r"\x4", r"\x stands for nothing"),
            (r"\xzz", r"\xzz stands for nothing"),
            (r"\cmore", "nothing can follow"),
        ] {
            assert!(filled(text).is_err_and(|said| said.contains(why)), "{text}: {:?}", filled(text));
        }
    }
}
