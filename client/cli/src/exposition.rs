//! Reads text in the Prometheus exposition format, version 0.0.4.
//!
//! ```text
//!   # HELP, # TYPE and other comments, which are skipped
//!   name{label="value",...} number [timestamp]
//! ```
//!
//! Source: prometheus.io/docs/instrumenting/exposition_formats. It knows the format alone, and no metric.

use std::borrow::Cow;

/// One number of a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample<'a> {
    pub(crate) name: &'a str,
    labels: Labels<'a>,
    pub(crate) value: f64,
}

/// Names and their values.
type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

impl Sample<'_> {
    /// The value of a label.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_ref())
    }
}

/// The samples of a page, in its order.
///
/// # Errors
///
/// The number and the text of a line that is none.
pub(crate) fn samples(text: &str) -> impl Iterator<Item = Result<Sample<'_>, String>> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let samples = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    samples.map(|(number, line)| sample(line).ok_or_else(|| format!("line {number} is no sample: {line}")))
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(|c: char| c == '{' || c.is_ascii_whitespace())?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.trim_start().strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut numbers = rest.split_ascii_whitespace();
    let value = number(numbers.next()?)?;
    let is_over = numbers.next().is_none_or(|timestamp| timestamp.parse::<i64>().is_ok()) && numbers.next().is_none();
    (is_over && !name.is_empty()).then_some(Sample { name, labels, value })
}

/// The labels up to the closing brace, and what is behind it.
fn labels(mut text: &str) -> Option<(Labels<'_>, &str)> {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = text.split_once('=')?;
        let (value, rest) = unquoted(quoted.trim_start().strip_prefix('"')?)?;
        labels.push((name.trim(), value));
        text = rest;
    }
}

/// The text up to its closing quote, and what is behind that.
fn unquoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut value = Cow::Borrowed("");
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' if matches!(value, Cow::Borrowed(_)) => return Some((Cow::Borrowed(&text[..at]), &text[at + 1..])),
            '"' => return Some((value, &text[at + 1..])),
            '\\' => {
                let value = match &mut value {
                    Cow::Owned(value) => value,
                    // It is as it stands up to the first escape.
                    Cow::Borrowed(_) => {
                        value = Cow::Owned(text[..at].to_owned());
                        value.to_mut()
                    }
                };
                value.push(match characters.next()?.1 {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    _ => return None,
                });
            }
            character => {
                if let Cow::Owned(value) = &mut value {
                    value.push(character);
                }
            }
        }
    }
    None
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        text => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Sample<'_> {
        samples(line).next().expect("there is a sample").expect("it is read")
    }

    #[test]
    fn names_labels_and_numbers_are_read() {
        let sample = one("http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000");
        assert_eq!((sample.name, sample.value), ("http_requests_total", 1027.0));
        assert_eq!(
            (sample.label("method"), sample.label("code"), sample.label("x")),
            (Some("post"), Some("200"), None)
        );
        assert_eq!(one("up 1").value, 1.0);
        assert_eq!(one("up{} 1.5e-3").value, 0.0015);
        assert_eq!(one("up { a = \"\" , } -2").label("a"), Some(""));
        assert_eq!(one("b_bucket{le=\"+Inf\"} +Inf").value, f64::INFINITY);
        assert!(one("b NaN").value.is_nan() && one("b -Inf").value < 0.0);
    }

    #[test]
    fn escaped_values_are_read() {
        for (quoted, value) in
            [(r#"C:\\DIR\\é"#, r"C:\DIR\é"), (r#"say \"hi\""#, "say \"hi\""), (r"a\nb", "a\nb"), ("a},b{=", "a},b{=")]
        {
            let line = format!("x{{before=\"1\",a=\"{quoted}\",after=\"2\"}} 3");
            let sample = one(&line);
            assert_eq!(
                (sample.label("a"), sample.label("before"), sample.label("after")),
                (Some(value), Some("1"), Some("2"))
            );
        }
    }

    #[test]
    fn comments_are_skipped_and_what_is_no_sample_is_named() {
        let text = "# HELP a It counts.\n# TYPE a counter\n\na 1\n  # another\nb 2\n";
        let names: Vec<&str> = samples(text).map(|sample| sample.unwrap().name).collect();
        assert_eq!(names, ["a", "b"]);
        for line in [
            "a",
            "a b",
            "a{ 1",
            "a{b=\"c} 1",
            "a{b=\"c\\x\"} 1",
            "a{b} 1",
            "a 1 2 3",
            "a 1 x",
            "{a=\"b\"} 1",
            "a{b=\"c\"}",
        ] {
            let text = format!("up 1\n{line}\n");
            let wrong = samples(&text).nth(1).expect("there is a line").expect_err(line);
            assert_eq!(wrong, format!("line 2 is no sample: {line}"));
        }
    }
}
